from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeAlias

import asyncpg
import pytest

from gateway.ids import accepted_at
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, CarrierId, Lane, MessageId
from gateway.store import partitions
from gateway.store.accounts import fetch_account
from gateway.store.audit import audit
from gateway.store.maintenance import Maintenance
from gateway.store.migrate import migrate
from gateway.store.partitions import (
    Dropped,
    Kept,
    drop_partitions,
    ensure_partitions,
    fetch_days,
    ids_of,
    midnight,
)
from gateway.store.postgres import PLAN_EACH_TIME, Database
from gateway.store.queries import query
from gateway.store.usage import Counter

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
Session: TypeAlias = "asyncpg.Connection[Any]"
DAY_S = 86_400.0
DAY_IDS = ids_of(date(2027, 3, 1))[1] - ids_of(date(2027, 3, 1))[0]
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC).timestamp()


async def days_of(database: Database) -> list[date]:
    async with database.acquire() as connection:
        return await fetch_days(connection)


@pytest.fixture
async def bare(empty_database_url: str) -> AsyncIterator[Database]:
    """A migrated database without any partition."""
    await migrate(empty_database_url)
    database = await Database.open(empty_database_url, connections=4)
    yield database
    await database.close()


async def test_partitions_reach_from_yesterday_to_days_ahead(bare: Database) -> None:
    made = await ensure_partitions(bare, NOON, days_ahead=2)
    assert made == [date(2027, 2, 28) + timedelta(days=n) for n in range(4)]
    assert await days_of(bare) == made
    assert await ensure_partitions(bare, NOON, days_ahead=2) == []
    assert await ensure_partitions(bare, NOON + DAY_S, days_ahead=2) == [date(2027, 3, 4)]


async def test_nodes_that_make_partitions_together_do_not_collide(bare: Database) -> None:
    made = await asyncio.gather(*(ensure_partitions(bare, NOON) for _ in range(4)))
    assert sorted(len(days) for days in made) == [0, 0, 0, 9]


