"""Offer a gateway far more than it can take, and see what it does.

    python -m bench.overload                            every case, two minutes each
    python -m bench.overload carrier --seconds 20

Exit status 0 when memory stayed bounded, everything accepted came through once, everything else
was refused with a reason, and answers were as before within seconds of the load's end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import uvloop
from rich.console import Console

from bench.growth.goals import Figure
from bench.overload.cases import CASES
from bench.overload.scene import AFTERWARDS_S, Overload, overload, tell_ms
from bench.report import describe_run, show_rows

MEMORY_MAX_MB: Final = 300.0
RECOVERY_MAX_S: Final = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when every goal was kept."""
    options = _parser().parse_args(argv)
    console = Console(width=110, highlight=False)
    chosen = options.cases or list(CASES)
    if unknown := set(chosen) - set(CASES):
        print(
            f"bench.overload: no {', '.join(unknown)}; there is {', '.join(CASES)}",
            file=sys.stderr,
        )
        return 2
    kept: list[Figure] = []
    results: dict[str, Any] = {}
    for name in chosen:
        console.print(f"{name}: {CASES[name].title}; {options.seconds:g} s …")
        found = _run(name, options.seconds)
        figures = judge(found)
        kept += figures
        show_rows(console, [["", "measured", "goal", ""], *(each.row() for each in figures)])
        said = tell(found)
        for what, value in said.items():
            console.print(f" {what}: {value}")
        results[name] = {
            "figures": [asdict(each) for each in figures],
            "told": said,
            "memory_mb": found.memory_mb,
        }
        if options.json:
            words = shlex.join(argv or sys.argv[1:])
            document = describe_run(f"python -m bench.overload {words}".strip())
            document["cases"] = results
            options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if all(each.kept for each in kept) else 1


def judge(found: Overload) -> list[Figure]:
    """Return what is asked of every case."""
    recovery_s = found.find_recovery_s()
    untold = [each for each in found.during if each.status in (429, 503) and not each.retry_after]
    return [
        Figure("the gateway's memory, most", found.peak_mb, "MB", MEMORY_MAX_MB),
        Figure("accepted and never at the carrier", found.accepted - found.at_carrier, "", 0),
        Figure("accepted and without receipt", found.accepted - found.acknowledged, "", 0),
        Figure("sent twice", found.duplicates, "", 0),
        Figure("requests without any answer", found.unanswered, "", 0),
        Figure("one-time passwords refused without a time", len(untold), "", 0),
        Figure("unhealthy answers of /healthz", _count_unhealthy(found), "", 0),
        Figure(
            "answers as before, after",
            AFTERWARDS_S if recovery_s is None else recovery_s,
            "s",
            RECOVERY_MAX_S,
        ),
    ]


def tell(found: Overload) -> dict[str, str]:
    """Return the counts behind the goals, in words."""
    offered = found.http.settled() + found.smpp.settled()
    probes = Counter(each.status for each in found.during)
    taken = [each.seconds for each in found.during if each.taken]
    return {
        "offered": f"{offered:,} ({offered / found.seconds:,.0f} a second)",
        "accepted": f"{found.accepted:,} ({found.accepted / found.seconds:,.0f} a second)",
        "refused over HTTP": _tell_counts(found.http.rejected),
        "refused over SMPP": _tell_counts(found.smpp.rejected),
        "ms until an answer over HTTP, median / p99 / most": tell_ms([*found.http.latencies_s]),
        "ms until accepted over SMPP": tell_ms([*found.smpp.latencies_s]),
        "one-time passwords, by status": _tell_counts(probes),
        "ms until they were accepted": tell_ms(taken),
        "ms before the load": tell_ms([each.seconds for each in found.before]),
        "ms of /healthz": tell_ms([each.health_s for each in found.during]),
        "all receipts after": f"{found.settled_s:.1f} s",
        "stalls": ", ".join(found.stalls) or "none",
    }


def _count_unhealthy(found: Overload) -> int:
    return sum(each.health_status != 200 for each in found.during)


def _tell_counts(counts: Counter[Any]) -> str:
    return ", ".join(f"{key}: {count:,}" for key, count in sorted(counts.items())) or "none"


def _run(name: str, seconds: float) -> Overload:
    # Short: the path of PostgreSQL's socket must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gwo"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(overload(folder, CASES[name], seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("cases", nargs="*", help=f"{', '.join(CASES)}; all by default")
    add("--seconds", type=float, default=120.0, help="of each (%(default)g)")
    add("--json", type=Path, help="keep the figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
