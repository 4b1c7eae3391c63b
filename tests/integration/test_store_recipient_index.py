"""Days that are over get an index by recipient, and a search for a number uses it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.lifecycle import EventKind
from gateway.model import Account, MessageId
from gateway.store import recipient_index, search
from gateway.store.migrate import MIGRATING_LOCK
from gateway.store.partitions import drop_partitions, ensure_partitions, ids_of, midnight
from gateway.store.postgres import Database
from gateway.store.queries import query
from gateway.store.reader import Reader
from gateway.store.recipient_index import fetch_days_indexed, index_recipients
from gateway.store.texts import erase_texts
from gateway.store.usage import Counter
from gateway.views import Page, Search

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
DAY_S = 86_400.0
HOUR_S = 3_600.0
WANTED = "4915100000001"


@pytest.fixture
def today() -> date:
    return datetime.now(UTC).date()


async def indexed(database: Database) -> list[date]:
    async with database.acquire() as connection:
        return [each.day for each in await fetch_days_indexed(connection) if each.indexed]


async def find(database: Database, account: Account, **filters: Any) -> Page:
    """Return the first page, of a reader that has looked at no day yet."""
    return await Reader(database).search_messages(account.id, Search(**filters))


async def find_all(database: Database, account: Account, **filters: Any) -> list[int]:
    reader, found, cursor = Reader(database), list[int](), None
    while True:
        page = await reader.search_messages(account.id, Search(before=cursor, **filters))
        found += [int(message.id) for message in page.messages]
        if not page.next_cursor:
            return found
        cursor = MessageId(int(page.next_cursor))


# ── which days ───────────────────────────────────────────────────────────────────────────────


async def test_a_day_gets_its_index_an_hour_after_its_end(database: Database, today: date) -> None:
    end = midnight(today)
    assert await index_recipients(database, end + HOUR_S - 1) == []
    yesterday = today - timedelta(days=1)
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


async def test_days_that_are_made_later_have_none(database: Database, today: date) -> None:
    await index_recipients(database, midnight(today) + HOUR_S)
    await ensure_partitions(database, time.time(), days_ahead=9)
    assert await indexed(database) == [today - timedelta(days=1)]


# ── building ─────────────────────────────────────────────────────────────────────────────────


async def test_what_was_left_half_built_is_built_anew(
    database: Database, database_url: str, today: date, make_account: MakeAccount, put_message: Any
) -> None:
    """A build that is cut off while it waits for another's transaction leaves its index invalid."""
    yesterday = today - timedelta(days=1)
    account = await make_account()
    message_id = await put_message(account, at=midnight(today) - 1, recipient=WANTED)
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE messages SET tag = 'x' WHERE id = $1", message_id)
    building = asyncio.create_task(index_recipients(database, midnight(today) + HOUR_S))
    while not await database.pool.fetchval(
        "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = $1::text::regclass",
        f"messages_p{yesterday:%Y%m%d}",
    ):
        await asyncio.sleep(0.01)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    await transaction.rollback()
    await other.close()
    assert await indexed(database) == []
    assert await index_recipients(database, midnight(today) + HOUR_S) == [yesterday]
    assert await indexed(database) == [yesterday]
    invalid = await database.pool.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
    assert invalid == 0


async def test_writers_of_the_day_go_on_while_it_is_built(
    database: Database,
    database_url: str,
    today: date,
    make_account: MakeAccount,
    put_message: PutMessage,
) -> None:
    account = await make_account()
    message_id = await put_message(account, at=midnight(today) - 1, recipient=WANTED)
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE messages SET tag = 'x' WHERE id = $1", message_id)
    building = asyncio.create_task(index_recipients(database, midnight(today) + HOUR_S))
    while not await database.pool.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid"):
        await asyncio.sleep(0.01)
    late = await put_message(account, at=midnight(today) - 0.5, recipient=WANTED)
    await transaction.commit()
    await other.close()
    assert await building == [today - timedelta(days=1)]
    assert await find_all(database, account, to=WANTED) == [late, message_id]


