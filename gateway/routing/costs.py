"""What carriers take for a segment, as routing asks for it.

Not here: the lists themselves, their dates and where they come from (`gateway/credit/`).
"""

from __future__ import annotations

from typing import Protocol

from gateway.model import CarrierId, Micros


class Costs(Protocol):
    """Knows what carriers take. Asked while a message is accepted, so an answer comes at once."""

    def cost(self, carrier_id: CarrierId, e164: str, operator: str, at_s: int) -> Micros | None:
        """Return what a carrier takes for one segment to a number, in the unit of prices.

        `e164` has no plus sign; `operator` is an `Operator.code` ("26201"), "" for an unknown
        one; `at_s` is in seconds since the epoch. None: nobody has said what this carrier takes
        for this destination.
        """
        ...
