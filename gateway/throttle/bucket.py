"""A token bucket that answers *when*: it takes `now`, returns a time, and never sleeps.

In any span of T seconds at most `rate x T + burst` segments are granted. The whole state is one
number, the time at which the bucket will be full again, so nothing is refilled, nothing drifts,
and rates far below one a second are as exact as any.

Not here: what carriers make of the rate (`adaptive.py`), the order of what waits (`lanes.py`).
"""

from __future__ import annotations

import math
from typing import Final

from gateway.errors import ConfigError
from gateway.record import Record


class Send(Record):
    """The segments may leave now, and are counted."""

    __slots__ = ()


class Wait(Record):
    """Nothing was counted; the same question at `until` (clock of `now`) is granted, if nobody
    else took something in between."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until: Final = until


SEND: Final = Send()


class TokenBucket:
    """A rate in segments a second (fractions too; 0 or None: no limit) and a burst in segments.

    Times are seconds of one monotonic clock. A clock that steps back grants nothing more than it
    had already promised: waits keep their absolute times.
    """

    __slots__ = ("_burst", "_full_at", "_interval_s", "_rate_per_s")

    def __init__(self, rate_per_s: float | None, burst: float = 1) -> None:
        self._burst = _checked(burst)
        self._rate_per_s = rate_per_s or 0.0
        self._interval_s = _interval(rate_per_s)
        self._full_at = -math.inf

    @property
    def rate_per_s(self) -> float:
        """Segments a second; 0.0 when there is no limit."""
        return self._rate_per_s

    @property
    def burst(self) -> float:
        return self._burst

    def take(self, count: int, now: float) -> Send | Wait:
        """Take `count` segments, all or none.

        More than `burst` are granted when the bucket is full and leave a debt: a message longer
        than the burst must be able to leave at all. The bound then holds over `count / rate`
        seconds instead of one, so where it can be chosen, take one segment at a time.
        """
        interval_s = self._interval_s
        if not interval_s:
            return SEND
        full_at = self._full_at
        spare = self._burst - count
        until = full_at - spare * interval_s if spare > 0 else full_at
        if now < until:
            return Wait(until)
        self._full_at = (full_at if full_at > now else now) + count * interval_s
        return SEND

    def charge(self, count: int, now: float) -> None:
        """Count segments that left without being asked for; what leaves next waits for them."""
        self._full_at = max(self._full_at, now) + count * self._interval_s

    def ready_at(self, count: int, now: float) -> float:
        """Return when so many segments may leave: `now`, or later. Takes nothing."""
        spare = max(0.0, self._burst - count)
        return max(now, self._full_at - spare * self._interval_s)

    def spare(self, now: float) -> int:
        """Return how many single segments could be taken now, one after another.

        Asked where there is a rate only: without one there is no number to name.
        """
        assert self._interval_s, "without a rate everything may leave"
        missing = max(0.0, self._full_at - now) / self._interval_s
        return max(0, math.floor(self._burst - missing))

    def change_rate(self, rate_per_s: float | None, now: float) -> None:
        """Go on at another rate; what the bucket holds or owes stays the same in segments."""
        interval_s = _interval(rate_per_s)
        if self._interval_s and self._full_at > now:
            missing = (self._full_at - now) / self._interval_s
            self._full_at = now + missing * interval_s
        self._interval_s = interval_s
        self._rate_per_s = rate_per_s or 0.0

    def change_burst(self, burst: float, now: float) -> None:
        """Go on with another burst: what may leave now stays the same, up to the new burst."""
        spare = self._burst - burst
        self._burst = _checked(burst)
        # Full at the same time when it holds as much as before; a fuller one is full at once.
        self._full_at = max(self._full_at, now) - spare * self._interval_s

    def hold_until(self, at: float) -> None:
        """Grant nothing until `at`, and have the bucket empty then: no burst ends a pause.

        Without a rate there is nothing to hold.
        """
        self._full_at = max(self._full_at, at + self._burst * self._interval_s)


def _checked(burst: float) -> float:
    if not burst >= 1:
        raise ConfigError("burst", f"{burst:g} is less than one segment: nothing could leave")
    return burst


def _interval(rate_per_s: float | None) -> float:
    """Seconds a segment; 0.0 for no limit, so that nothing divides by the rate."""
    if not rate_per_s:
        return 0.0
    if not 0 < rate_per_s < math.inf:
        raise ConfigError("rate_per_s", f"{rate_per_s} is no rate: a number of segments, or 0")
    return 1.0 / rate_per_s
