from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import Rejected
from gateway.model import Account, MessageId
from gateway.outcomes import Notice
from gateway.store import outbox as outbox_module
from gateway.store.accounts import create_account, update_account
from gateway.store.outbox import REPLAYED_MAX, PostgresOutbox
from gateway.store.postgres import Database
from gateway.store.webhook_secrets import end_rotation, rotate_secret
from gateway.views import DeadSearch

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


# ── events that were given up ───────────────────────────────────────────────────────────────


async def kill(outbox: PostgresOutbox, ids: list[int], error: str = "HTTP 500") -> None:
    await outbox.record_failed([(event_id, None, error) for event_id in ids])


async def test_dead_events_are_listed_newest_first_in_pages(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    ids = await put(database, shop, 5)
    await kill(outbox, ids[:4])
    page = await outbox.search_dead(shop.id, DeadSearch(limit=3))
    assert [event.id for event in page.events] == [str(event_id) for event_id in ids[3:0:-1]]
    assert page.events[0].error == "HTTP 500"
    assert page.events[0].event == '{"n":4}'
    assert page.events[0].attempts == 1
    page = await outbox.search_dead(shop.id, DeadSearch(limit=3, before=int(page.next_cursor)))
    assert ([event.id for event in page.events], page.next_cursor) == ([str(ids[0])], "")


async def test_dead_events_are_found_by_their_time_and_of_ones_own_only(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    bank = await create_account(database, "bank", webhook_url=HOOK)
    early, late = await put(database, shop, at=NOW), await put(database, shop, at=NOW + 60)
    await kill(outbox, [*early, *late, *await put(database, bank, at=NOW + 60)])
    page = await outbox.search_dead(shop.id, DeadSearch(happened_from=NOW + 1))
    assert [event.id for event in page.events] == [str(late[0])]
    page = await outbox.search_dead(shop.id, DeadSearch(happened_until=NOW + 1))
    assert [event.id for event in page.events] == [str(early[0])]


async def test_a_replayed_event_is_due_again_for_a_whole_day(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    ids = await put(database, shop, 3)
    await kill(outbox, ids)
    later = NOW + 200_000
    replayed = await outbox.replay(shop.id, later, ids=ids[:2])
    assert (replayed.replayed, replayed.more) == (2, False)
    events = await outbox.claim_due(later, 10, 30.0)
    assert [event.id for event in events] == ids[:2]
    assert {(event.created_at, event.attempts) for event in events} == {(later, 0)}
    page = await outbox.search_dead(shop.id, DeadSearch())
    assert [event.id for event in page.events] == [str(ids[2])]


async def test_replays_go_by_time_or_take_all_and_touch_no_other_account(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    bank = await create_account(database, "bank", webhook_url=HOOK)
    early, late = await put(database, shop, at=NOW), await put(database, shop, at=NOW + 60)
    other = await put(database, bank)
    await kill(outbox, [*early, *late, *other])
    assert (await outbox.replay(shop.id, NOW, ids=other)).replayed == 0
    assert (await outbox.replay(shop.id, NOW, since=NOW + 1)).replayed == 1
    assert (await outbox.replay(shop.id, NOW)).replayed == 1
    assert (await outbox.replay(shop.id, NOW)).replayed == 0
    assert sorted(await claim(outbox)) == sorted([*early, *late])


async def test_a_replay_is_done_in_bounded_steps(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    await put(database, shop, REPLAYED_MAX + 1)
    await database.pool.execute("UPDATE outbox SET dead = true")
    first = await outbox.replay(shop.id, NOW)
    second = await outbox.replay(shop.id, NOW)
    assert [(step.replayed, step.more) for step in (first, second)] == [
        (REPLAYED_MAX, True),
        (1, False),
    ]


# ── two secrets ─────────────────────────────────────────────────────────────────────────────


async def test_both_secrets_sign_until_the_overlap_ends(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    rotated = await rotate_secret(database, shop.id, NOW, 3_600)
    assert rotated.secret != shop.webhook_secret
    await put(database, shop, 3)
    (event,) = await outbox.claim_due(NOW, 1, 30.0)
    assert (event.secret, event.old_secret) == (rotated.secret, shop.webhook_secret)
    (event,) = await outbox.claim_due(NOW + 3_601, 1, 30.0)
    assert (event.secret, event.old_secret) == (rotated.secret, "")


async def test_a_second_rotation_waits_for_the_end_of_the_first(
    database: Database, outbox: PostgresOutbox, shop: Account
) -> None:
    first = await rotate_secret(database, shop.id, NOW, 3_600)
    with pytest.raises(Rejected) as refused:
        await rotate_secret(database, shop.id, NOW + 10, 3_600)
    assert refused.value.code == "rotation_under_way"
    assert await end_rotation(database, shop.id, NOW + 20)
    assert not await end_rotation(database, shop.id, NOW + 20)
    second = await rotate_secret(database, shop.id, NOW + 30, 3_600)
    forced = await rotate_secret(database, shop.id, NOW + 40, 0, force=True)
    assert len({first.secret, second.secret, forced.secret, shop.webhook_secret}) == 4
    with pytest.raises(Rejected):
        await rotate_secret(database, shop.id, NOW, -1)


async def test_what_happened_by_a_clock_ahead_is_due_at_once(
    outbox: PostgresOutbox, shop: Account
) -> None:
    await outbox.put([Notice(shop.id, MessageId(1), "", "{}", NOW + 3_600)])
    assert len(await claim(outbox)) == 1


async def test_what_a_clock_ahead_put_off_is_brought_forward_when_that_is_set_back(
    database: Database, outbox: PostgresOutbox, shop: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "BROUGHT_FORWARD_MAX", 2)
    leased, *later = await put(database, shop, 5)
    assert await claim(outbox, NOW + 3_600, limit=1) == [leased]
    await outbox.record_failed([(event_id, NOW + 3_605, "503") for event_id in later])
    (due,) = await put(database, shop)
    assert await outbox.bring_forward(NOW, 3_600) == 5
    assert await claim(outbox) == [due]
    assert await claim(outbox, NOW + 5) == later
    assert await claim(outbox, NOW + 30) == [leased, due]
