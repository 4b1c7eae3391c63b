"""One carrier's binds, and how it is spoken to.

Not here: what waits for it (`carrier_state.py`), how a line is made from settings (`lines.py`),
what is done with it (`carriers.py`).
"""

from __future__ import annotations

import asyncio

from gateway.dlr.dialects import Dialect
from gateway.dlr.ids import FormerRule, IdRule
from gateway.metrics import CarrierMetrics
from gateway.model import CarrierId
from gateway.smpp.client import CarrierBind
from gateway.text.style import LongForm
from gateway.throttle.pacer import Pacer
from gateway.writing import Writing


class Line:
    """One carrier's binds and how it is spoken to."""

    __slots__ = (
        "binds",
        "dialect",
        "former_ids",
        "hold",
        "id",
        "ids",
        "metrics",
        "name",
        "pacers",
        "timer",
        "turn",
        "writing",
    )

    def __init__(
        self,
        id: CarrierId,
        name: str,
        *,
        writing: Writing,
        dialect: Dialect,
        ids: IdRule,
        metrics: CarrierMetrics,
        former_ids: tuple[FormerRule, ...] = (),
        hold: bool = False,
    ) -> None:
        self.id = id
        self.name = name
        self.writing = writing
        self.dialect = dialect
        self.ids = ids
        self.metrics = metrics
        self.former_ids = former_ids
        """Rules by which ids were stored earlier, the latest first."""
        self.hold = hold
        self.binds: list[CarrierBind] = []
        self.pacers: dict[CarrierBind, Pacer] = {}
        """Of binds that have a rate of their own."""
        self.turn = 0
        """Which bind is asked first, so that all of them are used."""
        self.timer: asyncio.TimerHandle | None = None

    @property
    def bound(self) -> bool:
        return any(bind.bound for bind in self.binds)

    @property
    def can_submit(self) -> bool:
        return any(bind.can_submit for bind in self.binds)

    def spare(self, pacer: Pacer, now: float) -> int:
        """Return how many submissions a bind's own rate lets go now.

        One at a time where it may turn out to stand for many segments.
        """
        spare = pacer.spare(now)
        return min(spare, 1) if self.writing.style.long is LongForm.PAYLOAD else spare
