from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store import search as search_module
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


async def find(reader: Reader, account: Account, **filters: Any) -> list[int]:
    """Return the ids of all pages, in order, and check how the pages hang together."""
    found: list[int] = []
    cursor: MessageId | None = None
    while True:
        page = await reader.search_messages(account.id, Search(before=cursor, **filters))
        found += [int(message.id) for message in page.messages]
        if not page.next_cursor:
            return found
        following = MessageId(int(page.next_cursor))
        assert cursor is None or following < cursor, "the cursor does not move on"
        cursor = following


async def test_a_message_is_read_with_its_parts_and_events(
    database: Database,
    reader: Reader,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    async with database.acquire() as connection:
        carrier_id = await connection.fetchval(
            "INSERT INTO carriers (name) VALUES ('north') RETURNING id"
        )
    account = await make_account()
    message_id = await put_message(account, carrier_id=carrier_id, segments=2, price_micros=15_000)
    for segment, status in ((1, Status.SENDING), (2, Status.SUBMITTED)):
        await put_event(
            account,
            message_id,
            EventKind.SUBMITTED,
            segment=segment,
            segment_status=Status.SUBMITTED,
            status=status,
            closes=segment == 2,
            carrier_id=carrier_id,
            carrier_message_id=f"id-{segment}",
        )
    view = await reader.fetch_message(account.id, message_id)
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
    database: Database, reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    first = await put_message(account, carrier_id=1)
    before = await reader.fetch_message(account.id, first)
    async with database.acquire() as connection:
        await connection.execute("INSERT INTO carriers (name) VALUES ('north')")
    after = await reader.fetch_message(account.id, first)
    assert before is not None and after is not None
    assert (before.carrier, after.carrier) == ("1", "north")


@pytest.mark.parametrize("message_id", [0, -1, 1, 2**63 - 1, 2**63, 2**100])
async def test_a_message_that_is_not_there_is_none(
    reader: Reader, make_account: MakeAccount, message_id: int
) -> None:
    account = await make_account()
    assert await reader.fetch_message(account.id, MessageId(message_id)) is None


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
        assert await find(reader, shop, **{k: v for k, v in filters.items() if k != "before"})
    assert (await reader.fetch_balance(bank)).available == "1"
    assert (await reader.fetch_balance(shop)).available == "100"


async def test_a_client_ref_kept_as_a_key_is_found_for_its_account_alone(
    database: Database, reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    theirs = await put_message(shop, client_ref="order-7")
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO idempotency VALUES ($1, 'r:order-7', $2, '')", shop.id, theirs
        )
    assert await find(reader, bank, client_ref="order-7") == []
    assert await find(reader, shop, client_ref="order-7") == [theirs]


async def test_pages_come_newest_first_and_lead_to_each_other(
    reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    ids = [await put_message(account) for _ in range(7)]
    page = await reader.search_messages(account.id, Search(limit=3))
    assert [int(m.id) for m in page.messages] == ids[:3:-1]
    assert page.next_cursor == str(ids[4])
    assert await find(reader, account, limit=3) == ids[::-1]


async def test_the_last_page_has_no_cursor(
    reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    await put_message(account)
    page = await reader.search_messages(account.id, Search(limit=3))
    assert (len(page.messages), page.next_cursor) == (1, "")


@pytest.mark.parametrize(("asked", "given"), [(-5, 1), (0, 1), (10**9, 6)])
async def test_a_limit_out_of_range_is_bounded(
    reader: Reader,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
    asked: int,
    given: int,
) -> None:
    monkeypatch.setattr(search_module, "PAGE_MESSAGES_MAX", 6)
    account = await make_account()
    for _ in range(8):
        await put_message(account)
    page = await reader.search_messages(account.id, Search(limit=asked))
    assert len(page.messages) == given


async def test_filters_hold_together(
    reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    wanted = await put_message(account, recipient="4915100000001", tag="codes")
    await put_message(account, recipient="4915100000001", tag="news")
    await put_message(account, recipient="4915100000002", tag="codes")
    assert await find(reader, account, to="4915100000001", tag="codes") == [wanted]
    assert await find(reader, account, to="4915100000003") == []


async def test_a_span_of_time_is_half_open(
    reader: Reader, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    now = float(int(time.time()))
    ids = [await put_message(account, at=now + second) for second in range(3)]
    span = {"accepted_from": now + 1, "accepted_until": now + 2}
    assert await find(reader, account, **span) == [ids[1]]
    assert await find(reader, account, accepted_from=now + 1) == [ids[2], ids[1]]
    assert await find(reader, account, accepted_from=now + 2, accepted_until=now) == []


async def test_a_rare_filter_looks_at_a_bounded_number_of_messages_a_page(
    reader: Reader,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_module, "SCAN_MESSAGES_MAX", 4)
    account = await make_account()
    wanted = await put_message(account, recipient="4915100000001")
    for _ in range(9):
        await put_message(account)
    page = await reader.search_messages(account.id, Search(to="4915100000001"))
    assert page.messages == [] and page.next_cursor
    assert await find(reader, account, to="4915100000001") == [wanted]


@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("scan_max", [1, 3, 1_000])
async def test_every_status_is_found_by_its_last_event(
    reader: Reader,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    scan_max: int,
) -> None:
    monkeypatch.setattr(search_module, "SCAN_STATES_MAX", scan_max)
    account = await make_account()
    ids = {
        "accepted": await put_message(account),
        "scheduled": await put_message(account, send_at=time.time() + 3_600),
        "due": await put_message(account, send_at=time.time() - 1),
        "submitted": await put_message(account),
        "delivered": await put_message(account),
        "late": await put_message(account),
        "rejected": await put_message(account),
    }
    for name in ("submitted", "delivered", "late"):
        await put_event(account, ids[name], EventKind.SUBMITTED)
    receipts = [
        ("delivered", Status.DELIVERED),
        ("late", Status.UNKNOWN),
        ("late", Status.DELIVERED),
    ]
    for name, status in receipts:
        await put_event(account, ids[name], EventKind.RECEIPT, status=status)
    await put_event(account, ids["rejected"], EventKind.REFUSED)
    expected = {
        "accepted": [ids["due"], ids["accepted"]],
        "scheduled": [ids["scheduled"]],
        "sending": [],
        "submitted": [ids["submitted"]],
        "delivered": [ids["late"], ids["delivered"]],
        "rejected": [ids["rejected"]],
        "unknown": [],
        "no such status": [],
    }
    found = {status: await find(reader, account, status=status, limit=limit) for status in expected}
    assert found == expected


async def test_a_status_is_shown_on_pages_as_on_the_message(
    reader: Reader, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    account = await make_account()
    message_id = await put_message(account)
    now = time.time()
    await put_event(account, message_id, EventKind.SUBMITTED, at=now)
    # It overtook the response, and says so with its time.
    await put_event(account, message_id, EventKind.RECEIPT, status=Status.DELIVERED, at=now - 1)
    page = await reader.search_messages(account.id, Search())
    one = await reader.fetch_message(account.id, message_id)
    assert one is not None
    assert [m.status for m in page.messages] == [one.status] == ["delivered"]


async def test_what_was_given_up_by_a_clock_ahead_gives_way_to_its_receipt(
    database: Database,
    reader: Reader,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account = await make_account()
    message_id = await put_message(account)
    now = time.time()
    await put_event(account, message_id, EventKind.SUBMITTED, at=now)
    await put_event(account, message_id, EventKind.NO_RECEIPT, at=now + 60)
    await put_event(account, message_id, EventKind.RECEIPT, status=Status.DELIVERED, at=now + 2)
    page = await reader.search_messages(account.id, Search(status="delivered"))
    one = await reader.fetch_message(account.id, message_id)
    assert one is not None
    assert [m.status for m in page.messages] == ["delivered"]
    assert (one.status, [part.status for part in one.parts]) == ("delivered", ["delivered"])
    state = await database.pool.fetchval(
        "SELECT status FROM message_states WHERE id = $1", message_id
    )
    assert state == Status.DELIVERED
    assert (await audit(database, now)).findings == []


async def test_a_client_ref_is_on_the_first_page_however_old_its_message(
    database: Database,
    reader: Reader,
    make_account: MakeAccount,
    put_message: PutMessage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(search_module, "SCAN_MESSAGES_MAX", 2)
    account = await make_account()
    oldest = await put_message(account, client_ref="order-7")
    await put_message(account)
    old = await put_message(account, client_ref="order-7")
    for _ in range(5):
        await put_message(account)
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO idempotency VALUES ($1, 'r:order-7', $2, '')", account.id, old
        )
    page = await reader.search_messages(account.id, Search(client_ref="order-7"))
    assert [int(m.id) for m in page.messages] == [old]
    assert page.next_cursor
    assert await find(reader, account, client_ref="order-7") == [old, oldest]
    assert await find(reader, account, client_ref="order-7", tag="other") == []
    assert await find(reader, account, client_ref="order-8") == []


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
@pytest.mark.parametrize("field", ["to", "client_ref", "tag"])
async def test_what_no_row_can_hold_is_found_nowhere(
    reader: Reader, make_account: MakeAccount, field: str, text: str
) -> None:
    account = await make_account()
    page = await reader.search_messages(
        account.id, msgspec.structs.replace(Search(), **{field: text})
    )
    assert page.messages == []


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
