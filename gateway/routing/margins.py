"""The floor under a sale: no carrier that takes more than the price leaves, unless that is wanted.

Not here: prices and costs themselves (`gateway/credit/`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.model import CarrierId, Micros
from gateway.routing.choice import CostOf


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be left of a segment's price after its carrier was paid."""

    margin_min_micros: Micros = Micros(0)
    unknown_refused: bool = False
    """Whether a carrier whose cost nobody knows may be used all the same."""


class Removed(msgspec.Struct, frozen=True, gc=False):
    """A carrier that would cost too much, and why."""

    carrier: CarrierId
    cost_micros: Micros | None
    """None: nobody knows it."""


class Affordable(msgspec.Struct, frozen=True, gc=False):
    """Which carriers stay, in their order, and which don't."""

    carriers: tuple[CarrierId, ...]
    removed: tuple[Removed, ...]


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
