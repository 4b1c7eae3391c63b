"""How much time has really passed since something happened, whatever the clock was set to.

What is stored carries the time of day. Anybody may set that, by minutes or by years, and set it
back. So the gateway keeps an odometer, the seconds it has run, and remembers how far the time of
day was ahead of that and since when: each *stretch* ends where the clock was set. From these
follows which times of day are certainly so many seconds ago.

Time in which no gateway ran counts for nothing, since nobody could have heard what was waited for,
and a clock that was set meanwhile would look the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

SET_S: Final = 1.0
"""A clock that has moved by more against the odometer was set; slower is how clocks drift."""
KEPT_S: Final = 60 * 86_400.0
"""Stretches that ended longer ago are forgotten; no wait is longer."""
STRETCHES_MAX: Final = 1_000
"""Past it the oldest are forgotten: a machine whose clock never stands must not cost more."""


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A time in which the clock was not set."""

    begun_s: float
    """What the odometer showed at the last look before: it had not begun then."""
    seen_s: float
    """What the odometer showed when it was found to have begun."""
    ahead_s: float
    """The time of day less what the odometer showed."""


class PassedTime:
    """The odometer. `now` is monotonic, `wall` the time of day; both of the same moment."""

    def __init__(
        self, now: float, wall: float, passed_s: float = 0.0, stretches: Iterable[Stretch] = ()
    ) -> None:
        """Go on from `passed_s` with `stretches`, in order, as they were kept; `note` the clock
        then, which may have been set since."""
        self._base_s = passed_s - now
        self.noted_s = passed_s
        """What the odometer showed at the last look at the clock."""
        self.stretches = list(stretches) or [Stretch(passed_s, passed_s, wall - passed_s)]

    def note(self, now: float, wall: float) -> float:
        """Look at the clock; return by how much it was set ahead since the last look, negative for
        back, 0.0 when it was not set."""
        passed_s = self._base_s + now
        moved_s = wall - passed_s - self.stretches[-1].ahead_s
        since_s, self.noted_s = self.noted_s, passed_s
        if abs(moved_s) <= SET_S:
            return 0.0
        self.stretches.append(Stretch(since_s, passed_s, wall - passed_s))
        self._forget(passed_s - KEPT_S)
        return moved_s

    def before(self, seconds: float) -> float:
        """Return a time of day: everything that carries it or an earlier one was `seconds` or more
        before the last look at the clock."""
        since_s = self.noted_s - seconds
        return min(max(begun_s, since_s) + ahead_s for begun_s, _, ahead_s in self._since(since_s))

    def slowest(self, seconds: float) -> float:
        """Return the earliest time of day that the clock would show had it not been set within the
        last `seconds`: what can't be undone is done by a time that has stood so long."""
        return self.noted_s + min(ahead_s for _, _, ahead_s in self._since(self.noted_s - seconds))

    def age_s(self, at: float) -> float:
        """Return how many seconds ago something was that carries the time of day `at`; where the
        clock has shown that more than once, for the last time."""
        latest_s = -math.inf
        for begun_s, ended_s, ahead_s in self._since(-math.inf):
            shown_s = at - ahead_s
            if begun_s - SET_S <= shown_s <= ended_s + SET_S:
                return max(0.0, self.noted_s - shown_s)
            if shown_s > ended_s:  # the clock has not shown it by then: no sooner than this
                latest_s = max(latest_s, ended_s)
        return self.noted_s - latest_s

    def _since(self, since_s: float) -> Iterator[tuple[float, float, float]]:
        """Yield (begun_s, ended_s, ahead_s) of the stretches that ended after this, the last one
        first. What was before the first one is taken for a part of it."""
        ended_s = self.noted_s
        for place in range(len(self.stretches) - 1, -1, -1):
            stretch = self.stretches[place]
            yield stretch.begun_s if place else -math.inf, ended_s, stretch.ahead_s
            ended_s = stretch.seen_s
            if ended_s <= since_s:
                return

    def _forget(self, before_s: float) -> None:
        stretches = self.stretches
        while len(stretches) > 1 and (
            stretches[1].seen_s < before_s or len(stretches) > STRETCHES_MAX
        ):
            del stretches[0]
