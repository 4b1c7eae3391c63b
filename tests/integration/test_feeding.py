"""A backlog that is larger than memory, as it comes back from the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from gateway.carrier_state import CarrierState, Policy
from gateway.dispatch import Dispatcher
from gateway.feeding import MARK_MARGIN_S, Feeder
from gateway.ids import IdGenerator, id_at
from gateway.lifecycle import EventKind
from gateway.model import Account, CarrierId, Lane, MessageId
from gateway.outcomes import Event
from gateway.retry import RetryLimits
from gateway.shelves import Wanted
from gateway.store.backlog import _EVENTS_OF, _SHELF_PAGE, _WANTED_PAGE, Backlog
from gateway.store.maintenance import Maintenance
from gateway.store.postgres import Database
from gateway.throttle.adaptive import AdaptiveRate

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]

A = CarrierId(1)
SHELF = 500
"""The least that a shelf holds."""


class Flood:
    """Messages of several accounts in the database, in the order of their acceptance."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids = IdGenerator(3)

    async def store(self, account: Account, count: int, lane: Lane = Lane.MARKETING) -> list[int]:
        ids: list[int] = [self._ids.next(time.time()) for _ in range(count)]
        columns = [
            *("account_id", "id", "carrier_id", "lane", "routes", "sender", "recipient"),
            *("country", "body", "encoding", "segments", "price_micros", "expires_at"),
        ]
        ends = time.time() + 3_600
        rows = [
            (account.id, i, A, lane, [A], "Shop", "4917012345678", "DE", "Hi", 0, 1, 0, ends)
            for i in ids
        ]
        async with self._database.acquire() as connection:
            await connection.copy_records_to_table("messages", records=rows, columns=columns)
        return ids


@pytest.fixture
def flood(database: Database) -> Flood:
    return Flood(database)


@pytest.fixture
def dispatcher() -> Dispatcher:
    dispatcher = Dispatcher(
        [CarrierState(A, Policy(name="alpha"), AdaptiveRate(0.0))],
        lambda event: None,
        limits=RetryLimits(),
        held_max=3 * SHELF,
    )
    dispatcher.set_bound(A, True, 0.0, time.time())
    return dispatcher


@pytest.fixture
def feeder(database: Database, dispatcher: Dispatcher) -> Feeder:
    return Feeder(dispatcher, Backlog(database), Maintenance(database))


def _send(dispatcher: Dispatcher, count: int) -> list[MessageId]:
    """Have a carrier take so many messages, and that committed."""
    now, wall = asyncio.get_running_loop().time(), time.time()
    taken, _ = dispatcher.take(A, count, now, wall)
    events: list[Event] = []
    for submission in taken:
        message = submission.job.message
        submission.job.closed = True
        submission.job.in_flight = 0
        events.append(
            Event(
                message.id,
                message.account_id,
                wall,
                EventKind.REFUSED,
                1,
                submission.job.states[0],
                submission.job.states[0],
                True,
            )
        )
    dispatcher.written(events)
    return [submission.job.message.id for submission in taken]


async def _feed(feeder: Feeder, dispatcher: Dispatcher) -> None:
    """Read what may be read, as the feeder does four times a second."""
    await feeder._count_behind()
    for shelf in dispatcher.shelves.wanting():
        await feeder._refill(shelf)


