from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store.accounts import create_account, deposit
from gateway.store.audit import audit
from gateway.store.postgres import Database
from gateway.store.reader import Reader
from gateway.views import Search

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


async def test_a_message_is_read_with_its_parts_and_events(
    database: Database,
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    async with database.acquire() as connection:
        carrier_id = await connection.fetchval(
            "INSERT INTO carriers (name) VALUES ('north') RETURNING id"
        )
    message_id = await put_message(shop, carrier_id=carrier_id, segments=2, price_micros=15_000)
    for segment, status in ((1, Status.SENDING), (2, Status.SUBMITTED)):
        await put_event(
            shop,
            message_id,
            EventKind.SUBMITTED,
            segment=segment,
            segment_status=Status.SUBMITTED,
            status=status,
            closes=segment == 2,
            carrier_id=carrier_id,
            carrier_message_id=f"id-{segment}",
        )
    view = await reader.fetch_message(shop.id, message_id)
    assert view is not None
    assert (view.id, view.status, view.carrier) == (str(message_id), "submitted", "north")
    assert (view.price, view.currency, view.segments) == ("0.015", "credits", 2)
    assert [(p.number, p.status, p.carrier_message_id) for p in view.parts] == [
        (1, "submitted", "id-1"),
        (2, "submitted", "id-2"),
    ]
    assert [(e.segment, e.status, e.carrier) for e in view.events] == [
        (1, "sending", "north"),
        (2, "submitted", "north"),
    ]


async def test_a_carrier_that_appears_later_is_named(
    database: Database, reader: Reader, shop: Account, put_message: PutMessage
) -> None:
    first = await put_message(shop, carrier_id=1)
    before = await reader.fetch_message(shop.id, first)
    async with database.acquire() as connection:
        await connection.execute("INSERT INTO carriers (name) VALUES ('north')")
    after = await reader.fetch_message(shop.id, first)
    assert before is not None and after is not None
    assert (before.carrier, after.carrier) == ("1", "north")


@pytest.mark.parametrize("message_id", [0, -1, 1, 2**63 - 1, 2**63, 2**100])
async def test_a_message_that_is_not_there_is_none(
    reader: Reader, shop: Account, message_id: int
) -> None:
    assert await reader.fetch_message(shop.id, MessageId(message_id)) is None


async def test_no_call_shows_another_accounts_rows(
    reader: Reader, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank", credit_micros=1_000_000)
    theirs = await put_message(shop, client_ref="order-7", tag="codes")
    await put_event(shop, theirs, EventKind.REFUSED)
    assert await reader.fetch_message(bank.id, theirs) is None
    for filters in (
        {},
        {"to": "4917012345678"},
        {"client_ref": "order-7"},
        {"tag": "codes"},
        {"status": "rejected"},
        {"accepted_from": 0.0},
        {"before": MessageId(theirs + 1)},
    ):
        page = await reader.search_messages(bank.id, Search(**filters))
        assert page.messages == [] and page.next_cursor == ""
        assert (await reader.search_messages(shop.id, Search(**filters))).messages
    assert (await reader.fetch_balance(bank)).available == "1"
    assert (await reader.fetch_balance(shop)).available == "100"


async def test_a_status_is_shown_on_pages_as_on_the_message(
    reader: Reader, shop: Account, put_message: PutMessage, put_event: PutEvent
) -> None:
    message_id = await put_message(shop)
    now = time.time()
    await put_event(shop, message_id, EventKind.SUBMITTED, at=now)
    # It overtook the response, and says so with its time.
    await put_event(shop, message_id, EventKind.RECEIPT, status=Status.DELIVERED, at=now - 1)
    page = await reader.search_messages(shop.id, Search())
    one = await reader.fetch_message(shop.id, message_id)
    assert one is not None
    assert [m.status for m in page.messages] == [one.status] == ["delivered"]


async def test_what_was_given_up_by_a_clock_ahead_gives_way_to_its_receipt(
    database: Database,
    reader: Reader,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    message_id = await put_message(shop)
    now = time.time()
    await put_event(shop, message_id, EventKind.SUBMITTED, at=now)
    await put_event(shop, message_id, EventKind.NO_RECEIPT, at=now + 60)
    await put_event(shop, message_id, EventKind.RECEIPT, status=Status.DELIVERED, at=now + 2)
    page = await reader.search_messages(shop.id, Search(status="delivered"))
    one = await reader.fetch_message(shop.id, message_id)
    assert one is not None
    assert [m.status for m in page.messages] == ["delivered"]
    assert (one.status, [part.status for part in one.parts]) == ("delivered", ["delivered"])
    state = await database.pool.fetchval(
        "SELECT status FROM message_states WHERE id = $1", message_id
    )
    assert state == Status.DELIVERED
    assert (await audit(database, now)).findings == []


async def test_a_balance_adds_up(
    database: Database,
    reader: Reader,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account = await create_account(database, "shop", "EUR", floor_micros=-2_000_000)
    await deposit(database, account.id, 10_000_000, reason="test", author="test")
    sent, refused, _waiting = [await put_message(account, price_micros=7_500) for _ in range(3)]
    await put_event(account, sent, EventKind.SUBMITTED)
    await put_event(account, refused, EventKind.REFUSED)
    balance = await reader.fetch_balance(account)
    assert (balance.account, balance.currency) == ("shop", "EUR")
    assert (balance.deposited, balance.floor) == ("10", "-2")
    assert (balance.posted, balance.reserved, balance.available) == ("0.0075", "0.0075", "9.985")
