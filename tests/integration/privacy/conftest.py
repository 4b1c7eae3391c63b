from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.lifecycle import EventKind
from gateway.model import Account, MessageId
from gateway.store.maintenance import Maintenance
from gateway.store.partitions import ensure_partitions
from gateway.store.postgres import Database

PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
FetchTexts = Callable[[], Awaitable[dict[int, str | None]]]


@pytest.fixture
async def maintenance(database: Database) -> Maintenance:
    """Of a store whose days begin five days ago."""
    await ensure_partitions(database, time.time() - 4 * 86_400.0)
    return Maintenance(database)


@pytest.fixture
def put_ended(put_message: PutMessage, put_event: PutEvent) -> PutMessage:
    """Store a message of which nothing will happen any more."""

    async def put(account: Account, **columns: object) -> MessageId:
        message_id = await put_message(account, **columns)
        await put_event(account, message_id, EventKind.CANCELED)
        return message_id

    return put


@pytest.fixture
def fetch_texts(database: Database) -> FetchTexts:
    async def fetch() -> dict[int, str | None]:
        rows = await database.pool.fetch("SELECT id, body FROM messages")
        return {row["id"]: row["body"] for row in rows}

    return fetch
