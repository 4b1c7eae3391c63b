"""What was earned on what was sent: prices posted and not refunded, less what carriers charge.

Read from the events of the days that are kept, about 5 µs a segment: for operators, now and then.
"""

from __future__ import annotations

from datetime import date, timedelta

import msgspec

from gateway.ids import id_at
from gateway.store import partitions
from gateway.store.postgres import PLAN_EACH_TIME, UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

MARGIN_DIMENSIONS = ("account", "carrier", "country", "day", "operator")
_MARGINS = query("fetch_margins")


class MarginLine(msgspec.Struct, frozen=True):
    """What one account, carrier, country, day or operator brought, in one unit."""

    key: str
    currency: str
    segments: int
    """Taken by carriers."""
    earned_micros: int
    """Posted and not refunded."""
    cost_micros: int
    """Of those whose cost is known, without those that the carrier does not bill."""
    uncosted_segments: int
    """Those whose cost nobody knew."""

    @property
    def margin_micros(self) -> int:
        return self.earned_micros - self.cost_micros


@unavailable_as_503()
async def fetch_margins(database: Database, first: date, last: date, by: str) -> list[MarginLine]:
    """Return what was earned from one day of acceptance (UTC) to another, both included.

    `by` is one of MARGIN_DIMENSIONS; accounts of different units have lines of their own.
    """
    assert by in MARGIN_DIMENSIONS
    ids = (
        id_at(partitions.midnight(first)),
        id_at(partitions.midnight(last + timedelta(days=1))),
    )
    async with database.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0")
        rows = await connection.fetch(_MARGINS, *ids, by, timeout=UNLIMITED_S)
    return [MarginLine(*row) for row in rows]
