"""What waits in the store for customers' receivers, and how much of an account waits to leave.

Not here: writing deliveries and forgetting answered ones, which goes with the events that cause
them (`outcome_writer.py`); which of them are in memory (`gateway/upstream/mailbox.py`).
"""

from __future__ import annotations

from gateway.model import AccountId, MessageId
from gateway.outcomes import Delivery
from gateway.store.postgres import UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

_FETCH = query("fetch_deliveries")
_COUNT_OPEN = query("count_open_by_account")


@unavailable_as_503()
async def fetch_deliveries(
    database: Database, account_id: AccountId, after: int, limit: int
) -> list[Delivery]:
    """Return the account's next deliveries after an id, in order."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH, account_id, after, limit)
    return [
        Delivery(
            row["id"], account_id, MessageId(row["message_id"]), row["body"], row["created_at"]
        )
        for row in rows
    ]


@unavailable_as_503()
async def count_open(database: Database, done_below: int) -> dict[AccountId, int]:
    """Return how many messages of each account may still be sent; every queue is done below the
    id `done_below`. For a start: it reads the whole backlog."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        rows = await connection.fetch(_COUNT_OPEN, done_below, timeout=UNLIMITED_S)
    return {AccountId(row["account_id"]): row["open"] for row in rows}
