"""The floor under a sale: no carrier that takes more than the price leaves, unless that is wanted.

Not here: prices and costs themselves (`gateway/credit/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model import CarrierId, Micros
from gateway.record import Record
from gateway.routing.choice import CostOf


class Floor(Record):
    """What has to be left of a segment's price after its carrier was paid."""

    __slots__ = ("margin_min_micros", "unknown_refused")

    def __init__(
        self, *, margin_min_micros: Micros = Micros(0), unknown_refused: bool = False
    ) -> None:
        self.margin_min_micros: Final = margin_min_micros
        self.unknown_refused: Final = unknown_refused
        """Whether a carrier whose cost nobody knows may be used all the same."""


class Removed(Record):
    """A carrier that would cost too much, and why."""

    __slots__ = ("carrier", "cost_micros")

    def __init__(self, carrier: CarrierId, cost_micros: Micros | None) -> None:
        self.carrier: Final = carrier
        self.cost_micros: Final = cost_micros
        """None: nobody knows it."""


class Affordable(Record):
    """Which carriers stay, in their order, and which don't."""

    __slots__ = ("carriers", "removed")

    def __init__(self, carriers: tuple[CarrierId, ...], removed: tuple[Removed, ...]) -> None:
        self.carriers: Final = carriers
        self.removed: Final = removed


def keep_affordable(
    carriers: Sequence[CarrierId], price_micros: Micros, cost_of: CostOf, floor: Floor
) -> Affordable:
    """Return the carriers that leave the floor's margin of the price of a segment."""
    kept: list[CarrierId] = []
    removed: list[Removed] = []
    for carrier in carriers:
        cost = cost_of(carrier)
        fits = not floor.unknown_refused if cost is None else _leaves(price_micros, cost, floor)
        if fits:
            kept.append(carrier)
        else:
            removed.append(Removed(carrier, cost))
    return Affordable(tuple(kept), tuple(removed))


def _leaves(price_micros: Micros, cost_micros: Micros, floor: Floor) -> bool:
    return price_micros - cost_micros >= floor.margin_min_micros
