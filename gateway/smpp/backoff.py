"""When a bind that ended is tried again: a pure row of delays.

Chance comes in as a function, so that a test can fix it. Waiting is `client.py`'s.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from gateway.smpp.settings import Pace

_DOUBLINGS_MAX = 32
"""Past any ceiling; keeps the power of two small in a carrier's year of absence."""


class Ending(enum.Enum):
    """How the last attempt to hold a bind ended."""

    LOST = enum.auto()
    """It was bound for a while."""
    FAILED = enum.auto()
    """No connection, no answer, refused for a while, or bound only for a moment."""
    BAD_CREDENTIALS = enum.auto()


class Backoff:
    """Exponential, with full jitter: a carrier that comes back is not met by everybody at once."""

    __slots__ = ("_failures", "_pace", "_random", "_refusals")

    def __init__(self, pace: Pace, random: Callable[[], float]) -> None:
        self._pace = pace
        self._random = random
        self._failures = 0
        self._refusals = 0

    def next_delay_s(self, ending: Ending) -> float:
        """Return how long to wait before the next attempt."""
        pace = self._pace
        if ending is Ending.BAD_CREDENTIALS:
            # Jitter above the pace, not below it: slow is the point.
            self._refusals = min(self._refusals + 1, _DOUBLINGS_MAX)
            ceiling_s = min(pace.slow_max_s, pace.slow_first_s * 2.0**self._refusals)
            return pace.slow_first_s + self._random() * max(0.0, ceiling_s - pace.slow_first_s)
        self._refusals = 0
        if ending is Ending.LOST:
            self._failures = 0
        delay_s = self._random() * min(pace.max_s, pace.first_s * 2.0**self._failures)
        self._failures = min(self._failures + 1, _DOUBLINGS_MAX)
        return delay_s