async def test_partitions_are_made_while_messages_are_written(
    database: Database, other_session: Session, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    async with other_session.transaction():
        await other_session.execute("LOCK TABLE messages, events IN ROW EXCLUSIVE MODE")
        assert len(await ensure_partitions(database, time.time(), days_ahead=3)) == 2
        await put_message(account)


def test_a_day_holds_its_milliseconds_and_no_others() -> None:
    first, end = ids_of(date(2027, 3, 1))
    assert accepted_at(first) == NOON - DAY_S / 2
    assert accepted_at(end) == accepted_at(first) + DAY_S
    assert ids_of(date(2027, 3, 2))[0] == end


async def test_a_message_of_the_last_millisecond_is_stored_with_its_events(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account = await make_account()
    today = datetime.now(UTC).date()
    midnight = accepted_at(ids_of(today)[1])
    for at in (midnight - 0.001, midnight):
        message_id = await put_message(account, at=at)
        await put_event(account, message_id, EventKind.SUBMITTED)
    assert (await audit(database, time.time())).agrees


async def drop(database: Database, now: float, *, retention_days: int) -> Dropped:
    """Drop old days, once what they hold is counted up."""
    last = midnight(datetime.fromtimestamp(now, UTC).date() - timedelta(days=retention_days))
    await Counter(database, lag_s=0.0).count_up(last)
    return await drop_partitions(database, now, retention_days)


async def test_old_days_are_dropped_and_their_money_still_adds_up(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    now = time.time()
    for account in (shop, bank, shop):
        sent, refused = await put_message(account), await put_message(account)
        await put_event(account, sent, EventKind.SUBMITTED)
        await put_event(account, refused, EventKind.REFUSED)
    before = [await fetch_account(database, account.id) for account in (shop, bank)]
    today = datetime.fromtimestamp(now, UTC).date()
    dropped = await drop(database, now + 4 * DAY_S, retention_days=3)
    assert dropped.days == [today - timedelta(days=1), today]
    assert dropped.kept == []
    assert await days_of(database) == [today + timedelta(days=1)]
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM messages") == 0
        assert await connection.fetchval("SELECT count(*) FROM events") == 0
        retired = await connection.fetch("SELECT * FROM retired ORDER BY account_id")
    assert [tuple(row) for row in retired] == [
        (shop.id, 30_000, 15_000, 15_000, 0),
        (bank.id, 15_000, 7_500, 7_500, 0),
    ]
    assert [await fetch_account(database, account.id) for account in (shop, bank)] == before
    assert (await audit(database, now)).findings == []


async def test_sums_of_days_dropped_one_after_the_other_add_up(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account, now = await make_account(), time.time()
    for days in (0, 1):
        message_id = await put_message(account, at=now + days * DAY_S)
        await put_event(account, message_id, EventKind.SUBMITTED)
    await drop(database, now + 4 * DAY_S, retention_days=3)
    assert len(await days_of(database)) == 1
    await drop(database, now + 5 * DAY_S, retention_days=3)
    assert await days_of(database) == []
    assert (await audit(database, now)).findings == []


async def test_a_day_with_an_open_message_is_kept_until_it_is_closed(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account, now = await make_account(), time.time()
    today = datetime.fromtimestamp(now, UTC).date()
    message_id = await put_message(account, send_at=now + 5 * DAY_S)
    later = now + 4 * DAY_S
    dropped = await drop(database, later, retention_days=3)
    assert dropped == Dropped([today - timedelta(days=1)], [Kept(today, open_messages=1)])
    await put_event(account, message_id, EventKind.CANCELED)
    assert await drop(database, later, retention_days=3) == Dropped([today], [])
    assert (await audit(database, now)).findings == []


@pytest.mark.parametrize(("ahead", "kept"), [(0, 1), (1, 0)])
async def test_what_lies_below_its_queues_mark_is_known_to_be_closed(
    database: Database, make_account: MakeAccount, put_message: PutMessage, ahead: int, kept: int
) -> None:
    account, now = await make_account(), time.time()
    others = [await put_message(account, lane=lane) for lane in (0, 2)]
    message_id = await put_message(account, lane=1)
    marks = {(CarrierId(1), Lane.TRANSACTIONAL): message_id + ahead}
    for other, lane in zip(others, (Lane.OTP, Lane.MARKETING), strict=True):
        marks[CarrierId(1), lane] = other + 1
    await Maintenance(database).save_queue_marks(marks)
    dropped = await drop(database, now + 4 * DAY_S, retention_days=3)
    assert [each.open_messages for each in dropped.kept] == [1] * kept


async def test_a_queue_without_a_mark_is_looked_at_whole(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account, now = await make_account(), time.time()
    closed = await put_message(account)
    await put_message(account, carrier_id=7, lane=2)
    await put_message(account, carrier_id=9)
    marks = {(CarrierId(1), Lane.TRANSACTIONAL): closed + 1}
    await Maintenance(database).save_queue_marks(marks)
    dropped = await drop(database, now + 4 * DAY_S, retention_days=3)
    assert [each.open_messages for each in dropped.kept] == [2]


async def test_nothing_is_read_of_what_lies_below_its_queues_mark(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    """Retention takes as long for a day of millions as for one of a few."""
    account = await make_account()
    message_id = await put_message(account)
    await database.pool.execute(
        """INSERT INTO messages SELECT made.* FROM messages m
        CROSS JOIN generate_series(1, 20000) n
        CROSS JOIN LATERAL jsonb_populate_record(
            m, jsonb_build_object('id', m.id + n, 'carrier_id', 1 + n % 3)) AS made"""
    )
    marks = {
        (CarrierId(carrier), Lane.TRANSACTIONAL): MessageId(message_id + DAY_IDS)
        for carrier in (1, 2, 3)
    }
    await Maintenance(database).save_queue_marks(marks)
    await database.pool.execute("ANALYZE messages")
    ids = ids_of(datetime.now(UTC).date())
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(PLAN_EACH_TIME)
        plan = await connection.fetchval(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query('find_open')}", *ids
        )
        pages = await connection.fetchval("SELECT sum(relpages) FROM pg_class WHERE relpages > 0")
    (read,) = json.loads(plan)
    assert read["Plan"]["Actual Rows"] == 0
    assert read["Plan"]["Shared Hit Blocks"] + read["Plan"]["Shared Read Blocks"] < pages / 10


async def test_tags_are_forgotten_in_steps_before_anything_is_locked(
    database: Database,
    other_session: Session,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(partitions, "COLLAPSE_ROWS", 2)
    account, now = await make_account(), time.time()
    for number in range(5):
        message_id = await put_message(account, tag=f"order-{number}")
        await put_event(account, message_id, EventKind.SUBMITTED)
    usage = "SELECT tag, messages, priced_micros FROM usage_days"
    async with other_session.transaction():
        await other_session.fetch("SELECT * FROM messages")
        assert (await drop(database, now + 4 * DAY_S, retention_days=3)).days == []
        assert [tuple(row) for row in await database.pool.fetch(usage)] == [("", 5, 37_500)]
        assert (await audit(database, now)).findings == []
    assert len((await drop(database, now + 4 * DAY_S, retention_days=3)).days) == 2
    assert [tuple(row) for row in await database.pool.fetch(usage)] == [("", 5, 37_500)]
    assert (await audit(database, now)).findings == []


async def test_a_day_that_somebody_reads_is_kept_for_now_and_nothing_is_retired(
    database: Database,
    other_session: Session,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account, now = await make_account(), time.time()
    message_id = await put_message(account)
    await put_event(account, message_id, EventKind.SUBMITTED)
    async with other_session.transaction():
        await other_session.fetch("SELECT * FROM messages")
        dropped = await drop(database, now + 4 * DAY_S, retention_days=3)
        assert dropped.days == []
        assert [kept.open_messages for kept in dropped.kept] == [0, 0]
        assert (await audit(database, now)).findings == []
    assert len((await drop(database, now + 4 * DAY_S, retention_days=3)).days) == 2


async def test_a_late_receipt_and_a_drop_do_not_block_each_other_for_ever(
    database: Database,
    other_session: Session,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    """A writer that holds the table and comes to the old day: the drop yields, the writer wins."""
    account, now = await make_account(), time.time()
    message_id = await put_message(account)
    await put_event(account, message_id, EventKind.SUBMITTED)
    async with other_session.transaction():
        await other_session.execute("LOCK TABLE events IN ROW EXCLUSIVE MODE")
        dropping = asyncio.create_task(drop(database, now + 4 * DAY_S, retention_days=3))
        await other_session.execute(
            "INSERT INTO events VALUES ($1, $2, $3, 4, 1, 10, 10, false, 1, 'a', 2, null, 0, 0)",
            account.id,
            message_id,
            now,
        )
        kept = (await dropping).kept
    assert {k.open_messages for k in kept} == {0}
    assert (await audit(database, now)).findings == []


async def test_days_within_retention_stay(database: Database, make_account: MakeAccount) -> None:
    before = await days_of(database)
    assert await drop(database, time.time(), retention_days=1) == Dropped([], [])
    assert await days_of(database) == before


async def test_the_status_of_a_dropped_message_can_not_be_written_any_more(
    database: Database, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    account, now = await make_account(), time.time()
    message_id = await put_message(account)
    await put_event(account, message_id, EventKind.SUBMITTED)
    await drop(database, now + 4 * DAY_S, retention_days=3)
    with pytest.raises(asyncpg.CheckViolationError, match="no partition"):
        await put_event(account, message_id, EventKind.RECEIPT, status=Status.DELIVERED)
