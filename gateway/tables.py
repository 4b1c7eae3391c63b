"""What decisions are looked up in.

Not here: how they are made from settings (`route_tables.py`, `tariffs.py`), who decides by them
(`ways.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.credit.costs import NO_COSTS, Costs
from gateway.credit.prices import PriceBook
from gateway.model import AccountId, CarrierId
from gateway.record import Record
from gateway.routing.margins import Floor
from gateway.routing.sender_rules import NO_RULES, SenderRules
from gateway.routing.table import RouteTable
from gateway.text.style import TextStyle

_NO_FLOOR: Final = Floor()


class Tables(Record):
    """What decisions are looked up in; replaced as a whole when settings change."""

    __slots__ = ("costs", "floor", "loss_accounts", "prices", "routes", "senders", "styles")

    def __init__(
        self,
        routes: RouteTable,
        prices: PriceBook | None,
        styles: Mapping[CarrierId, TextStyle] = {},
        senders: SenderRules = NO_RULES,
        costs: Costs = NO_COSTS,
        floor: Floor = _NO_FLOOR,
        loss_accounts: frozenset[AccountId] = frozenset(),
    ) -> None:
        self.routes: Final = routes
        self.prices: Final = prices
        """None: nothing is priced, every message is free."""
        self.styles: Final = styles
        """How carriers want text written; one that is not here wants it plain."""
        self.senders: Final = senders
        """NO_RULES itself where there are none, as NO_COSTS below: hot code asks for no more."""
        self.costs: Final = costs
        self.floor: Final = floor
        self.loss_accounts: Final = loss_accounts
        """Who may be sold to below cost."""
