"""What carriers charge for a segment: the other side of the price, for routing and for margins.

Costs are in one unit, the one that prices are compared with. How a line is found: `rates.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.credit.rates import RateTable
from gateway.model import CarrierId, Micros


class Costs:
    """Each carrier's cost list; a carrier without one, or without a line, costs nobody knows."""

    __slots__ = ("_by_carrier",)

    def __init__(self, by_carrier: Mapping[CarrierId, RateTable]) -> None:
        self._by_carrier = dict(by_carrier)

    def __bool__(self) -> bool:
        """Say whether any cost is known at all."""
        return bool(self._by_carrier)

    def cost(self, carrier_id: CarrierId, e164: str, operator: str, at_s: int) -> Micros | None:
        """Return what the carrier takes for a segment to this number, None when nobody knows.

        `operator` is MCC and MNC ("26201"), "" when it isn't known; `at_s` seconds since the epoch.
        About 0.4 µs.
        """
        table = self._by_carrier.get(carrier_id)
        if table is None:
            return None
        rate = table.find(e164, operator, None, at_s)
        return None if rate is None else rate.micros


NO_COSTS = Costs({})
