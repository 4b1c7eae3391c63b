"""Texts go after days of their own; messages, their money and what needs its text yet stay."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from gateway.lifecycle import EventKind
from gateway.model import Account, MessageId
from gateway.store.audit import audit
from gateway.store.maintenance import Maintenance
from gateway.store.partitions import name_of
from gateway.store.postgres import Database
from gateway.store.reader import Reader
from gateway.views import Search

PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
FetchTexts = Callable[[], Awaitable[dict[int, str | None]]]

DAY_S = 86_400.0
OLD_S = 4 * DAY_S


async def test_old_texts_are_gone_and_everything_else_of_their_messages_is_as_it_was(
    database: Database,
    maintenance: Maintenance,
    put_message: PutMessage,
    put_event: PutEvent,
    shop: Account,
    fetch_texts: FetchTexts,
) -> None:
    now = time.time()
    old = await put_message(shop, at=now - OLD_S, body="Hello", tag="spring", data=b"x", udh=b"u")
    young = await put_message(shop, body="Hello")
    for message_id in (old, young):
        await put_event(shop, message_id, EventKind.SUBMITTED)
    before = await database.pool.fetchrow("SELECT * FROM messages WHERE id = $1", old)

    done = await maintenance.erase_texts(now, 2)

    assert done.days == [day_of(now - i * DAY_S) for i in (5, 4, 3)]
    after = await database.pool.fetchrow("SELECT * FROM messages WHERE id = $1", old)
    assert before is not None
    assert after is not None
    assert dict(after) == dict(before) | {"body": None, "data": None, "udh": None}
    assert await fetch_texts() == {old: None, young: "Hello"}
    assert (await audit(database, now)).findings == []
    assert (await maintenance.erase_texts(now, 2)).days == []


def day_of(wall: float) -> object:
    return datetime.fromtimestamp(wall, UTC).date()


async def test_a_rewritten_day_has_every_index_and_can_still_be_dropped(
    database: Database, maintenance: Maintenance
) -> None:
    now, table = time.time(), name_of("messages", datetime.fromtimestamp(time.time() - OLD_S, UTC))
    query = (
        "SELECT count(*) FROM pg_index WHERE indrelid = $1::text::regclass AND indisvalid"
        " AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid)"
    )
    before = await database.pool.fetchval(query, table)
    await maintenance.erase_texts(now, 2)
    assert await database.pool.fetchval(query, table) == before == 3
    constraints = await database.pool.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass AND contype = 'c'",
        table,
    )
    assert constraints == []
    await database.pool.execute("UPDATE usage_mark SET counted_to = 9223372036854775807")
    dropped = await maintenance.drop_partitions(now, 2)
    assert len(dropped.days) == 3
    assert await database.pool.fetchval("SELECT min(day) FROM days_without_texts") is not None
    await maintenance.erase_texts(now, 2)
    assert await database.pool.fetchval("SELECT count(*) FROM days_without_texts") == 0


async def test_what_is_still_to_be_sent_keeps_its_text_until_it_has_ended(
    database: Database,
    maintenance: Maintenance,
    put_message: PutMessage,
    put_event: PutEvent,
    shop: Account,
    fetch_texts: FetchTexts,
) -> None:
    now = time.time()
    ended, waits, emails = [
        await put_message(shop, at=now - OLD_S, body=body) for body in ("ended", "waits", "emails")
    ]
    for message_id in (ended, emails):
        await put_event(shop, message_id, EventKind.CANCELED)
    await database.pool.execute(
        "INSERT INTO email_fallbacks (account_id, message_id, content_id, address, triggers)"
        " VALUES ($1, $2, 'c', 'a@mail.example', 1)",
        *(shop.id, emails),
    )
    await maintenance.erase_texts(now, 2)
    assert await fetch_texts() == {ended: None, waits: "waits", emails: "emails"}

    await put_event(shop, waits, EventKind.CANCELED)
    await database.pool.execute("UPDATE email_fallbacks SET state = 1")
    await maintenance.erase_texts(now, 2)
    assert set((await fetch_texts()).values()) == {None}
    assert await database.pool.fetchval("SELECT count(*) FROM needed_texts") == 0


async def test_a_day_that_somebody_reads_is_put_off(
    database: Database,
    maintenance: Maintenance,
    monkeypatch: pytest.MonkeyPatch,
    shop: Account,
    put_ended: PutMessage,
    fetch_texts: FetchTexts,
) -> None:
    monkeypatch.setattr("gateway.store.texts.SWAP_TRIES", 1)
    now = time.time()
    old = await put_ended(shop, at=now - OLD_S, body="Hello")
    async with database.acquire() as connection, connection.transaction():
        await connection.fetch("SELECT FROM messages WHERE id = $1", old)
        done = await maintenance.erase_texts(now, 2)
        assert day_of(now - OLD_S) in done.put_off
    assert await fetch_texts() == {old: "Hello"}
    await maintenance.erase_texts(now, 2)
    assert await fetch_texts() == {old: None}


async def test_texts_from_phones_go_as_early_and_readers_are_told(
    database: Database, maintenance: Maintenance, shop: Account, put_ended: PutMessage
) -> None:
    now = time.time()
    old = await put_ended(shop, at=now - OLD_S)
    await database.pool.execute(
        "INSERT INTO inbound_messages (id, account_id, carrier_id, received_at, sender, recipient,"
        " data_coding, esm_class, content, body)"
        " VALUES ($1, $2, 1, $3, '4474', '80', 0, 0, 'S', 'S')",
        *(old, shop.id, now - OLD_S),
    )
    await database.pool.execute(
        "INSERT INTO outbox (account_id, message_id, body, created_at, next_at, dead)"
        ' VALUES ($1, $2, \'{"type":"message.received"}\', $3, $3, true)',
        *(shop.id, old, now - OLD_S),
    )
    await maintenance.erase_texts(now, 2)
    row = await database.pool.fetchrow("SELECT sender, content, body FROM inbound_messages")
    assert row is not None
    assert tuple(row) == ("4474", b"", None)
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0
    (found,) = (await Reader(database).search_messages(shop.id, Search())).messages
    assert (found.text, found.text_erased) == (None, True)