async def test_after_a_start_nobody_waits_behind_anothers_flood(
    flood: Flood, feeder: Feeder, dispatcher: Dispatcher, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    of_shop = await flood.store(shop, 3_000)
    of_bank = await flood.store(bank, 40)
    assert await feeder.recover() < SHELF
    shelf = dispatcher.shelves[A, Lane.MARKETING]
    await _feed(feeder, dispatcher)
    assert shelf.held + shelf.stored == 3_040
    assert shelf.held <= SHELF
    sent = _send(dispatcher, 100)
    assert [i for i in sent if i in of_bank] == of_bank
    assert [i for i in sent if i in of_shop] == of_shop[:60]


async def test_everything_is_read_once_and_in_the_order_of_each_account(
    flood: Flood, feeder: Feeder, dispatcher: Dispatcher, make_account: MakeAccount
) -> None:
    stored: dict[str, list[int]] = {}
    for name, count in (("shop", 2_000), ("bank", 700), ("club", 30)):
        stored[name] = await flood.store(await make_account(name), count)
    await feeder.recover()
    sent: list[MessageId] = []
    for _ in range(200):
        await _feed(feeder, dispatcher)
        sent += _send(dispatcher, 150)
        if len(sent) == 2_730:
            break
    for ids in stored.values():
        assert [i for i in sent if i in set(ids)] == ids
    assert dispatcher.shelves[A, Lane.MARKETING].stored == 0
    assert len(dispatcher) == 0


async def test_a_page_of_some_accounts_steps_over_what_is_not_theirs_or_has_ended(
    database: Database,
    flood: Flood,
    make_account: MakeAccount,
    put_event: PutEvent,
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    of_shop = await flood.store(shop, 10)
    await flood.store(shop, 5, Lane.OTP)
    of_bank = await flood.store(bank, 3)
    await put_event(shop, MessageId(of_shop[4]), EventKind.CANCELED)
    wanted: Sequence[Wanted] = [Wanted(shop.id, of_shop[2], 3), Wanted(bank.id, 0, 50)]
    jobs, progress = await Backlog(database).fetch_wanted(A, Lane.MARKETING, wanted)
    read = [(job.message.account_id, job.message.id) for job in jobs]
    assert [i for account, i in read if account == shop.id] == [*of_shop[3:4], *of_shop[5:7]]
    assert [i for account, i in read if account == bank.id] == of_bank
    assert (progress[shop.id].last_id, progress[shop.id].complete) == (of_shop[6], False)
    assert (progress[bank.id].last_id, progress[bank.id].complete) == (of_bank[-1], True)


async def test_every_read_brings_what_has_happened_to_a_message(
    database: Database, flood: Flood, make_account: MakeAccount, put_event: PutEvent
) -> None:
    shop = await make_account("shop")
    ids = [MessageId(i) for i in await flood.store(shop, 3)]
    await put_event(shop, ids[1], EventKind.RETRY, carrier_id=A)
    backlog = Backlog(database)
    wanted = [Wanted(shop.id, 0, 10)]
    one = await backlog.fetch_one(shop.id, ids[1])
    assert one is not None and one.attempts == {0: 1}
    for jobs in (
        (await backlog.fetch_wanted(A, Lane.MARKETING, wanted))[0],
        (await backlog.fetch_shelf(A, Lane.MARKETING, 0, 10)).jobs,
        await backlog.fetch_open([shop.id] * 3, ids),
    ):
        assert [job.message.id for job in jobs] == ids
        assert [job.attempts for job in jobs] == [{}, {0: 1}, {}]


async def test_a_long_page_lets_others_have_their_turn_and_ends_when_its_carrier_goes(
    flood: Flood,
    feeder: Feeder,
    dispatcher: Dispatcher,
    make_account: MakeAccount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.feeding.AT_ONCE_MAX", 50)
    await flood.store(await make_account("shop"), 1_000)
    held = await feeder.recover()
    await feeder._count_behind()
    held -= len(_send(dispatcher, 300))
    counts: list[int] = []

    def restore(*arguments: Any) -> None:
        Dispatcher.restore(dispatcher, *arguments)
        counts.append(len(dispatcher))
        if len(counts) == 2:
            loop.call_soon(lambda: dispatcher.shelves.begin_anew(A, unread=False))

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(dispatcher, "restore", restore)
    await feeder._refill(dispatcher.shelves[A, Lane.MARKETING])
    assert counts == [held + 50, held + 100]


async def test_a_page_of_an_account_does_not_walk_past_anothers_flood(
    database: Database, flood: Flood, make_account: MakeAccount
) -> None:
    from gateway.store import backlog

    shop, bank = await make_account("shop"), await make_account("bank")
    await flood.store(shop, 20_000)
    of_bank = await flood.store(bank, 3)
    async with database.acquire() as connection:
        await connection.execute("ANALYZE messages")
        rows = await connection.fetch(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {backlog._WANTED_PAGE}",
            *(A, Lane.MARKETING, [bank.id], [0], [100]),
        )
    plan = rows[0][0]
    assert '"Actual Rows": 3' in plan
    assert '"Rows Removed by Filter": 20000' not in plan
    assert "messages_by_queue" not in plan
    assert len(of_bank) == 3


async def test_pages_of_a_partition_that_was_never_analysed_are_read_by_the_index(
    database: Database, make_account: MakeAccount, flood: Flood
) -> None:
    account = await make_account()
    ids = await flood.store(account, 2_000)
    async with database.acquire() as connection:
        await connection.execute("SET plan_cache_mode = force_generic_plan")
        for statement, arguments in (
            (_WANTED_PAGE, (A, Lane.MARKETING, [account.id], [ids[0]], [400])),
            (_SHELF_PAGE, (A, Lane.MARKETING, ids[0], 400)),
            (_EVENTS_OF, ([account.id] * 400, ids[:400])),
        ):
            rows = await connection.fetch(f"EXPLAIN (COSTS OFF) {statement}", *arguments)
            plan = "\n".join(row[0] for row in rows)
            assert "Join Filter" not in plan and "Anti Join" not in plan, plan
            assert "Seq Scan on events" not in plan and "hashed" not in plan, plan


async def test_pages_of_a_day_that_was_analysed_while_empty_do_not_read_all_events_a_message(
    database: Database, flood: Flood, make_account: MakeAccount
) -> None:
    async with database.acquire() as connection:
        await connection.execute("VACUUM (ANALYZE) messages")
        await connection.execute("VACUUM (ANALYZE) events")
    account = await make_account()
    backlog = Backlog(database)
    wanted = [Wanted(account.id, 0, 400)]
    assert (await backlog.fetch_wanted(A, Lane.MARKETING, wanted))[0] == []  # as it is planned
    ids = await flood.store(account, 2_000)
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO events (account_id, message_id, at, kind, segment, segment_status, status,"
            " closes, posted_micros, voided_micros)"
            " SELECT $1, unnest($2::bigint[]), 0, 1, 1, 3, 3, true, 0, 0",
            account.id,
            ids[:1_000],
        )
    jobs, _ = await backlog.fetch_wanted(A, Lane.MARKETING, wanted)
    assert [job.message.id for job in jobs] == ids[1_000:1_400]
    async with database.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        assert not await connection.fetchval(
            "SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname LIKE 'events_p%'"
        )


async def test_a_start_reads_no_more_parked_receipts_than_memory_keeps(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO parked_receipts (carrier_id, carrier_message_id, received_at,"
            " segment_status, given_up)"
            " SELECT 1, n::text, n, 10, n = 5 FROM generate_series(1, 5) AS n"
        )
    parked = await Backlog(database).fetch_parked(CarrierId(1), limit=3)
    assert [each.carrier_message_id for each in parked] == ["2", "3", "4"]


async def test_a_start_sends_and_takes_before_it_knows_who_waits_past_memory(
    flood: Flood,
    feeder: Feeder,
    dispatcher: Dispatcher,
    database: Database,
    make_account: MakeAccount,
) -> None:
    shop = await make_account("shop")
    ids = await flood.store(shop, 2_000)
    await feeder.recover()
    sent = _send(dispatcher, 100)
    ids += await flood.store(shop, 10)
    page = await Backlog(database).fetch_shelf(A, Lane.MARKETING, ids[1_999], 10)
    feeder.take([job.message for job in page.jobs], asyncio.get_running_loop().time())
    for _ in range(100):
        await _feed(feeder, dispatcher)
        sent += _send(dispatcher, 150)
        if len(sent) >= 2_010:
            break
    assert sent == ids
    assert dispatcher.shelves[A, Lane.MARKETING].stored == 0


async def test_a_clock_that_is_set_ahead_moves_no_mark_past_what_may_still_be_committed(
    flood: Flood, database: Database, dispatcher: Dispatcher, make_account: MakeAccount
) -> None:
    await flood.store(await make_account("shop"), 10)
    true_time = time.time()
    feeder = Feeder(dispatcher, Backlog(database), Maintenance(database), lambda s: true_time)
    await feeder.recover()
    _send(dispatcher, 10)
    await feeder._save_marks()
    mark = (await Maintenance(database).load_queue_marks())[A, Lane.MARKETING]
    assert mark <= id_at(true_time - MARK_MARGIN_S)
