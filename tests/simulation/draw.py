"""Run many worlds in as many processes as there are cores, and say what happened in them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.invariants import check_invariants
from tests.simulation.world import World

SHARE = 50
"""Worlds that a process is given at a time."""


@dataclass
class Tally:
    """What happened in some worlds."""

    worlds: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    messages: int = 0
    segments: int = 0
    crashes: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)
    """Seeds for which a promise broke, and which."""

    def add(self, other: Tally) -> None:
        for name in ("worlds", "steps", "virtual_s", "cpu_s", "messages", "segments", "crashes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.happened += other.happened
        self.broken |= other.broken

    def describe_broken(self, at_most: int = 20) -> str:
        """Return a line and the command that repeats it for each seed that broke a promise."""
        lines = [
            f"BROKEN {why}\n  {command_for(seed)}"
            for seed, why in sorted(self.broken.items())[:at_most]
        ]
        more = len(self.broken) - at_most
        return "\n".join([*lines, f"and {more} more"] if more > 0 else lines)


def command_for(seed: int) -> str:
    """Return the command that repeats one world, with its traceback."""
    return f"SEED={seed} python -m pytest tests/simulation -k whatever"


def draw_worlds(seeds: Sequence[int], processes: int | None = None) -> Tally:
    """Run these worlds to their ends; without `processes` on every core."""
    shares = [seeds[start : start + SHARE] for start in range(0, len(seeds), SHARE)]
    total = Tally()
    with ProcessPoolExecutor(processes or os.cpu_count()) as pool:
        for tally in pool.map(simulate, shares):
            total.add(tally)
    return total


def simulate(seeds: Sequence[int]) -> Tally:
    """Run these worlds to their ends, here."""
    tally = Tally()
    started_s = time.process_time()
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
    tally.cpu_s = time.process_time() - started_s
    return tally
