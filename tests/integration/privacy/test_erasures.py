"""What is left in the store of a number that was erased: nothing of it, and all of the money."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.erasing import Eraser, NoMemory
from gateway.errors import Rejected
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store.accounts import update_account
from gateway.store.audit import audit
from gateway.store.erasures import Erasures
from gateway.store.number_export import export_number
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
Erase = Callable[..., Awaitable[int]]
PutEverything = Callable[[Account, str], Awaitable[MessageId]]

NUMBER = "447400900123"
LONGER = "4474009001234"
OTHER = "447400900124"
DAY_S = 86_400.0


@pytest.fixture
def erasures(database: Database) -> Erasures:
    return Erasures(database)


@pytest.fixture
def erase(erasures: Erasures) -> Erase:
    """Ask for a number to be erased, and do what can be done without a gateway."""

    async def erase(
        number: str = NUMBER, account: Account | None = None, *, withdraw: bool = False
    ) -> int:
        erasure_id = await request(erasures, number, account, withdraw=withdraw)
        await Eraser(erasures, NoMemory()).advance_all()
        return erasure_id

    return erase


async def request(
    erasures: Erasures,
    number: str = NUMBER,
    account: Account | None = None,
    *,
    reason: str = "asked for",
    withdraw: bool = False,
) -> int:
    return await erasures.request(
        number,
        account.id if account else None,
        reason=reason,
        author="test",
        withdraw=withdraw,
        now=time.time(),
    )


@pytest.fixture
def put_everything(
    database: Database, put_message: PutMessage, put_event: PutEvent
) -> PutEverything:
    """Put a row of everything that may name a number."""

    async def put(account: Account, number: str) -> MessageId:
        now, execute = time.time(), database.pool.execute
        message_id = await put_message(
            account,
            at=now - DAY_S,
            recipient=number,
            body=f"Dear owner of {number}",
            client_ref=f"ref-{number}",
            callback_url=f"https://shop.example/?to={number}",
            tlvs=b"\x03\x81\x00\x0c" + number.encode(),
            tag="spring",
        )
        await put_event(account, message_id, EventKind.SUBMITTED, closes=True)
        await put_event(
            account,
            message_id,
            EventKind.RECEIPT,
            status=Status.UNDELIVERED,
            error=f"to {number}",
            at=now + 1,
        )
        await execute(
            "INSERT INTO idempotency VALUES ($1, $2, $3, '\\x00')",
            *(account.id, f"r:ref-{number}", message_id),
        )
        await execute(
            "INSERT INTO email_contents VALUES ($1, $2, 'Hello', $3, '', '', $4)",
            *(account.id, number[::-1].encode(), f"Dear {number}", now - DAY_S),
        )
        await execute(
            "INSERT INTO email_fallbacks"
            " (account_id, message_id, content_id, address, triggers, state)"
            " VALUES ($1, $2, $3, $4, 1, 1)",
            *(account.id, message_id, number[::-1].encode(), f"{number}@mail.example"),
        )
        await execute(
            "INSERT INTO inbound_messages (id, account_id, carrier_id, received_at, sender,"
            " recipient, data_coding, esm_class, content, body)"
            " VALUES ($1, $2, 1, $3, $4, '4480', 0, 0, $5, $6)",
            *(message_id + 1, account.id, now, number, b"STOP", f"STOP, I am {number}"),
        )
        await execute(
            "INSERT INTO inbound_parts (id, message_id, carrier_id, received_at, sender,"
            " recipient, reference, total, sequence, data_coding, esm_class, udh, content)"
            " VALUES ($1, $2, 1, $3, $4, '4480', 7, 1, 1, 0, 0, '', 'STOP')",
            *(message_id + 2, message_id + 1, now, number),
        )
        await execute(
            "INSERT INTO parked_receipts (carrier_id, carrier_message_id, received_at,"
            " segment_status, recipient) VALUES (1, 'A1', $1, 10, $2)",
            *(now, f"+{number}"),
        )
        await execute(
            "INSERT INTO outbox (account_id, message_id, body, created_at, next_at, dead)"
            " VALUES ($1, $2, $3, $4, $4, true)",
            *(account.id, message_id, json.dumps({"to": number}), now),
        )
        return message_id

    return put


async def dump(database: Database) -> list[str]:
    """Return every row of every table but the ones of erasures, octets as they are read."""
    tables = await database.pool.fetch(
        "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition"
        " AND c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE 'erasure_%'"
    )
    rows: list[Any] = []
    for table in tables:
        for row in await database.pool.fetch(f"SELECT * FROM {table['relname']}"):  # noqa: S608
            values = [v.decode("latin-1") if isinstance(v, bytes) else v for v in row.values()]
            rows.append([table["relname"], *values])
    return sorted(json.dumps(row, default=str) for row in rows)


def naming(number: str, rows: list[str]) -> list[str]:
    return [row for row in rows if number in row]


async def test_nothing_of_an_erased_number_is_left_in_any_table_and_the_money_adds_up(
    database: Database,
    put_everything: PutEverything,
    erase: Erase,
    erasures: Erasures,
    shop: Account,
) -> None:
    message_id = await put_everything(shop, NUMBER)
    assert len(naming(NUMBER, await dump(database))) == 9

    erasure_id = await erase()

    assert naming(NUMBER, await dump(database)) == []
    (view,) = await erasures.list_erasures(erasure_id=erasure_id)
    assert view.finished_at
    assert view.erased == {
        "messages": 1,
        "emails": 1,
        "inbound messages": 1,
        "inbound parts": 1,
        "unmatched receipts": 1,
        "webhooks": 1,
    }
    row = await database.pool.fetchrow("SELECT * FROM messages WHERE id = $1", message_id)
    assert row is not None
    kept = {"recipient": "erased", "body": None, "country": "DE", "price_micros": 7_500}
    assert {name: row[name] for name in kept} == kept
    assert (row["sender"], row["tag"], row["segments"]) == ("Shop", "spring", 1)
    report = await audit(database, time.time())
    assert report.findings == []


async def test_other_numbers_stay_as_they_are(
    database: Database, put_everything: PutEverything, erase: Erase, shop: Account
) -> None:
    for number in (OTHER, LONGER):
        await put_everything(shop, number)
    before = await dump(database)
    await erase()
    assert [row for row in await dump(database) if '["erasures"' not in row] == before


async def test_one_accounts_erasure_leaves_anothers_messages(
    database: Database, make_account: MakeAccount, erase: Erase, put_ended: PutMessage
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    for account in (shop, bank):
        await put_ended(account, recipient=NUMBER)
    await erase(account=shop)
    rows = await database.pool.fetch("SELECT recipient FROM messages ORDER BY account_id")
    assert [row["recipient"] for row in rows] == ["erased", NUMBER]


async def test_a_message_under_way_keeps_its_number_until_it_has_ended(
    database: Database,
    put_message: PutMessage,
    put_event: PutEvent,
    erase: Erase,
    erasures: Erasures,
    shop: Account,
) -> None:
    message_id = await put_message(shop, recipient=NUMBER)
    await put_event(shop, message_id, EventKind.SUBMITTED)
    erasure_id = await erase()
    (view,) = await erasures.list_erasures(erasure_id=erasure_id)
    assert (view.finished_at, view.messages_waiting) == ("", 1)
    assert await erasures.fetch_waiting_ids(erasure_id) == [message_id]
    assert await database.pool.fetchval("SELECT recipient FROM messages") == NUMBER

    await put_event(shop, message_id, EventKind.RECEIPT, status=Status.DELIVERED)
    await Eraser(erasures, NoMemory()).advance_all()

    (view,) = await erasures.list_erasures(erasure_id=erasure_id)
    assert view.finished_at
    assert naming(NUMBER, await dump(database)) == []


@pytest.mark.parametrize("withdraw", [False, True])
async def test_what_waits_to_be_told_is_waited_for_unless_it_is_to_be_withdrawn(
    database: Database, erase: Erase, erasures: Erasures, withdraw: bool, shop: Account
) -> None:
    await database.pool.execute(
        "INSERT INTO outbox (account_id, message_id, body, created_at, next_at)"
        " VALUES ($1, 0, $2, 0, 0)",
        *(shop.id, json.dumps({"to": NUMBER})),
    )
    await database.pool.execute(
        "INSERT INTO deliveries VALUES ($1, 1, 0, $2, 0), ($1, 2, 0, $3, 0)",
        *(shop.id, b"\0\1\1" + NUMBER.encode() + b"\0", b"\1\1" + LONGER.encode() + b"\0"),
    )
    erasure_id = await erase(withdraw=withdraw)
    (view,) = await erasures.list_erasures(erasure_id=erasure_id)
    assert bool(view.finished_at) is withdraw
    assert view.erased == ({"webhooks": 1, "deliveries": 1} if withdraw else {})
    assert naming(LONGER, await dump(database))


async def test_erasing_twice_erases_once_and_is_told_twice(
    put_everything: PutEverything, erase: Erase, erasures: Erasures, shop: Account
) -> None:
    await put_everything(shop, NUMBER)
    await erase()
    await erase()
    second, first = await erasures.list_erasures(number=NUMBER)
    assert (first.erased["messages"], second.erased) == (1, {})
    assert await erasures.list_erasures(number=OTHER) == []


async def test_an_erasure_goes_on_where_it_was_killed(
    erasures: Erasures, shop: Account, put_ended: PutMessage
) -> None:
    for _ in range(5):
        await put_ended(shop, recipient=NUMBER)
    erasure_id = await request(erasures)
    (erasure,) = await erasures.fetch_unfinished()
    await erasures.search(erasure)
    found = await erasures.fetch_found(erasure, (0, 0), limit=2)
    await erasures.erase_messages(erasure, found)  # and here its process is killed

    await Eraser(erasures, NoMemory()).advance_all()

    (view,) = await erasures.list_erasures(erasure_id=erasure_id)
    assert view.finished_at
    assert view.erased == {"messages": 5}


async def test_two_processes_erase_together_and_count_each_row_once(
    database: Database, erasures: Erasures, shop: Account, put_ended: PutMessage
) -> None:
    for _ in range(20):
        await put_ended(shop, recipient=NUMBER)
    erasure_id = await request(erasures)
    await asyncio.gather(*(Eraser(Erasures(database), NoMemory()).advance_all() for _ in range(2)))
    (view,) = await erasures.list_erasures(erasure_id=erasure_id)
    assert view.erased == {"messages": 20}


async def test_an_accounts_own_number_is_not_erased(
    database: Database, erase: Erase, shop: Account
) -> None:
    await database.pool.execute("INSERT INTO numbers VALUES ($1, $2)", shop.id, NUMBER)
    await update_account(database, shop.id, default_sender=f"+{OTHER}")
    for number in (NUMBER, OTHER):
        with pytest.raises(Rejected, match="shop's own number"):
            await erase(number)


async def test_an_email_that_shares_its_text_with_others_of_the_day_is_waited_for(
    database: Database, erasures: Erasures, shop: Account, put_ended: PutMessage
) -> None:
    message_id = await put_ended(shop, recipient=NUMBER)
    await database.pool.execute(
        "INSERT INTO email_fallbacks (account_id, message_id, content_id, address, triggers, state)"
        " VALUES ($1, $2, 'c', 'somebody@mail.example', 1, 1)",
        *(shop.id, message_id),
    )
    await request(erasures)
    (erasure,) = await erasures.fetch_unfinished()
    await erasures.search(erasure)
    (found,) = await erasures.fetch_found(erasure, (0, 0))
    assert not found.erasable(time.time())
    assert found.erasable(time.time() + DAY_S + 3_600.0)


async def test_an_export_has_everything_that_an_erasure_takes(
    database: Database, put_everything: PutEverything, erase: Erase, shop: Account
) -> None:
    message_id = await put_everything(shop, NUMBER)
    await put_everything(shop, OTHER)
    await database.pool.execute(
        "INSERT INTO deliveries VALUES ($1, 1, 0, $2, 0)", shop.id, b"\0\1" + NUMBER.encode()
    )
    exported = [record async for record in export_number(database, NUMBER)]
    assert [record["kind"] for record in exported] == [
        *("message", "email", "inbound_message", "inbound_part", "unmatched_receipt"),
        *("webhook", "smpp_delivery"),
    ]
    message = exported[0]
    assert (message["id"], message["account"]) == (str(message_id), "shop")
    assert [event["kind"] for event in message["events"]] == [
        *("email_sent", "submitted", "receipt"),
    ]
    assert message["fallback"]["to"] == f"{NUMBER}@mail.example"
    assert OTHER not in json.dumps(exported)

    await erase(withdraw=True)
    assert [record async for record in export_number(database, NUMBER)] == []


async def test_whether_a_number_was_erased_is_told_only_with_the_key(database: Database) -> None:
    keyed = Erasures(database, "a key of the settings")
    await request(keyed)
    assert len(await keyed.list_erasures(number=NUMBER)) == 1
    assert await Erasures(database).list_erasures(number=NUMBER) == []
    assert await Erasures(database, "another").list_erasures(number=NUMBER) == []


async def test_an_erasure_says_why(erasures: Erasures) -> None:
    for reason in ("", "  ", "x" * 501, "nul\0"):
        with pytest.raises(Rejected, match="say why"):
            await request(erasures, reason=reason)
