"""Draw many worlds, and say what happened in them.

    python -m tests.simulation --worlds 10000
    python -m tests.simulation --worlds 100000 --first 10000

Ends with 1 when a promise broke; each seed for which one did is printed with the command that
repeats it.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from rich.console import Console
from rich.table import Table

from tests.simulation.draw import Tally, draw_worlds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--worlds", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    started = time.perf_counter()
    total = draw_worlds(range(options.first, options.first + options.worlds), options.processes)
    show(total, time.perf_counter() - started)
    return 1 if total.broken else 0


def show(total: Tally, elapsed_s: float) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    hours = total.virtual_s / 3_600
    took = f"{elapsed_s:.0f} s, {total.cpu_s:.0f} s of CPU"
    for count, what in (
        (total.worlds, f"worlds in {took}, {hours:,.0f} hours of theirs"),
        (total.messages, f"messages of {total.segments:,} segments"),
        (total.steps, "steps, at each of which another thing might have come first"),
        (total.crashes, "crashes with a restart"),
    ):
        table.add_row(f"{count:,}", what)
    for what, count in sorted(total.happened.items(), key=lambda item: -item[1]):
        table.add_row(f"{count:,}", what)
    Console(width=100).print(table)
    if total.broken:
        print(total.describe_broken())
    print("no promise broke" if not total.broken else f"{len(total.broken)} worlds broke a promise")


if __name__ == "__main__":
    sys.exit(main())
