"""Days that are over get an index by recipient, beside whatever else is done with them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import date, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.model import Account, MessageId
from gateway.store import recipient_index, search
from gateway.store.migrate import MIGRATING_LOCK
from gateway.store.partitions import drop_partitions, ensure_partitions, midnight
from gateway.store.postgres import Database
from gateway.store.reader import Reader
from gateway.store.recipient_index import fetch_days_indexed, index_recipients
from gateway.store.texts import erase_texts
from gateway.store.usage import Counter
from gateway.views import Search

PutMessage = Callable[..., Awaitable[MessageId]]
IndexDays = Callable[[], Coroutine[Any, Any, list[date]]]
Session: TypeAlias = "asyncpg.Connection[Any]"
DAY_S = 86_400.0
HOUR_S = 3_600.0
WANTED = "4915100000001"


@pytest.fixture
def yesterday(today: date) -> date:
    return today - timedelta(days=1)


@pytest.fixture
async def old(shop: Account, put_message: PutMessage, today: date) -> MessageId:
    """A message of yesterday."""
    return await put_message(shop, at=midnight(today) - 1, recipient=WANTED)


async def indexed(database: Database) -> list[date]:
    async with database.acquire() as connection:
        return [each.day for each in await fetch_days_indexed(connection) if each.indexed]


async def find(database: Database, account: Account) -> list[int]:
    """Return what a reader finds that has looked at no day yet."""
    page = await Reader(database).search_messages(account.id, Search(to=WANTED))
    return [int(message.id) for message in page.messages]


# ── which days ───────────────────────────────────────────────────────────────────────────────


async def test_a_day_gets_its_index_an_hour_after_its_end(
    database: Database, today: date, yesterday: date
) -> None:
    end = midnight(today)
    assert await index_recipients(database, end + HOUR_S - 1) == []
    assert await index_recipients(database, end + HOUR_S) == [yesterday]
    assert await indexed(database) == [yesterday]
    assert await index_recipients(database, end + HOUR_S) == []


async def test_the_latest_day_comes_first_and_the_next_run_goes_on(
    database: Database, today: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipient_index, "RUN_S", 0.0)
    now = midnight(today) + 3 * DAY_S
    await ensure_partitions(database, now, days_ahead=0)
    days = [today + timedelta(days=ahead) for ahead in (2, 1, 0, -1)]
    taken = [await index_recipients(database, now + HOUR_S) for _ in range(5)]
    assert taken == [[day] for day in days] + [[]]


async def test_days_that_are_made_later_have_none(
    database: Database, yesterday: date, index_days: IndexDays
) -> None:
    await index_days()
    await ensure_partitions(database, time.time(), days_ahead=9)
    assert await indexed(database) == [yesterday]


# ── building ─────────────────────────────────────────────────────────────────────────────────


async def hold(session: Session, message_id: MessageId) -> None:
    """Change a message: a build waits from here on for the end of the session's transaction."""
    await session.execute("UPDATE messages SET tag = 'x' WHERE id = $1", message_id)


async def wait_until_half_built(database: Database, day: date) -> None:
    while not await database.pool.fetchval(
        "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = $1::text::regclass",
        f"messages_p{day:%Y%m%d}",
    ):
        await asyncio.sleep(0.01)


async def test_what_was_left_half_built_is_built_anew(
    database: Database,
    yesterday: date,
    old: MessageId,
    index_days: IndexDays,
    other_session: Session,
) -> None:
    """A build that is cut off while it waits for another's transaction leaves its index invalid."""
    async with other_session.transaction():
        await hold(other_session, old)
        building = asyncio.create_task(index_days())
        await wait_until_half_built(database, yesterday)
        building.cancel()
        with pytest.raises(asyncio.CancelledError):
            await building
    assert await indexed(database) == []
    assert await index_days() == [yesterday]
    assert await indexed(database) == [yesterday]
    invalid = await database.pool.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    assert invalid == 0


async def test_writers_of_the_day_go_on_while_it_is_built(
    database: Database,
    today: date,
    yesterday: date,
    shop: Account,
    put_message: PutMessage,
    old: MessageId,
    index_days: IndexDays,
    other_session: Session,
) -> None:
    async with other_session.transaction():
        await hold(other_session, old)
        building = asyncio.create_task(index_days())
        await wait_until_half_built(database, yesterday)
        late = await put_message(shop, at=midnight(today) - 0.5, recipient=WANTED)
    assert await building == [yesterday]
    assert await find(database, shop) == [late, old]


async def test_it_waits_for_others_a_bounded_time_and_leaves_nothing_half_built(
    old: MessageId, index_days: IndexDays, other_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipient_index, "_SETTINGS", "SET lock_timeout = '200ms'")
    async with other_session.transaction():
        await hold(other_session, old)
        with pytest.raises(StoreUnavailable):
            await index_days()
    assert await index_days() != []


async def test_it_is_put_off_while_an_old_transaction_is_open(
    index_days: IndexDays, other_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipient_index, "OTHERS_WAIT_S", 0)
    async with other_session.transaction(isolation="repeatable_read"):
        await other_session.fetch("SELECT * FROM accounts")
        assert await index_days() == []
    assert await index_days() != []


@pytest.mark.parametrize("lock", [MIGRATING_LOCK, recipient_index._BUILDING_LOCK])
async def test_it_leaves_the_way_to_a_migration_and_to_another_node(
    index_days: IndexDays, other_session: Session, lock: int
) -> None:
    await other_session.execute("SELECT pg_advisory_lock($1)", lock)
    assert await index_days() == []
    await other_session.close()
    assert await index_days() != []


async def test_a_day_written_anew_without_its_texts_keeps_its_index(
    database: Database,
    today: date,
    yesterday: date,
    shop: Account,
    old: MessageId,
    index_days: IndexDays,
) -> None:
    await index_days()
    erased = await erase_texts(database, midnight(today) + DAY_S, 1)
    assert erased.days == [yesterday]
    assert await indexed(database) == [yesterday]
    assert await find(database, shop) == [old]


@pytest.mark.usefixtures("old")
async def test_a_day_with_an_index_is_dropped_like_any_other(
    database: Database, today: date, yesterday: date, shop: Account, index_days: IndexDays
) -> None:
    await index_days()
    reader = Reader(database)
    assert (await reader.search_messages(shop.id, Search(to=WANTED))).messages
    await Counter(database, lag_s=0.0).count_up(midnight(today))
    await database.pool.execute("INSERT INTO queue_marks VALUES (1, 1, $1)", search.ID_END)
    dropped = await drop_partitions(database, midnight(today) + DAY_S, 1)
    assert dropped.days == [yesterday]
    page = await reader.search_messages(shop.id, Search(to=WANTED))
    assert (page.messages, page.next_cursor) == ([], "")
