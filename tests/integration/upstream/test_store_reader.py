"""Deliveries in a real database, written and forgotten by the outcome writer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import pytest

from gateway.ids import id_at
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, MessageId
from gateway.outcomes import Delivery, Event
from gateway.store.backlog import Backlog
from gateway.store.commit_line import CommitLine
from gateway.store.maintenance import Maintenance
from gateway.store.outcome_writer import DeliveryKey, OutcomeWriter
from gateway.store.postgres import Database, connect_single
from gateway.store.upstream_reader import (
    Standing,
    count_open,
    fetch_deliveries,
    fetch_last_delivery_id,
    fetch_standing,
    measure_deliveries,
)

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
ACCOUNT, OTHER = AccountId(7), AccountId(8)


class Heard:
    """What the writer says of deliveries."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[int]]] = []

    def wanted(self) -> bool:
        return False

    async def look_up(self, connection: object) -> None:
        raise AssertionError("nothing is wanted")

    def stored(self, deliveries: Sequence[Delivery]) -> None:
        self.seen.append(("stored", [each.id for each in deliveries]))

    def tell_others(self, deliveries: Sequence[Delivery]) -> list[str]:
        return []

    def forgotten(self, keys: Sequence[DeliveryKey]) -> None:
        self.seen.append(("forgotten", [delivery_id for _, delivery_id in keys]))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
async def writer(database_url: str, heard: Heard) -> AsyncIterator[OutcomeWriter]:
    line = CommitLine(partial(connect_single, database_url, "outcomes"), "outcomes")
    writer = OutcomeWriter(line, lambda events, had_notices: None, waiting_max=1_000)
    writer.join(heard, heard)
    running = asyncio.create_task(writer.run())
    yield writer
    writer.stop()
    await running
    await line.close()


def delivery(number: int, account_id: AccountId = ACCOUNT) -> Delivery:
    return Delivery(number, account_id, MessageId(1), b"\x00body", time.time())


async def test_deliveries_are_read_back_in_order_page_by_page(
    database: Database, writer: OutcomeWriter, heard: Heard
) -> None:
    for number in (3, 5, 9):
        writer.deliver(delivery(number))
    writer.deliver(delivery(4, OTHER))
    await writer.flush()
    assert heard.seen == [("stored", [3, 5, 9, 4])]
    page = await fetch_deliveries(database, ACCOUNT, 0, 2)
    assert [each.id for each in page] == [3, 5]
    assert (page[0].account_id, page[0].body) == (ACCOUNT, b"\x00body")
    assert [each.id for each in await fetch_deliveries(database, ACCOUNT, 5, 2)] == [9]
    assert await fetch_last_delivery_id(database) == 9


async def test_what_was_answered_is_forgotten_by_its_account_and_id(
    database: Database, writer: OutcomeWriter, heard: Heard
) -> None:
    writer.deliver(delivery(3))
    writer.deliver(delivery(3, OTHER))
    await writer.flush()
    writer.delivered((ACCOUNT, 3))
    await writer.flush()
    assert heard.seen[1:] == [("forgotten", [3])]
    assert await fetch_deliveries(database, ACCOUNT, 0, 10) == []
    assert len(await fetch_deliveries(database, OTHER, 0, 10)) == 1


async def test_a_delivery_is_stored_with_its_event_or_neither_is(
    database: Database, writer: OutcomeWriter, heard: Heard
) -> None:
    """Parts of a batch that the store refuses are written one by one."""
    message_id = MessageId(id_at(time.time()))
    event = Event(
        message_id,
        ACCOUNT,
        time.time(),
        EventKind.RECEIPT,
        1,
        Status.DELIVERED,
        Status.DELIVERED,
        False,
    )
    writer.record(event)
    writer.deliver(delivery(1))
    writer.deliver(delivery(1))
    writer.deliver(delivery(2))
    await writer.flush()
    stored = await fetch_deliveries(database, ACCOUNT, 0, 10)
    assert [each.id for each in stored] == [1, 2]


async def test_what_nobody_fetched_is_forgotten_after_the_retention(
    database: Database, writer: OutcomeWriter
) -> None:
    now = time.time()
    writer.deliver(delivery(id_at(now - 31 * 86_400)))
    writer.deliver(delivery(id_at(now - 29 * 86_400)))
    await writer.flush()
    assert await Maintenance(database).forget_remains(now, retention_days=30) == 1
    assert len(await fetch_deliveries(database, ACCOUNT, 0, 10)) == 1


async def test_open_messages_are_counted_by_account(
    database: Database, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    done_before = await put_message(shop)
    closed = await put_message(shop)
    await put_event(shop, closed, EventKind.SUBMITTED)
    await put_message(shop)
    await put_message(bank)
    await put_message(bank, send_at=time.time() + 3_600)
    assert await count_open(database) == {shop.id: 2, bank.id: 2}
    await Maintenance(database).save_queue_marks({(CarrierId(1), Lane.OTP): done_before + 1})
    assert await count_open(database) == {shop.id: 1, bank.id: 2}


async def test_a_message_stands_where_its_events_have_brought_it(
    database: Database, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    message_id = await put_message(shop)
    assert await fetch_standing(database, shop.id, message_id) == Standing(
        Status.ACCEPTED, None, ""
    )
    await put_event(shop, message_id, EventKind.SUBMITTED)
    await put_event(shop, message_id, EventKind.RECEIPT, status=Status.UNDELIVERED, error="027")
    standing = await fetch_standing(database, shop.id, message_id)
    assert standing is not None
    assert (standing.status, standing.error) == (Status.UNDELIVERED, "027")
    refund = {"status": Status.UNDELIVERED, "error": "not billed"}
    await put_event(shop, message_id, EventKind.REFUND, **refund)
    assert await fetch_standing(database, shop.id, message_id) == standing
    assert await fetch_standing(database, bank.id, message_id) is None


async def test_what_an_order_asked_for_is_read_back(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    shop = await make_account()
    message_id = await put_message(
        shop,
        body="",
        data=b"part",
        udh=bytes.fromhex("0500032a0201"),
        encoding=Encoding.GSM7,
        data_coding=0xF0,
        registered_delivery=0x11,
        group_id=42,
    )
    job = await Backlog(database).fetch_one(shop.id, message_id)
    assert job is not None
    message = job.message
    assert (message.data, message.udh, message.encoding) == (
        b"part",
        bytes.fromhex("0500032a0201"),
        Encoding.GSM7,
    )
    assert (message.data_coding, message.registered_delivery) == (0xF0, 0x11)
    assert message.group_id == 42


async def test_what_waits_is_counted_by_account_with_the_time_of_its_first(
    database: Database, writer: OutcomeWriter
) -> None:
    assert await measure_deliveries(database) == []
    now = round(time.time(), 3)
    for account_id, age_s in ((ACCOUNT, 5.0), (ACCOUNT, 60.0), (OTHER, 1.0)):
        writer.deliver(delivery(id_at(now - age_s), account_id))
    await writer.flush()
    measured = {each.account_id: each for each in await measure_deliveries(database)}
    assert {account_id: each.count for account_id, each in measured.items()} == {
        ACCOUNT: 2,
        OTHER: 1,
    }
    assert measured[ACCOUNT].oldest_at == pytest.approx(now - 60.0, abs=0.01)
