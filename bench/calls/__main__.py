"""Count what the hot path costs in calls and SQL statements a message.

python -m bench.calls                     calls a message by load and room
python -m bench.calls --functions 40      and the functions that are called most
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from bench.calls.outside import Mode
from bench.calls.run import Counted, count_alone
from bench.report import show_rows
from gateway.config import Log
from gateway.logs import setup_logging


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.calls", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--functions", type=int, default=0, help="how many to name (0)")
    options = parser.parse_args(argv)
    setup_logging(Log(level="error"))
    counted = count_alone()
    console = Console(width=120, highlight=False)
    show_rows(console, tabulate(counted))
    for mode, each in counted.items():
        if options.functions:
            console.print(f"\n{mode}: calls a message")
        for name, calls in each.calls.python.most_common(options.functions):
            console.print(f"{calls / each.messages:8.2f}  {name}")
    return 0


def tabulate(counted: Mapping[Mode, Counted]) -> list[list[str]]:
    """Return a row a room and a column a load, with the sums in front."""
    rooms = {mode: each.calls.by_room() for mode, each in counted.items()}
    rows = [["a message", *counted]]
    rows.append(["Python calls", *(f"{each.calls_each:.1f}" for each in counted.values())])
    rows.append(["C calls", *(f"{each.builtin_calls_each:.1f}" for each in counted.values())])
    rows.append(["SQL statements", *(f"{each.statements_each:.4f}" for each in counted.values())])
    for room in sorted(set().union(*rooms.values())):
        shares = [rooms[mode][room] / each.messages for mode, each in counted.items()]
        if max(shares) >= 0.1:  # what runs by the clock is less
            rows.append([f"  {room}", *(f"{share:.1f}" for share in shares)])
    return rows


if __name__ == "__main__":
    sys.exit(main())
