"""What decisions are looked up in.

Not here: how they are made from settings (`route_tables.py`, `tariffs.py`), who decides by them
(`ways.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.credit.costs import NO_COSTS, Costs
from gateway.credit.prices import PriceBook
from gateway.model import AccountId, CarrierId
from gateway.routing.margins import Floor
from gateway.routing.sender_rules import NO_RULES, SenderRules
from gateway.routing.table import RouteTable
from gateway.text.style import TextStyle


class Tables(msgspec.Struct, frozen=True):
    """What decisions are looked up in; replaced as a whole when settings change."""

    routes: RouteTable
    prices: PriceBook | None
    """None: nothing is priced, every message is free."""
    styles: Mapping[CarrierId, TextStyle] = {}
    """How carriers want text written; one that is not here wants it plain."""
    senders: SenderRules = NO_RULES
    """NO_RULES itself where there are none, as NO_COSTS below: hot code asks for no more."""
    costs: Costs = NO_COSTS
    floor: Floor = Floor()
    loss_accounts: frozenset[AccountId] = frozenset()
    """Who may be sold to below cost."""
