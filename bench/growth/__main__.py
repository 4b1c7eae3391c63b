"""Measure what growth costs: many messages in the store, many binds, a long backlog.

python -m bench.growth                            all of it: 10,000,000 messages, 15 GB, an hour
python -m bench.growth flat --held 1000000        beside a million
python -m bench.growth carriers customers backlog
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.backlog.kinds import measure_messages
from bench.growth.flat import measure_flat
from bench.growth.goals import Figure
from bench.growth.idle import measure_carriers, measure_customers
from bench.report import describe_run, show_rows

GB_PER_MILLION = 1.5
"""Messages with two events each, their indexes, and the WAL of writing them."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0 when every goal was kept."""
    options = _parser().parse_args(argv)
    console = Console(width=110, highlight=False)
    figures: list[Figure] = []

    def keep(more: Sequence[Figure]) -> None:
        if options.json:
            _keep(options.json, shlex.join(argv or sys.argv[1:]), [*figures, *more])

    def say(words: str) -> None:
        console.print(f"{datetime.now(UTC):%H:%M:%S}  {words}")

    parts: dict[str, Callable[[Path], list[Figure]]] = {
        "flat": lambda folder: measure_flat(
            folder, options.held, options.messages, options.rounds, say, keep
        ),
        "carriers": lambda folder: measure_carriers(folder, 100, 5, options.seconds),
        "customers": lambda folder: measure_customers(folder, options.binds, options.seconds),
        "backlog": lambda folder: measure_messages(
            folder, options.waiting, options.seconds / 2, say
        ),
    }
    chosen = options.parts or list(parts)
    if unknown := set(chosen) - set(parts):
        print(
            f"bench.growth: no {', '.join(unknown)}; there is {', '.join(parts)}", file=sys.stderr
        )
        return 2
    if "flat" in chosen and (lack := _find_lack_of_room(options.held[-1])):
        print(f"bench.growth: {lack}", file=sys.stderr)
        return 2
    for name in chosen:
        say(f"{name} …")
        found = _measure(parts[name])
        figures += found
        show_rows(console, [["", "measured", "goal", ""], *(each.row() for each in found)])
        keep(())
    return 0 if all(each.kept for each in figures) else 1


def _measure(part: Callable[[Path], list[Figure]]) -> list[Figure]:
    # Short: the path of PostgreSQL's socket must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gwg"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        return part(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(path: Path, words: str, figures: Sequence[Figure]) -> None:
    document: dict[str, Any] = describe_run(f"python -m bench.growth {words}".strip())
    document["figures"] = [asdict(each) for each in figures]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _find_lack_of_room(messages: int) -> str:
    """Return why the disk will not do, "" when it will."""
    needed_gb = messages / 1e6 * GB_PER_MILLION + 5
    free_gb = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free_gb >= needed_gb:
        return ""
    where = os.environ.get("TMPDIR", tempfile.gettempdir())
    return (
        f"{messages:,} messages take about {needed_gb:.0f} GB; {where} has {free_gb:.0f} (TMPDIR)"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("parts", nargs="*", help="flat, carriers, customers, backlog; all by default")
    add(
        "--held",
        type=lambda text: [int(word) for word in text.split(",")],
        default=[1_000_000, 10_000_000],
        help="messages in the store, with commas (1000000,10000000)",
    )
    add("--messages", type=int, default=20_000, help="sent beside them, a run (%(default)s)")
    add("--rounds", type=int, default=3, help="runs of each kind of load (%(default)s)")
    add("--waiting", type=int, default=1_000_000, help="messages of the backlog (%(default)s)")
    add("--binds", type=int, default=1_000, help="of customers (%(default)s)")
    add(
        "--seconds",
        type=float,
        default=60.0,
        help="to look at idle binds; half of it at a backlog (%(default)g)",
    )
    add("--json", type=Path, help="keep the figures there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
