"""A rate that holds in every second and in the long run, though nobody asks exactly in time.

Who waits for a segment's turn is woken late: by a millisecond of the timer's grain, by tens of
them while the loop is busy. A bucket that lets no more than the stated burst leave at once forgets
what was not asked for in time, and 1,000 a second become 500. So what is late may be made up for,
`LATE_S` worth of the rate, and a count of the last second keeps that from being seen:

    in any second       at most rate + burst, whatever was late
    in any T seconds    at most rate x T + max(burst, 1 + rate x LATE_S)

Not here: what carriers make of the rate (`adaptive.py`).
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from gateway.throttle.bucket import SEND, Send, TokenBucket, Wait

LATE_S: Final = 0.05
"""Longer than the loop is ever held up when all is well; a commit's callbacks take some 20 ms."""

SECOND_S: Final = 1.0 + 1e-6
"""A second with both its ends, and with room for how floats add up."""


class Pacer:
    """A rate in segments a second (fractions too; 0: no limit) with a stated burst in segments.

    `started_at` is when its process began: who sent before that, and how much, is not known, so
    nothing is granted for free afterwards. None: nobody did. Clocks as in `TokenBucket`.
    """

    __slots__ = ("_bucket", "_burst", "_ceiling", "_last_second", "_sent")

    def __init__(
        self, rate_per_s: float | None, burst: int = 1, *, started_at: float | None = None
    ) -> None:
        """Raises ConfigError for a rate or a burst that can't be one."""
        self._bucket = TokenBucket(rate_per_s, burst)
        self._burst = burst
        self._ceiling = 0
        """Segments in any second; 0: no limit."""
        self._sent: deque[tuple[float, int]] = deque()
        """When how many left in the last second."""
        self._last_second = 0
        self._set_tolerance(-math.inf if started_at is None else started_at)
        if started_at is not None:
            self._bucket.hold_until(started_at + LATE_S)

    @property
    def rate_per_s(self) -> float:
        """Segments a second; 0.0 when there is no limit."""
        return self._bucket.rate_per_s

    @property
    def burst(self) -> int:
        """Segments above the rate that any one second may see."""
        return self._burst

    def take(self, count: int, now: float) -> Send | Wait:
        """Take `count` segments, all or none.

        More than the burst are granted once all that went before is paid for, and leave a debt:
        a message longer than the burst must be able to leave at all. Such a second sees `count`
        segments, and the rate is kept over `count / rate` seconds instead.
        """
        if not self._ceiling:
            return SEND
        self._forget(now)
        if self._last_second + count > self._ceiling and self._sent:
            return Wait(max(self._room_at(count, now), self._bucket.ready_at(count, now)))
        granted = self._bucket.take(count, now)
        if granted is SEND:
            self._sent.append((now, count))
            self._last_second += count
        return granted

    def charge(self, count: int, now: float) -> None:
        """Count segments that left without being asked for; what leaves next waits for them."""
        if count and self._ceiling:
            self._bucket.charge(count, now)
            self._sent.append((now, count))
            self._last_second += count

    def ready_at(self, now: float, count: int = 1) -> float:
        """Return when so many segments may leave: `now`, or later. Takes nothing."""
        if not self._ceiling:
            return now
        self._forget(now)
        return max(self._bucket.ready_at(count, now), self._room_at(count, now))

    def spare(self, now: float) -> int:
        """Return how many single segments could be taken now, one after another.

        Asked where there is a rate only.
        """
        self._forget(now)
        return max(0, min(self._bucket.spare(now), self._ceiling - self._last_second))

    def change(self, rate_per_s: float | None, burst: int, now: float) -> None:
        """Go on at another rate and burst; what left already counts on."""
        self._bucket.change_rate(rate_per_s, now)
        self._burst = burst
        self._set_tolerance(now)

    def hold_until(self, at: float) -> None:
        """Grant nothing until `at`, and nothing for free then; see `TokenBucket.hold_until`."""
        self._bucket.hold_until(at)

    def _set_tolerance(self, now: float) -> None:
        rate_per_s = self._bucket.rate_per_s
        self._bucket.change_burst(max(self._burst, 1.0 + rate_per_s * LATE_S), now)
        # Rounded down: a part of a segment can't leave.
        self._ceiling = math.floor(rate_per_s) + self._burst if rate_per_s else 0

    def _room_at(self, count: int, now: float) -> float:
        """Return when the last second has room for so many more."""
        excess = self._last_second + count - self._ceiling
        until = now
        for at, left in self._sent:
            if excess <= 0:
                break
            excess -= left
            until = at + SECOND_S
        return until

    def _forget(self, now: float) -> None:
        sent = self._sent
        while sent and sent[0][0] + SECOND_S <= now:
            self._last_second -= sent.popleft()[1]
