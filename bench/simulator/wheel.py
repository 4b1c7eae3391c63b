"""What falls due when: things in buckets of a millisecond.

A heap of single entries costs a comparison chain a message; here a message costs one append, and
the heap holds one number a millisecond. The shell arms one timer for `next_s`.
"""

from __future__ import annotations

import heapq
from typing import Generic, TypeVar

T = TypeVar("T")

_BUCKETS_PER_S = 1_000


class Wheel(Generic[T]):
    """Holds things until their time, in the order of their times and then of their coming."""

    __slots__ = ("_buckets", "_ticks", "_waiting")

    def __init__(self) -> None:
        self._buckets: dict[int, list[T]] = {}
        self._ticks: list[int] = []
        self._waiting = 0

    def __len__(self) -> int:
        return self._waiting

    def add(self, due_s: float, thing: T) -> None:
        """Keep `thing` until `due_s`, rounded up to the next millisecond."""
        tick = int(due_s * _BUCKETS_PER_S) + 1
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = [thing]
            heapq.heappush(self._ticks, tick)
        else:
            bucket.append(thing)
        self._waiting += 1

    def next_s(self) -> float | None:
        """Return when the first thing falls due, None when nothing waits."""
        return self._ticks[0] / _BUCKETS_PER_S if self._ticks else None

    def take_due(self, now: float) -> list[T]:
        """Return everything that is due at `now`, and forget it."""
        # A tick divided and multiplied again may fall short of itself by one rounding.
        limit = now * _BUCKETS_PER_S + 1e-3
        due: list[T] = []
        while self._ticks and self._ticks[0] <= limit:
            due += self._buckets.pop(heapq.heappop(self._ticks))
        self._waiting -= len(due)
        return due
