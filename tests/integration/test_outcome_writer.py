"""What happened is written behind, whole and in order, and those who wait are told afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from gateway.ids import IdGenerator
from gateway.inbound.handover import Handover
from gateway.lifecycle import EventKind, Status
from gateway.model import CarrierId, MessageId
from gateway.outcomes import Event, InboundMessage, Notice, ParkedReceipt
from gateway.record import replace
from gateway.store.commit_line import CommitLine
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database, connect_single
from gateway.store.unmatched import read_parked

ids = IdGenerator(7)
CARRIER = CarrierId(1)


def event(account: Any, message_id: MessageId, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "message_id": message_id,
        "account_id": account.id,
        "at": time.time(),
        "kind": EventKind.SUBMITTED,
        "segment": 1,
        "segment_status": Status.SUBMITTED,
        "status": Status.SUBMITTED,
        "closes": True,
        "carrier_id": CARRIER,
        "carrier_message_id": "abc",
    } | changes
    return Event(**values)


class Writing:
    def __init__(self, url: str) -> None:
        self.written: list[Event] = []
        self.refused: list[Exception] = []
        self.refunded: list[tuple[int, int]] = []
        self.line = CommitLine(partial(connect_single, url, "outcomes"), "outcomes")
        self.writer = OutcomeWriter(
            self.line,
            lambda events, notices: self.written.extend(events),
            waiting_max=1000,
            on_refused=lambda rows, error: self.refused.append(error),
            on_refunded=lambda account, micros: self.refunded.append((account, micros)),
        )
        self.task = asyncio.create_task(self.writer.run())

    async def end(self) -> None:
        self.writer.stop()
        await self.task
        await self.line.close()


@pytest.fixture
async def writing(database_url: str) -> AsyncIterator[Writing]:
    writing = Writing(database_url)
    yield writing
    await writing.end()


async def test_events_move_posted_and_voided_money_with_them(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account(credit_micros=1_000)
    one, two = ids.next(time.time()), ids.next(time.time())
    writing.writer.record(event(account, one, posted_micros=70))
    writing.writer.record(
        event(
            account,
            two,
            kind=EventKind.REFUSED,
            segment_status=Status.REJECTED,
            status=Status.REJECTED,
            code=0x0B,
            error="bad address",
            voided_micros=30,
        )
    )
    await writing.writer.flush()
    rows = await database.pool.fetch("SELECT * FROM events ORDER BY message_id")
    assert [row["message_id"] for row in rows] == [one, two]
    assert (rows[1]["code"], rows[1]["error"]) == (0x0B, "bad address")
    posted = await database.pool.fetchval("SELECT posted_micros FROM postings")
    available = await database.pool.fetchval("SELECT available_micros FROM balances")
    assert (posted, available) == (70, 1_030)
    assert [e.message_id for e in writing.written] == [one, two]


async def test_who_waits_is_told_after_the_commit_and_in_order(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account()
    told: list[tuple[int, bool]] = []
    seen: list[int] = []

    def tell(number: int, committed: bool) -> None:
        told.append((number, committed))
        seen.append(len(writing.written))

    for number in range(3):
        writing.writer.record(event(account, ids.next(time.time())))
        writing.writer.after_commit(partial(tell, number))
    assert told == []
    await writing.writer.flush()
    assert told == [(0, True), (1, True), (2, True)]
    assert seen == [3, 3, 3]


async def test_notices_parked_receipts_and_inbound_messages_are_stored(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account()
    now = time.time()
    message_id = ids.next(now)
    writing.writer.record(event(account, message_id))
    writing.writer.notify(Notice(account.id, message_id, "https://x.example", "{}", now))
    early = ParkedReceipt(CARRIER, "early", now, Status.DELIVERED, 2, "000", "EARLY", "4477")
    writing.writer.park(early)
    others = replace(early, received_at=now + 1)
    writing.writer.park(others)
    writing.writer.hand_over(
        Handover(InboundMessage(ids.next(now), CARRIER, now, "4477", "4999", 0, 0, b"STOP", "STOP"))
    )
    await writing.writer.flush()
    assert (await database.pool.fetchval("SELECT url FROM outbox")) == "https://x.example"
    parked = await database.pool.fetch("SELECT * FROM parked_receipts ORDER BY received_at")
    assert [read_parked(row) for row in parked] == [early, others]
    assert (await database.pool.fetchval("SELECT body FROM inbound_messages")) == "STOP"
    writing.writer.unpark(early)
    await writing.writer.flush()
    parked = await database.pool.fetch("SELECT * FROM parked_receipts")
    assert [read_parked(row) for row in parked] == [others]


async def test_a_receipt_parked_and_matched_in_one_batch_never_stays(
    writing: Writing, database: Database
) -> None:
    receipt = ParkedReceipt(CARRIER, "x", time.time(), Status.DELIVERED, 2, "")
    writing.writer.park(receipt)
    assert not writing.writer.unparks(receipt)
    writing.writer.unpark(receipt)
    assert writing.writer.unparks(receipt)
    await writing.writer.flush()
    assert (await database.pool.fetchval("SELECT count(*) FROM parked_receipts")) == 0


async def test_a_row_that_can_not_be_stored_does_not_hold_up_the_others(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account()
    good = ids.next(time.time())
    told: list[bool] = []
    writing.writer.record(event(account, MessageId(1)))  # a day without a partition
    writing.writer.record(event(account, good))
    writing.writer.after_commit(told.append)
    await writing.writer.flush()
    rows = await database.pool.fetch("SELECT message_id FROM events")
    assert [row["message_id"] for row in rows] == [good]
    assert len(writing.refused) == 1 and writing.writer.refused == 1
    assert told == [True]


async def test_what_is_recorded_while_a_batch_is_written_goes_into_the_next(
    writing: Writing, make_account: Any, database: Database
) -> None:
    account = await make_account()
    for _ in range(200):
        writing.writer.record(event(account, ids.next(time.time())))
        if _ % 50 == 0:
            await asyncio.sleep(0)
    await writing.writer.flush()
    assert (await database.pool.fetchval("SELECT count(*) FROM events")) == 200
    assert len(writing.written) == 200


async def test_a_stop_ends_after_everything_recorded_is_written(
    database_url: str, make_account: Any, database: Database
) -> None:
    account = await make_account()
    writing = Writing(database_url)
    for _ in range(20):
        writing.writer.record(event(account, ids.next(time.time())))
    await writing.end()
    assert (await database.pool.fetchval("SELECT count(*) FROM events")) == 20


async def test_a_full_writer_says_so(database_url: str, make_account: Any) -> None:
    account = await make_account()
    writing = Writing(database_url)
    for _ in range(1000):
        writing.writer.record(event(account, ids.next(time.time())))
    assert writing.writer.full
    await writing.writer.flush()
    assert not writing.writer.full
    await writing.end()


# ── refunds ─────────────────────────────────────────────────────────────────────────────────


def refund_of(account: Any, message_id: MessageId, segment: int = 1) -> Event:
    return event(
        account,
        message_id,
        kind=EventKind.REFUND,
        segment=segment,
        segment_status=Status.UNDELIVERED,
        status=Status.UNDELIVERED,
        closes=False,
        carrier_message_id=None,
        error="not delivered",
    )


async def money(database: Database) -> tuple[int, int, int]:
    """Return what the only account has posted, got back, and available."""
    row = await database.pool.fetchrow("SELECT * FROM postings JOIN balances USING (account_id)")
    assert row is not None
    return row["posted_micros"], row["refunded_micros"], row["available_micros"]


async def test_a_segment_is_refunded_once_however_often_it_is_said(
    writing: Writing, make_account: Any, put_message: Any, database: Database
) -> None:
    account = await make_account(credit_micros=1_000)
    message_id = await put_message(account, segments=3, price_micros=300)
    for segment in (1, 2, 3):
        writing.writer.record(event(account, message_id, segment=segment, posted_micros=100))
    writing.writer.refund(refund_of(account, message_id, 1))
    writing.writer.refund(refund_of(account, message_id, 1))  # in one batch
    await writing.writer.flush()
    assert await money(database) == (300, 100, 800)
    writing.writer.refund(refund_of(account, message_id, 1))  # in another
    writing.writer.refund(refund_of(account, message_id, 3))
    await writing.writer.flush()
    assert await money(database) == (300, 200, 900)
    assert writing.refunded == [(account.id, 100), (account.id, 100)]
    rows = await database.pool.fetch(
        "SELECT segment, refunded_micros, error FROM events WHERE kind = 11 ORDER BY segment"
    )
    assert [tuple(row) for row in rows] == [(1, 100, "not delivered"), (3, 100, "not delivered")]


async def test_voids_and_refunds_of_one_batch_both_reach_the_balance(
    writing: Writing, make_account: Any, put_message: Any, database: Database
) -> None:
    account = await make_account(credit_micros=1_000)
    sent, refused = await put_message(account), await put_message(account)
    before = (await money(database))[2]
    writing.writer.record(event(account, sent, posted_micros=7_500))
    writing.writer.record(
        event(account, refused, kind=EventKind.REFUSED, status=Status.REJECTED, voided_micros=7_500)
    )
    writing.writer.refund(refund_of(account, sent))
    await writing.writer.flush()
    assert await money(database) == (7_500, 7_500, before + 15_000)


async def test_a_free_message_has_nothing_to_refund(
    writing: Writing, make_account: Any, put_message: Any, database: Database
) -> None:
    account = await make_account(credit_micros=1_000)
    message_id = await put_message(account, price_micros=0)
    writing.writer.record(event(account, message_id))
    writing.writer.refund(refund_of(account, message_id))
    await writing.writer.flush()
    assert await money(database) == (0, 0, 1_000)


async def test_refunds_of_many_accounts_go_to_each_of_them(
    writing: Writing, make_account: Any, put_message: Any, database: Database
) -> None:
    for name, price in (("a", 100), ("b", 10)):
        account = await make_account(name, credit_micros=1_000)
        for _ in range(3):
            message_id = await put_message(account, price_micros=price)
            writing.writer.record(event(account, message_id, posted_micros=price))
            writing.writer.refund(refund_of(account, message_id))
    await writing.writer.flush()
    rows = await database.pool.fetch(
        "SELECT posted_micros, refunded_micros, available_micros FROM postings"
        " JOIN balances USING (account_id) ORDER BY account_id"
    )
    assert [tuple(row) for row in rows] == [(300, 300, 1_000), (30, 30, 1_000)]
