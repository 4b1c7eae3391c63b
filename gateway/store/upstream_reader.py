"""What customers' binds read: deliveries that wait for them, and where their messages stand.

Not here: writing deliveries and forgetting answered ones, which goes with the events that cause
them (`outcome_writer.py`); which of them are in memory (`gateway/upstream/mailbox.py`).
"""

from __future__ import annotations

import msgspec

from gateway.ids import accepted_at
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Delivery
from gateway.store.postgres import UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

_FETCH = query("fetch_deliveries")
_MEASURE = query("measure_deliveries")
_FETCH_STANDING = query("fetch_standing")
_COUNT_OPEN = query("count_open_by_account")


class Waiting(msgspec.Struct, frozen=True):
    """One account's deliveries in the store."""

    account_id: AccountId
    count: int
    oldest_at: float
    """Seconds since the epoch."""
    carried: bool = False
    """Whether any node has a receiver for them."""


class Standing(msgspec.Struct, frozen=True):
    """Where a message stands."""

    status: Status
    at: float | None
    """Since when; None while nothing has happened to it."""
    error: str


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
async def measure_deliveries(database: Database) -> list[Waiting]:
    """Return how much waits of each account that has any. Reads an index from end to end."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_MEASURE)
    return [
        Waiting(
            AccountId(row["account_id"]),
            row["waiting"],
            accepted_at(row["first_id"]),
            row["carried"],
        )
        for row in rows
    ]


@unavailable_as_503()
async def fetch_last_delivery_id(database: Database) -> int:
    """Return the greatest id of a delivery that waits, 0 when none does."""
    async with database.acquire() as connection:
        greatest: int | None = await connection.fetchval("SELECT max(id) FROM deliveries")
    return greatest or 0


@unavailable_as_503()
async def fetch_standing(
    database: Database, account_id: AccountId, message_id: MessageId
) -> Standing | None:
    """Return where one of the account's messages stands; None when it has no such one."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(_FETCH_STANDING, account_id, message_id)
    return None if row is None else Standing(Status(row["status"]), row["at"], row["error"])


@unavailable_as_503()
async def count_open(database: Database) -> dict[AccountId, int]:
    """Return how many messages of each account may still be sent. For a start: it reads the whole
    backlog."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL statement_timeout = 0")
        rows = await connection.fetch(_COUNT_OPEN, timeout=UNLIMITED_S)
    return {AccountId(row["account_id"]): row["open"] for row in rows}
