"""What intake has found out about a request: the way that it goes, and what it takes.

Not here: who finds it out (`ways.py`, `intake.py`).
"""

from __future__ import annotations

import msgspec

from gateway.content import Content
from gateway.model import CarrierId, Micros
from gateway.routing.numbers import Number
from gateway.routing.table import Route
from gateway.text.segment import Measured


class Way(msgspec.Struct, frozen=True, gc=False):
    """How one message goes."""

    number: Number
    sender: str
    route: Route
    carriers: tuple[CarrierId, ...]
    """In the order in which they are tried; never empty."""
    price_micros: Micros
    """Of one segment."""
    operator: str = ""
    """The recipient's, as prices and costs call it."""


class Assessed(msgspec.Struct, frozen=True, gc=False):
    """What sending a request would take."""

    way: Way
    content: Content
    """As it will be sent: with `smart`, not always what the request says."""
    measured: Measured
    price_micros: Micros

    @property
    def recipient(self) -> str:
        return self.way.number.e164

    @property
    def country(self) -> str:
        return self.way.number.country
