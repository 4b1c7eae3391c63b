"""What a supervisor and its nodes say to each other, one line of JSON in each direction."""

from __future__ import annotations

import msgspec

from gateway.config import Config
from gateway.listening import Seat


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is to do."""

    seat: Seat
    config: Config
    """With what all nodes of the machine share settled: addresses above all."""
    author: str | None
    """Whose settings are followed as they are applied; None: nobody's, those here hold."""


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A node serves."""

    node: int
    port: int
    https_port: int
    metrics_port: int