async def test_it_waits_for_others_a_bounded_time_and_leaves_nothing_half_built(
    database: Database,
    database_url: str,
    today: date,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recipient_index, "_SETTINGS", "SET lock_timeout = '200ms'")
    account = await make_account()
    message_id = await put_message(account, at=midnight(today) - 1)
    other = await asyncpg.connect(database_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("UPDATE messages SET tag = 'x' WHERE id = $1", message_id)
    with pytest.raises(StoreUnavailable):
        await index_recipients(database, midnight(today) + HOUR_S)
    await transaction.rollback()
    await other.close()
    assert await index_recipients(database, midnight(today) + HOUR_S) != []


async def test_it_is_put_off_while_an_old_transaction_is_open(
    database: Database, database_url: str, today: date, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipient_index, "OTHERS_WAIT_S", 0)
    other = await asyncpg.connect(database_url)
    transaction = other.transaction(isolation="repeatable_read")
    await transaction.start()
    await other.fetch("SELECT * FROM accounts")
    assert await index_recipients(database, midnight(today) + HOUR_S) == []
    await transaction.rollback()
    await other.close()
    assert await index_recipients(database, midnight(today) + HOUR_S) != []


@pytest.mark.parametrize("lock", [MIGRATING_LOCK, recipient_index._BUILDING_LOCK])
async def test_it_leaves_the_way_to_a_migration_and_to_another_node(
    database: Database, database_url: str, today: date, lock: int
) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute("SELECT pg_advisory_lock($1)", lock)
    assert await index_recipients(database, midnight(today) + HOUR_S) == []
    await other.close()
    assert await index_recipients(database, midnight(today) + HOUR_S) != []


async def test_a_day_written_anew_without_its_texts_keeps_its_index(
    database: Database, today: date, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    message_id = await put_message(account, at=midnight(today) - 1, recipient=WANTED)
    await index_recipients(database, midnight(today) + HOUR_S)
    erased = await erase_texts(database, midnight(today) + DAY_S, 1)
    assert erased.days == [today - timedelta(days=1)]
    assert await indexed(database) == [today - timedelta(days=1)]
    assert await find_all(database, account, to=WANTED) == [message_id]


async def test_a_day_with_an_index_is_dropped_like_any_other(
    database: Database, today: date, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    await put_message(account, at=midnight(today) - 1, recipient=WANTED)
    await index_recipients(database, midnight(today) + HOUR_S)
    reader = Reader(database)
    assert (await reader.search_messages(account.id, Search(to=WANTED))).messages
    await Counter(database, lag_s=0.0).count_up(midnight(today))
    await database.pool.execute("INSERT INTO queue_marks VALUES (1, 1, $1)", search.ID_END)
    dropped = await drop_partitions(database, midnight(today) + DAY_S, 1)
    assert dropped.days == [today - timedelta(days=1)]
    page = await reader.search_messages(account.id, Search(to=WANTED))
    assert (page.messages, page.next_cursor) == ([], "")


# ── searching ────────────────────────────────────────────────────────────────────────────────


async def test_one_page_finds_a_number_in_all_days_that_are_over(
    database: Database,
    today: date,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "SCAN_MESSAGES_MAX", 4)
    account, other = await make_account("shop"), await make_account("bank")
    yesterday = midnight(today) - 1
    oldest = await put_message(account, at=yesterday - 60, recipient=WANTED)
    for _ in range(9):
        await put_message(account, at=yesterday)
    await put_message(other, at=yesterday, recipient=WANTED)
    newest = await put_message(account, recipient=WANTED)
    page = await find(database, account, to=WANTED)
    assert [int(m.id) for m in page.messages] == [newest] and page.next_cursor
    await index_recipients(database, midnight(today) + HOUR_S)
    page = await find(database, account, to=WANTED)
    assert ([int(m.id) for m in page.messages], page.next_cursor) == ([newest, oldest], "")
    assert await find_all(database, account, to=WANTED, limit=1) == [newest, oldest]


async def test_a_page_ends_within_the_open_days_where_they_hold_more_than_it_looks_at(
    database: Database,
    today: date,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search, "SCAN_MESSAGES_MAX", 3)
    account = await make_account()
    old = await put_message(account, at=midnight(today) - 1, recipient=WANTED)
    for _ in range(7):
        await put_message(account)
    await index_recipients(database, midnight(today) + HOUR_S)
    page = await find(database, account, to=WANTED)
    assert page.messages == [] and page.next_cursor
    assert await find_all(database, account, to=WANTED) == [old]
    until = await find(database, account, to=WANTED, accepted_until=midnight(today))
    assert ([int(m.id) for m in until.messages], until.next_cursor) == ([old], "")


async def test_days_without_an_index_below_those_with_one_come_on_later_pages(
    database: Database, today: date, make_account: MakeAccount, put_message: PutMessage
) -> None:
    """As after an upgrade, while older days are still to be indexed."""
    await ensure_partitions(database, midnight(today) - 2 * DAY_S, days_ahead=1)
    account = await make_account()
    ids = [
        await put_message(account, at=midnight(today) - ago * DAY_S - 1, recipient=WANTED)
        for ago in (2, 1, 0)
    ]
    ids.append(await put_message(account, recipient=WANTED))
    await index_recipients(database, midnight(today) + HOUR_S)
    for ago in (3, 2):
        day = today - timedelta(days=ago)
        await database.pool.execute(f"DROP INDEX messages_p{day:%Y%m%d}_by_recipient")
    page = await find(database, account, to=WANTED)
    assert [int(m.id) for m in page.messages] == ids[:1:-1]
    assert page.next_cursor == str(ids_of(today - timedelta(days=1))[0])
    assert await find_all(database, account, to=WANTED) == ids[::-1]


@pytest.mark.parametrize("status", ["", "submitted", "accepted", "rejected", "delivered"])
@pytest.mark.parametrize("scan_max", [1, 3, 1_000])
async def test_what_else_is_asked_of_a_number_holds_too(
    database: Database,
    today: date,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    scan_max: int,
) -> None:
    monkeypatch.setattr(search, "SCAN_RECIPIENT_MAX", scan_max)
    account = await make_account()
    ids: dict[str, list[int]] = {}
    for moment in (midnight(today) - 1, None):
        for kind in ("accepted", EventKind.SUBMITTED, EventKind.REFUSED):
            message_id = await put_message(account, at=moment, recipient=WANTED, tag="codes")
            await put_message(account, at=moment, recipient=WANTED, tag="news")
            if isinstance(kind, EventKind):
                await put_event(account, message_id, kind)
            ids.setdefault(str(kind), []).append(message_id)
    before = await find_all(database, account, to=WANTED, tag="codes", status=status)
    await index_recipients(database, midnight(today) + HOUR_S)
    found = await find_all(database, account, to=WANTED, tag="codes", status=status)
    assert found == before == sorted(found, reverse=True)
    assert len(found) == {"": 6, "delivered": 0}.get(status, 2)


async def test_a_number_that_was_erased_is_found_no_more(
    database: Database, today: date, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    message_id = await put_message(account, at=midnight(today) - 1, recipient=WANTED)
    await index_recipients(database, midnight(today) + HOUR_S)
    await database.pool.execute(
        "UPDATE messages SET recipient = 'erased' WHERE account_id = $1 AND id = $2",
        account.id,
        message_id,
    )
    assert await find_all(database, account, to=WANTED) == []
    assert await find_all(database, account) == [message_id]


async def test_a_number_with_many_messages_is_read_by_its_index_alone(
    database: Database, today: date, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    await put_message(account, at=midnight(today) - 2, recipient=WANTED)
    await database.pool.execute(
        """INSERT INTO messages SELECT made.* FROM messages m
        CROSS JOIN generate_series(1, 20000) n
        CROSS JOIN LATERAL jsonb_populate_record(m, jsonb_build_object(
            'id', m.id + n, 'recipient', CASE WHEN n % 2 = 0 THEN m.recipient ELSE '49' || n END)
        ) AS made"""
    )
    await index_recipients(database, midnight(today) + HOUR_S)
    before, _ = ids_of(today)
    async with database.acquire() as connection:
        await connection.execute(f"PREPARE page AS {query('fetch_recipient_page')}")
        rows = await connection.fetch(
            f"EXPLAIN ANALYZE EXECUTE page ({account.id}, {before}, 0, '{WANTED}',"
            " NULL, NULL, NULL, NULL, 0, 50)"
        )
    plan = [row[0] for row in rows]
    (line,) = [line for line in plan if "by_recipient" in line]
    assert "rows=50" in line, "\n".join(plan)
