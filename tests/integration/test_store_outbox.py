from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.model import Account
from gateway.store.accounts import create_account, update_account
from gateway.store.outbox import PostgresOutbox
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
NOW = 1_795_000_000.0
HOOK = "https://shop.example/hook"


@pytest.fixture
def outbox(database: Database) -> PostgresOutbox:
    return PostgresOutbox(database)


@pytest.fixture
async def shop(database: Database) -> Account:
    return await create_account(database, "shop", webhook_url=HOOK)


async def put(
    database: Database, account: Account, count: int = 1, *, url: str = "", at: float = NOW
) -> list[int]:
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "INSERT INTO outbox (account_id, message_id, url, body, created_at, next_at)"
            " SELECT $1, n, $2, '{\"n\":' || n || '}', $3, $3 FROM generate_series(1, $4) n"
            " RETURNING id",
            account.id,
            url,
            at,
            count,
        )
    return [row["id"] for row in rows]


async def claim(outbox: PostgresOutbox, now: float = NOW, limit: int = 100) -> list[int]:
    return [event.id for event in await outbox.claim_due(now, limit, 30.0)]


async def test_a_due_event_comes_with_its_accounts_address_and_secret(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    (event_id,) = await put(database, shop)
    (event,) = await outbox.claim_due(NOW, 10, 30.0)
    assert (event.id, event.account_id, event.url) == (event_id, shop.id, HOOK)
    assert (event.secret, event.single) == (shop.webhook_secret, False)
    assert (event.body, event.created_at, event.attempts) == (b'{"n":1}', NOW, 0)


async def test_a_messages_own_address_wins_and_is_called_alone(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    await put(database, shop, url="https://own.example")
    (event,) = await outbox.claim_due(NOW, 10, 30.0)
    assert (event.url, event.single) == ("https://own.example", True)
    assert event.secret == shop.webhook_secret


async def test_events_come_in_the_order_in_which_they_happened(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    ids = await put(database, shop, 10)
    assert await claim(outbox, limit=4) == ids[:4]
    assert await claim(outbox, limit=100) == ids[4:]


async def test_what_is_not_due_stays(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    (event_id,) = await put(database, shop, at=NOW + 1)
    assert await claim(outbox) == []
    assert await claim(outbox, NOW + 1) == [event_id]


async def test_of_what_is_due_the_oldest_comes_first_though_it_was_put_off(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    put_off, later = await put(database, shop, 2)
    await outbox.record_failed([(put_off, NOW + 5, "503")])
    assert await claim(outbox, NOW + 5, limit=1) == [put_off]
    assert await claim(outbox, NOW + 5, limit=1) == [later]


async def test_a_leased_event_comes_again_only_after_its_lease(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    ids = await put(database, shop)
    assert await claim(outbox) == ids
    assert await claim(outbox, NOW + 29.9) == []
    assert await claim(outbox, NOW + 30) == ids


async def test_nodes_that_claim_at_once_never_get_the_same_event(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    ids = await put(database, shop, 200)
    claims = await asyncio.gather(*(claim(outbox, limit=60) for _ in range(6)))
    while again := await claim(outbox):  # what a claim stepped over, because it was locked
        claims.append(again)
    assert sorted(id for claimed in claims for id in claimed) == ids


async def test_a_delivered_event_is_gone(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    ids = await put(database, shop, 3)
    await claim(outbox)
    await outbox.record_delivered(ids[:2])
    assert await claim(outbox, NOW + 1_000) == ids[2:]


async def test_a_failed_event_waits_for_its_next_time_and_counts_its_attempts(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    (event_id,) = await put(database, shop)
    await claim(outbox)
    await outbox.record_failed([(event_id, NOW + 5, "503")])
    assert await claim(outbox, NOW + 4) == []
    (event,) = await outbox.claim_due(NOW + 5, 10, 30.0)
    assert event.attempts == 1


async def test_an_event_without_a_next_time_is_dead_and_kept_with_its_error(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    dead, alive = await put(database, shop, 2)
    await claim(outbox)
    await outbox.record_failed([(dead, None, "gone\x00\ud800" + "x" * 600), (alive, NOW, "503")])
    assert await claim(outbox, NOW + 10**6) == [alive]
    async with database.acquire() as connection:
        row = await connection.fetchrow("SELECT dead, error FROM outbox WHERE id = $1", dead)
    assert row is not None
    assert row["dead"]
    assert row["error"].startswith("gone?x")
    depth = await outbox.fetch_depth()
    assert (depth.waiting, depth.dead, depth.oldest_at) == (1, 1, NOW)


async def test_events_that_nobody_is_to_hear_of_any_more_are_dropped(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    await put(database, shop, 2)
    (own,) = await put(database, shop, url="https://own.example")
    await update_account(database, shop.id, webhook_url="")
    assert await claim(outbox) == [own]
    assert (await outbox.fetch_depth()).waiting == 1


async def test_accounts_get_their_own_address_and_secret(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    bank = await create_account(database, "bank", webhook_url="https://bank.example")
    await put(database, shop)
    await put(database, bank)
    events = await outbox.claim_due(NOW, 10, 30.0)
    assert [(e.account_id, e.url, e.secret) for e in events] == [
        (shop.id, HOOK, shop.webhook_secret),
        (bank.id, "https://bank.example", bank.webhook_secret),
    ]


async def test_an_empty_outbox_has_no_oldest_event(outbox: PostgresOutbox) -> None:
    depth = await outbox.fetch_depth()
    assert (depth.waiting, depth.dead, depth.oldest_at) == (0, 0, None)
