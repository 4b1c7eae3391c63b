"""Why a message takes the route that it takes, as it is told to people and written as JSON.

Not here: who finds it out (`table.py`).
"""

from __future__ import annotations

import msgspec

from gateway.routing.route import Route


class Considered(msgspec.Struct, frozen=True):
    """One route that was looked at, and what it said."""

    route: str
    matched: bool
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """From the most specific route down."""

    route: Route | None
    """The one that decides; None when none matches."""
    considered: tuple[Considered, ...]
