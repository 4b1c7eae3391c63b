"""Money in two phases: what is reserved for a message closes exactly once, segment by segment.

    open ──► posted ──► refunded      the carrier took the segment; later it is given back
      └────► voided                   it will not be sent

A message's price is reserved when it is accepted. Each segment's part of it is posted when a
carrier takes the segment and voided when it can't be sent any more; whatever is reported after
that changes nothing, but a refund, which gives back what was posted, once. So every part ends in
exactly one of posted, voided and refunded.

Not here: prices (`prices.py`), the rows and the transactions that hold to this (`store/`).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Final

from gateway.lifecycle import EventKind
from gateway.model import Micros
from gateway.record import Record


class Fate(enum.Enum):
    """What became of one segment's part of the reservation."""

    OPEN = "open"
    POSTED = "posted"
    VOIDED = "voided"
    REFUNDED = "refunded"


class Move(Record):
    """Money that one event moves; all zero when it moves none."""

    __slots__ = ("posted_micros", "refunded_micros", "voided_micros")

    def __init__(
        self,
        posted_micros: Micros = Micros(0),
        voided_micros: Micros = Micros(0),
        refunded_micros: Micros = Micros(0),
    ) -> None:
        self.posted_micros: Final = posted_micros
        self.voided_micros: Final = voided_micros
        self.refunded_micros: Final = refunded_micros


NOTHING: Final = Move()

_CLOSES: Final[dict[EventKind, Fate]] = {
    EventKind.SUBMITTED: Fate.POSTED,
    EventKind.REFUSED: Fate.VOIDED,
    EventKind.EXPIRED: Fate.VOIDED,
    EventKind.CANCELED: Fate.VOIDED,
    EventKind.UNROUTABLE: Fate.VOIDED,
    # Nobody knows whether the carrier took it, and only its word makes a customer pay.
    EventKind.HELD: Fate.VOIDED,
}
"""How an event closes an open segment. LEAVING and RETRY leave it open; RECEIPT and NO_RECEIPT
tell of a handset, not of money; REFUND reopens nothing (`apply_refund`)."""


class Reservation(Record):
    """A message's money: its price, cut into equal parts, and what became of each."""

    __slots__ = ("each_micros", "fates")

    def __init__(self, each_micros: Micros, fates: tuple[Fate, ...]) -> None:
        self.each_micros: Final = each_micros
        self.fates: Final = fates

    @property
    def price_micros(self) -> Micros:
        return Micros(self.each_micros * len(self.fates))

    @property
    def posted_micros(self) -> Micros:
        """What was posted, refunded or not: a refund is booked beside it."""
        return self._sum(Fate.POSTED, Fate.REFUNDED)

    @property
    def voided_micros(self) -> Micros:
        return self._sum(Fate.VOIDED)

    @property
    def refunded_micros(self) -> Micros:
        return self._sum(Fate.REFUNDED)

    @property
    def reserved_micros(self) -> Micros:
        """What is neither posted nor voided yet."""
        return self._sum(Fate.OPEN)

    @property
    def closed(self) -> bool:
        return Fate.OPEN not in self.fates

    def _sum(self, *fates: Fate) -> Micros:
        return Micros(self.each_micros * sum(fate in fates for fate in self.fates))


def reserve(price_micros: Micros, segments: int) -> Reservation:
    """Return the reservation of an accepted message; the price is for all its segments."""
    assert segments >= 1, "a message has at least one segment"
    assert price_micros >= 0, "a message never earns its sender money"
    each, rest = divmod(price_micros, segments)
    assert rest == 0, "a price is a whole number of micro-units a segment"
    return Reservation(Micros(each), (Fate.OPEN,) * segments)


def apply_event(
    reservation: Reservation, segment: int, kind: EventKind
) -> tuple[Reservation, Move]:
    """Return the reservation after an event of one segment (1 … segments), and what it moves."""
    if kind is EventKind.REFUND:
        return apply_refund(reservation, segment)
    fate = _CLOSES.get(kind)
    if fate is None or reservation.fates[_index(reservation, segment)] is not Fate.OPEN:
        return reservation, NOTHING
    each = reservation.each_micros
    move = Move(posted_micros=each) if fate is Fate.POSTED else Move(voided_micros=each)
    return _replace(reservation, segment, fate), move


def apply_refund(reservation: Reservation, segment: int) -> tuple[Reservation, Move]:
    """Return the reservation after one segment (1 … segments) was given back.

    Only what is posted can be, and only once.
    """
    if reservation.fates[_index(reservation, segment)] is not Fate.POSTED:
        return reservation, NOTHING
    move = Move(refunded_micros=reservation.each_micros)
    return _replace(reservation, segment, Fate.REFUNDED), move


def settle(
    price_micros: Micros, segments: int, events: Iterable[tuple[int, EventKind]]
) -> Reservation:
    """Return what a message's events, in their order, make of its price."""
    reservation = reserve(price_micros, segments)
    for segment, kind in events:
        reservation, _ = apply_event(reservation, segment, kind)
    return reservation


def _index(reservation: Reservation, segment: int) -> int:
    assert 1 <= segment <= len(reservation.fates), f"no segment {segment}"
    return segment - 1


def _replace(reservation: Reservation, segment: int, fate: Fate) -> Reservation:
    index = _index(reservation, segment)
    fates = (*reservation.fates[:index], fate, *reservation.fates[index + 1 :])
    after = Reservation(reservation.each_micros, fates)
    parts = after.posted_micros + after.voided_micros + after.reserved_micros
    assert parts == after.price_micros, "a micro-unit was lost or made"
    return after
