"""Start a gateway with very many things waiting; say how soon it serves and what memory it takes.

    python -m bench.backlog                                 a million of each kind; ten minutes
    python -m bench.backlog messages --messages 100000      of one kind

Exit status 0 when every goal was kept.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from bench.backlog.kinds import KINDS, Measure, measure_nothing
from bench.growth.flat import Say
from bench.growth.goals import Figure
from bench.report import describe_run, show_rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when every goal was kept."""
    options = _parser().parse_args(argv)
    console = Console(width=110, highlight=False)
    if unknown := set(options.kinds) - set(KINDS):
        print(
            f"bench.backlog: no {', '.join(unknown)}; there is {', '.join(KINDS)}", file=sys.stderr
        )
        return 2
    figures: list[Figure] = []
    chosen: list[Measure] = [_measure_nothing, *(KINDS[name] for name in options.kinds or KINDS)]
    for measure in chosen:
        found = _run(measure, options.messages, options.seconds, console.print)
        figures += found
        show_rows(console, [["", "measured", "goal", ""], *(each.row() for each in found)])
        if options.json:
            words = shlex.join(argv or sys.argv[1:])
            document = describe_run(f"python -m bench.backlog {words}".strip())
            document["figures"] = [asdict(each) for each in figures]
            options.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0 if all(each.kept for each in figures) else 1


def _measure_nothing(folder: Path, count: int, seconds: float, say: Say) -> list[Figure]:
    return measure_nothing(folder)


def _run(measure: Measure, count: int, seconds: float, say: Say) -> list[Figure]:
    # Short: the path of PostgreSQL's socket must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gwk"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        return measure(folder, count, seconds, say)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.backlog", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("kinds", nargs="*", help=f"{', '.join(KINDS)}; all by default")
    add("--messages", type=int, default=1_000_000, help="of each kind (%(default)s)")
    add("--seconds", type=float, default=20.0, help="to look at each (%(default)g)")
    add("--json", type=Path, help="keep the figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
