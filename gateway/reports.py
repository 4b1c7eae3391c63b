"""What accounts are told of their traffic in figures, besides money (`views.Statement`)."""

from __future__ import annotations

import msgspec


class IneligibleLine(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages were refused for their number: on a day, in a country, for a reason."""

    key: str
    """The day, the country ("" where no calling code tells it), or the reason's code."""
    count: int


class IneligibleReport(msgspec.Struct, frozen=True, kw_only=True):
    """An account's messages that were refused for their number, by the day of that (UTC)."""

    account: str
    first: str = msgspec.field(name="from")
    """The first day."""
    last: str = msgspec.field(name="to")
    """The last day."""
    by: str
    lines: list[IneligibleLine]
    """Days in their order; else the most frequent first."""
    total: int
