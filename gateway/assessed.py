"""What intake has found out about a request: the way that it goes, and what it takes.

Not here: who finds it out (`ways.py`, `intake.py`).
"""

from __future__ import annotations

from typing import Final

from gateway.content import Content
from gateway.model import CarrierId, Micros
from gateway.record import Record
from gateway.routing.numbers import Number
from gateway.routing.table import Route
from gateway.text.segment import Measured


class Way(Record):
    """How one message goes."""

    __slots__ = ("carriers", "number", "operator", "price_micros", "route", "sender")

    def __init__(
        self,
        number: Number,
        sender: str,
        route: Route,
        carriers: tuple[CarrierId, ...],
        price_micros: Micros,
        operator: str = "",
    ) -> None:
        self.number: Final = number
        self.sender: Final = sender
        self.route: Final = route
        self.carriers: Final = carriers
        """In the order in which they are tried; never empty."""
        self.price_micros: Final = price_micros
        """Of one segment."""
        self.operator: Final = operator
        """The recipient's, as prices and costs call it."""


class Assessed(Record):
    """What sending a request would take."""

    __slots__ = ("content", "measured", "price_micros", "way")

    def __init__(
        self, way: Way, content: Content, measured: Measured, price_micros: Micros
    ) -> None:
        self.way: Final = way
        self.content: Final = content
        """As it will be sent: with `smart`, not always what the request says."""
        self.measured: Final = measured
        self.price_micros: Final = price_micros

    @property
    def recipient(self) -> str:
        return self.way.number.e164

    @property
    def country(self) -> str:
        return self.way.number.country
