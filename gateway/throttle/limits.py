"""What holds messages back, and for how long: so that somebody can say which limit bound.

Not here: the limits themselves (`adaptive.py`, `pacer.py`, `gateway/ceilings.py`), who notes them
(`gateway/carriers.py`).
"""

from __future__ import annotations

import enum


class Limit(enum.IntFlag):
    """Why a message that waits for a carrier does not leave at this moment.

    The first six hold everything that waits, and one of them does; ACCOUNT and DESTINATION hold
    some messages while others leave.
    """

    RATE = 1
    """The carrier's agreed rate."""
    THROTTLED = 2
    """Less than that, because the carrier complained."""
    BIND_RATE = 4
    """The rates of its binds."""
    WINDOW = 8
    """As many submissions as allowed are unanswered, or answered and not yet committed."""
    UNBOUND = 16
    """No bind takes submissions."""
    STORE = 32
    """Outcomes can't be written."""
    ACCOUNT = 64
    """The ceilings of some accounts."""
    DESTINATION = 128
    """The carrier's ceilings for some destinations."""

    @property
    def wire(self) -> str:
        assert self.name is not None, "one limit has a name, several have none"
        return self.name.lower()


NONE = Limit(0)


class LimitClock:
    """Adds up for how long each limit has held something back."""

    __slots__ = ("_seconds", "_since", "holding")

    def __init__(self) -> None:
        self.holding = NONE
        self._since = 0.0
        self._seconds: dict[Limit, float] = {}

    def note(self, holding: Limit, now: float) -> None:
        """Note what holds messages back from now on; nearly always the same as before."""
        if holding != self.holding:
            self._add_up(now)
            self.holding = holding

    def drain(self, now: float) -> dict[Limit, float]:
        """Return the seconds that each limit has held something back since the last call."""
        self._add_up(now)
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _add_up(self, now: float) -> None:
        for limit in self.holding:
            self._seconds[limit] = self._seconds.get(limit, 0.0) + now - self._since
        self._since = now
