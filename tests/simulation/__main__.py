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
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table

from tests.simulation.invariants import check_invariants
from tests.simulation.world import World

SHARE = 50
"""Worlds that a process is given at a time."""
SHOWN_MAX = 20


@dataclass
class Tally:
    """What happened in some worlds."""

    worlds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    messages: int = 0
    segments: int = 0
    crashes: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)
    """Seeds for which a promise broke, and which."""

    def add(self, other: Tally) -> None:
        for name in ("worlds", "steps", "virtual_s", "messages", "segments", "crashes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.happened += other.happened
        self.broken |= other.broken


def simulate(seeds: Sequence[int]) -> Tally:
    """Run these worlds to their ends."""
    tally = Tally()
    for seed in seeds:
        world = World(seed)
        try:
            check_invariants(world.run())
        except Exception as error:
            tally.broken[seed] = f"{type(error).__name__}: {error}".splitlines()[0]
        tally.worlds += 1
        tally.steps += world.steps
        tally.virtual_s += world.now
        tally.messages += len(world.store.messages)
        tally.segments += sum(message.segments for message in world.store.messages.values())
        tally.crashes += world.crashes
        tally.happened += world.seen
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--worlds", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (0)")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.worlds)
    shares = [seeds[start : start + SHARE] for start in range(0, len(seeds), SHARE)]
    started = time.perf_counter()
    total = Tally()
    with ProcessPoolExecutor(options.processes) as pool:
        for tally in pool.map(simulate, shares):
            total.add(tally)
    show(total, time.perf_counter() - started)
    return 1 if total.broken else 0


def show(total: Tally, elapsed_s: float) -> None:
    table = Table(box=None, show_header=False)
    table.add_column(justify="right")
    table.add_column()
    hours = total.virtual_s / 3_600
    for count, what in (
        (total.worlds, f"worlds in {elapsed_s:.0f} s, {hours:,.0f} hours of theirs"),
        (total.messages, f"messages of {total.segments:,} segments"),
        (total.steps, "steps, at each of which another thing might have come first"),
        (total.crashes, "crashes with a restart"),
    ):
        table.add_row(f"{count:,}", what)
    for what, count in sorted(total.happened.items(), key=lambda item: -item[1]):
        table.add_row(f"{count:,}", what)
    Console(width=100).print(table)
    for seed, why in list(total.broken.items())[:SHOWN_MAX]:
        print(f"BROKEN {why}\n  SEED={seed} python -m pytest tests/simulation -k whatever")
    more = len(total.broken) - SHOWN_MAX
    if more > 0:
        print(f"and {more} more")
    print("no promise broke" if not total.broken else f"{len(total.broken)} worlds broke a promise")


if __name__ == "__main__":
    sys.exit(main())
