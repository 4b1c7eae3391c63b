"""The node's clocks: how much time has really passed, and what follows when one was set.

What that means is `passed.py`'s. A clock that was set is looked for every second; what was put off
by a clock that was ahead is brought forward then, and the days that it shows get their partitions.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from gateway.logs import get_logger
from gateway.passed import PassedTime, Stretch
from gateway.periodic import repeat

log = get_logger("clock")

LOOK_S: Final = 1.0
KEEP_S: Final = 60.0
"""How often what has passed is kept; what passed since is not counted after a crash."""
BELIEVED_S: Final = 86_400.0
"""What deletes data goes by a time of day that has stood so long."""


class Stretches(Protocol):
    """Where a node's stretches are kept. Both may raise StoreUnavailable."""

    async def load(self) -> tuple[float, list[Stretch]]: ...

    async def save(self, noted_s: float, stretches: list[Stretch]) -> None: ...


WasSet = Callable[[], Awaitable[None]]
"""Hears that the clock was set; again, if it raises."""


class Clock:
    """Says what time it is for what waits. Reads both of the machine's clocks."""

    def __init__(self, passed: PassedTime | None = None) -> None:
        self._passed = passed or PassedTime(time.monotonic(), time.time())
        self._times_set = 0
        self._set_back_s = 0.0
        """By how much it was set back, in all."""
        self._told_s: dict[str, float] = {}
        """Of that, how much was told to whom."""
        self._starting = True
        self._look()

    def after(self, seconds: float) -> float:
        """Return the time of day to compare with where something ends `seconds` after what is
        stored: the clock's, less what it was set ahead since. It never makes anything end early.
        """
        self._look()
        return self._passed.before(seconds) + seconds

    def believed(self) -> float:
        """Return the time of day for what can't be undone: one that has stood BELIEVED_S."""
        self._look()
        return self._passed.slowest(BELIEVED_S)

    def age_s(self, at: float) -> float:
        """Return how many seconds ago something was that carries the time of day `at`."""
        self._look()
        return self._passed.age_s(at)

    def take_set_back(self, who: str) -> float:
        """Return by how many seconds the clock was set back that `who` has not been told of:
        what was put off by it is due so much sooner."""
        self._look()
        told_s, self._told_s[who] = self._told_s.get(who, 0.0), self._set_back_s
        return self._set_back_s - told_s

    async def watch(self, store: Stretches, was_set: WasSet) -> None:
        """Look at the clock, and keep what is known of it, until cancelled."""
        kept_at, kept, told = -math.inf, 0, 0

        async def look() -> None:
            nonlocal kept_at, kept, told
            self._look()
            now, times_set = time.monotonic(), self._times_set
            if kept < times_set or now >= kept_at + KEEP_S:
                await store.save(self._passed.noted_s, self._passed.stretches)
                kept_at, kept = now, times_set
            if told < times_set:
                await was_set()
                told = times_set

        await repeat("clock", LOOK_S, look)

    def _look(self) -> None:
        moved_s = self._passed.note(time.monotonic(), time.time())
        starting, self._starting = self._starting, False
        if not moved_s:
            return
        self._times_set += 1
        self._set_back_s += max(0.0, -moved_s)
        if moved_s < 0 or not starting:  # at a start it may be the time in which nobody ran
            log.warning("clock_set", seconds=round(moved_s, 3))


async def load_clock(store: Stretches) -> Clock:
    """Return a clock that goes on from what was known at the last one's end."""
    passed_s, stretches = await store.load()
    return Clock(PassedTime(time.monotonic(), time.time(), passed_s, stretches))
