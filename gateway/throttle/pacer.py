"""A rate that holds in every second and in the long run, though nobody asks exactly in time.

Who waits for a segment's turn is woken late: by a millisecond of the timer's grain, by tens of
them while the loop is busy. A bucket that lets no more than the stated burst leave at once forgets
what was not asked for in time, and 1,000 a second become 500. So who waited and comes late may make
up for it, `LATE_S` worth of the rate, and a count of the last second keeps that from being seen:

    at once             the burst; more only by who was told to wait
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
ROUNDING_S: Final = 1e-6
"""Lest the last segment of a burst be a float's error late."""


class Pacer(TokenBucket):
    """A rate in segments a second (fractions too; 0: no limit) with a stated burst in segments.

    `started_at` is when its process began: who sent before that, and how much, is not known, so
    nothing is granted for free afterwards. None: nobody did. Clocks as in `TokenBucket`.
    """

    __slots__ = ("_busy_at", "_ceiling", "_last_second", "_late_s", "_sent", "_stated", "_waiting")

    def __init__(
        self, rate_per_s: float | None, burst: int = 1, *, started_at: float | None = None
    ) -> None:
        """Raises ConfigError for a rate or a burst that can't be one."""
        super().__init__(rate_per_s, burst)
        self._stated = burst
        self._late_s = 0.0
        """For so long segments may be made up for, beyond the burst."""
        self._ceiling = 0
        """Segments in any second."""
        self._sent: deque[tuple[float, int]] = deque()
        """When how many left in the last second."""
        self._last_second = 0
        self._waiting = False
        """Whether somebody was told to wait, and nothing left since."""
        self._busy_at = -math.inf
        """When the last one left that was waited for."""
        self._set_tolerance(-math.inf if started_at is None else started_at)
        if started_at is not None:
            self.hold_until(started_at + LATE_S)

    @property
    def burst(self) -> int:
        """Segments above the rate that any one second may see."""
        return self._stated

    def take(self, count: int, now: float) -> Send | Wait:
        """Take `count` segments, all or none.

        More than the burst are granted when the burst might leave, and leave a debt: a message
        longer than the burst must be able to leave at all. A second sees more than rate + burst
        only by one that is longer than that.
        """
        if not self._interval_s:
            return SEND
        until = self._until(count, now)
        if now < until:
            self._waiting = True
            return Wait(until)
        self._note(count, now)
        return SEND

    def charge(self, count: int, now: float) -> None:
        """Count segments that left without being asked for; what leaves next waits for them."""
        if count and self._interval_s:
            self._look(now)
            self._note(count, now)

    def ready_at(self, count: int, now: float) -> float:
        """Return when so many segments may leave: `now`, or later; then who asks is waiting."""
        if not self._interval_s:
            return now
        until = self._until(count, now)
        if until <= now:
            return now
        self._waiting = True
        return until

    def spare(self, now: float) -> int:
        """Return how many single segments could be taken now, one after another.

        Asked where there is a rate only.
        """
        self._look(now)
        spare = max(0, min(super().spare(now), self._ceiling - self._last_second))
        self._waiting |= not spare
        return spare

    def change(self, rate_per_s: float | None, burst: int, now: float) -> None:
        """Go on at another rate and burst; what left already counts on."""
        self.change_rate(rate_per_s, now)
        self._stated = burst
        self._set_tolerance(now)

    def _set_tolerance(self, now: float) -> None:
        rate_per_s = self.rate_per_s
        self.change_burst(max(self._stated, 1.0 + rate_per_s * LATE_S), now)
        self._late_s = (self._burst - self._stated) * self._interval_s
        # Rounded down: a part of a segment can't leave.
        self._ceiling = math.floor(rate_per_s) + self._stated

    def _until(self, count: int, now: float) -> float:
        """Return when so many may leave: now is late enough if it is past that."""
        self._look(now)
        stated = self._stated
        # More than the burst leave when the burst might, and are paid for afterwards.
        spare = self._burst - (count if count < stated else stated)
        until = self._full_at - spare * self._interval_s
        if self._last_second + count > self._ceiling and self._sent:
            return max(until, self._room_at(count, now))
        return until

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

    def _look(self, now: float) -> None:
        """Bring everything up to now."""
        sent = self._sent
        while sent and sent[0][0] + SECOND_S <= now:
            self._last_second -= sent.popleft()[1]
        if not self._waiting and self._busy_at != now:  # nobody has come late
            self._full_at = max(self._full_at, now + self._late_s - ROUNDING_S)

    def _note(self, count: int, now: float) -> None:
        self._full_at = max(self._full_at, now) + count * self._interval_s
        self._sent.append((now, count))
        self._last_second += count
        if self._waiting:
            self._waiting = False
            self._busy_at = now
