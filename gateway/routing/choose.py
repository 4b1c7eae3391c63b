"""The choice of a carrier for one message, now: failover in the order of its route.

Not here: which carriers are candidates (`table.py`). What the full form adds (weights, round
robin, least cost, sticky senders) is a reordering of the candidates before they come here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from gateway.model import CarrierId
from gateway.record import Record
from gateway.routing.health import Availability, Away, Usable


class Judged(Protocol):
    """Anything that can say how a carrier is: a `Breaker`, or the shell's whole view of one."""

    def availability(self, now: float) -> Availability: ...


class Use(Record):
    """Send it through this carrier."""

    __slots__ = ("carrier",)

    def __init__(self, carrier: CarrierId) -> None:
        self.carrier: Final = carrier


class Wait(Record):
    """No carrier takes it now, but one may come back: ask again at `until`."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until: Final = until


class NoRoute(Record):
    """No carrier will ever take it as things stand."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason: Final = reason


def choose_carrier(
    candidates: Iterable[CarrierId], carriers: Mapping[CarrierId, Judged], now: float
) -> Use | Wait | NoRoute:
    """Return the first candidate that is usable; else when the earliest one may be again.

    A candidate that `carriers` does not know was taken out of the settings after the message was
    accepted; it counts as gone.
    """
    until: float | None = None
    gone: list[str] = []
    for candidate in candidates:
        judged = carriers.get(candidate)
        if judged is None:
            gone.append(f"carrier {candidate} is not configured any more")
            continue
        state = judged.availability(now)
        if isinstance(state, Usable):
            return Use(candidate)
        if isinstance(state, Away):
            until = state.until if until is None else min(until, state.until)
        else:
            gone.append(f"carrier {candidate}: {state.reason}")
    if until is not None:
        return Wait(max(until, now))
    return NoRoute("; ".join(gone) or "no route leads to this number")
