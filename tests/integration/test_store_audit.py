"""The audit agrees with whatever the writers do, and names every kind of tampering."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store.audit import AuditReport, Finding, audit
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]


class Shop:
    """An account with one message of each kind, whose rows agree."""

    def __init__(self, database: Database, account: Account) -> None:
        self.database = database
        self.account = account
        self.ids: dict[str, MessageId] = {}

    async def tamper(self, sql: str, *values: object) -> None:
        async with self.database.acquire() as connection:
            done = await connection.execute(sql, *values)
        assert not done.endswith(" 0"), f"nothing was changed by {sql}"

    async def audit(self) -> AuditReport:
        return await audit(self.database, time.time())

    async def findings(self) -> list[Finding]:
        return (await self.audit()).findings


@pytest.fixture
async def shop(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> Shop:
    shop = Shop(database, await make_account("shop"))
    account, ids = shop.account, shop.ids
    for name in ("open", "submitted", "delivered", "refused", "late", "retried"):
        ids[name] = await put_message(account)
    for name in ("submitted", "delivered", "late"):
        await put_event(account, ids[name], EventKind.SUBMITTED)
    await put_event(account, ids["delivered"], EventKind.RECEIPT, status=Status.DELIVERED)
    await put_event(account, ids["refused"], EventKind.REFUSED)
    await put_event(account, ids["late"], EventKind.NO_RECEIPT)
    await put_event(account, ids["late"], EventKind.RECEIPT, status=Status.DELIVERED)
    await put_event(account, ids["retried"], EventKind.RETRY)
    ids["half"] = await put_message(account, segments=3, price_micros=22_500)
    await put_event(
        account,
        ids["half"],
        EventKind.SUBMITTED,
        segment_status=Status.SUBMITTED,
        status=Status.SENDING,
        closes=False,
    )
    ids["mixed"] = await put_message(account, segments=2, price_micros=15_000)
    for segment, after, whole in ((1, Status.SUBMITTED, Status.SENDING), (2, None, None)):
        await put_event(
            account,
            ids["mixed"],
            EventKind.SUBMITTED if after else EventKind.REFUSED,
            segment=segment,
            segment_status=after or Status.REJECTED,
            status=whole or Status.SUBMITTED,
            closes=segment == 2,
        )
    return shop


def told(findings: list[Finding], message_id: MessageId | None) -> set[tuple[str, str, str]]:
    """Return what is said of one message, or of accounts as a whole."""
    assert all(finding.account == "shop" for finding in findings)
    return {(f.what, f.stored, f.recomputed) for f in findings if f.message_id == message_id}


async def test_an_empty_store_agrees(database: Database) -> None:
    report = await audit(database, 1.0)
    assert report.agrees
    assert (report.accounts, report.bad_messages, report.at) == ([], 0, 1.0)


async def test_rows_as_they_are_written_agree(shop: Shop) -> None:
    report = await shop.audit()
    assert report.findings == []
    (account,) = report.accounts
    assert (account.messages, account.open_messages) == (8, 3)
    assert account.deposited_micros == 100_000_000
    assert account.posted_micros == 5 * 7_500
    assert account.voided_micros == 2 * 7_500
    assert account.reserved_micros == 4 * 7_500
    assert account.available_micros == 100_000_000 - 9 * 7_500
    assert report.bad_messages == 0


async def test_progress_is_told_day_by_day(shop: Shop) -> None:
    told_days: list[tuple[int, int]] = []
    await audit(shop.database, time.time(), lambda done, of: told_days.append((done, of)))
    assert told_days == [(1, 3), (2, 3), (3, 3)]


async def test_parked_receipts_are_counted_and_no_disagreement(shop: Shop) -> None:
    await shop.tamper(
        "INSERT INTO parked_receipts (carrier_id, carrier_message_id, received_at,"
        " segment_status, given_up) VALUES (1, 'a', 0, 10, false), (1, 'b', 0, 10, true)"
    )
    report = await shop.audit()
    assert (report.agrees, report.parked_receipts, report.unmatched_receipts) == (True, 1, 1)


async def test_accounts_are_told_apart(shop: Shop, make_account: MakeAccount) -> None:
    await make_account("bank")
    await shop.tamper("UPDATE balances SET available_micros = 1 WHERE account_id = 1")
    report = await shop.audit()
    assert {f.account for f in report.findings} == {"shop"}
    assert [a.account for a in report.accounts] == ["shop", "bank"]


# ── money ───────────────────────────────────────────────────────────────────────────────────


async def test_credit_out_of_nowhere_is_named(shop: Shop) -> None:
    await shop.tamper("UPDATE balances SET available_micros = available_micros + 1")
    assert told(await shop.findings(), None) == {
        ("available", "99932501", "99932500"),
        ("reserved", "29999", "30000"),
    }


async def test_a_deposit_without_its_row_is_named(shop: Shop) -> None:
    await shop.tamper("DELETE FROM deposits")
    assert ("deposited", "100000000", "0") in told(await shop.findings(), None)


async def test_a_changed_deposit_is_named(shop: Shop) -> None:
    await shop.tamper("UPDATE deposits SET amount_micros = amount_micros + 5")
    assert ("deposited", "100000000", "100000005") in told(await shop.findings(), None)


async def test_a_changed_sum_of_deposits_is_named(shop: Shop) -> None:
    await shop.tamper("UPDATE balances SET deposited_micros = deposited_micros - 5")
    assert ("deposited", "99999995", "100000000") in told(await shop.findings(), None)


async def test_a_changed_posting_is_named(shop: Shop) -> None:
    await shop.tamper("UPDATE postings SET posted_micros = posted_micros + 1")
    assert ("posted", "37501", "37500") in told(await shop.findings(), None)


async def test_credit_below_the_floor_is_named(shop: Shop) -> None:
    await shop.tamper("UPDATE balances SET floor_micros = available_micros + 1")
    assert told(await shop.findings(), None) == {
        ("available, at least the floor", "99932500", "99932501")
    }


async def test_missing_money_rows_are_named(shop: Shop) -> None:
    await shop.tamper("DELETE FROM balances")
    assert ("rows of money", "missing", "2") in told(await shop.findings(), None)


async def test_a_changed_price_is_named_with_its_message(shop: Shop) -> None:
    delivered = shop.ids["delivered"]
    await shop.tamper("UPDATE messages SET price_micros = 7499 WHERE id = $1", delivered)
    findings = await shop.findings()
    assert told(findings, delivered) == {("posted and voided", "7500", "7499")}
    assert ("available", "99932500", "99932501") in told(findings, None)


async def test_an_open_message_that_posted_more_than_its_price_is_named(shop: Shop) -> None:
    half = shop.ids["half"]
    await shop.tamper("UPDATE events SET posted_micros = 22501 WHERE message_id = $1", half)
    assert ("posted and voided, at most", "22501", "22500") in told(await shop.findings(), half)


async def test_a_message_deleted_from_under_its_events_is_named(shop: Shop) -> None:
    delivered = shop.ids["delivered"]
    await shop.tamper("DELETE FROM messages WHERE id = $1", delivered)
    findings = await shop.findings()
    assert told(findings, delivered) == {("events without their message", "2", "0")}
    assert ("available", "99932500", "99940000") in told(findings, None)


async def test_a_vanished_open_message_is_missed_in_the_sums(shop: Shop) -> None:
    await shop.tamper("DELETE FROM messages WHERE id = $1", shop.ids["open"])
    assert ("reserved", "30000", "22500") in told(await shop.findings(), None)


async def test_an_event_deleted_is_missed_in_the_sums(shop: Shop) -> None:
    await shop.tamper("DELETE FROM events WHERE message_id = $1", shop.ids["submitted"])
    assert ("posted", "37500", "30000") in told(await shop.findings(), None)


async def test_a_segment_posted_twice_is_named(shop: Shop, put_event: PutEvent) -> None:
    await put_event(shop.account, shop.ids["submitted"], EventKind.SUBMITTED, closes=False)
    assert told(await shop.findings(), shop.ids["submitted"]) == {
        ("posted and voided", "15000", "7500"),
        ("segments closed twice", "1", "0"),
    }


async def test_a_segment_both_posted_and_voided_is_named(shop: Shop, put_event: PutEvent) -> None:
    await put_event(
        shop.account,
        shop.ids["submitted"],
        EventKind.HELD,
        status=Status.SUBMITTED,
        closes=False,
    )
    said = told(await shop.findings(), shop.ids["submitted"])
    assert ("segments closed twice", "1", "0") in said


# ── states ──────────────────────────────────────────────────────────────────────────────────


async def test_a_message_closed_twice_is_named(shop: Shop, put_event: PutEvent) -> None:
    submitted = shop.ids["submitted"]
    await put_event(
        shop.account, submitted, EventKind.RECEIPT, status=Status.SUBMITTED, closes=True
    )
    assert told(await shop.findings(), submitted) == {("closing events, at most", "2", "1")}


async def test_a_submitted_message_that_was_never_closed_is_named(shop: Shop) -> None:
    submitted = shop.ids["submitted"]
    await shop.tamper("UPDATE events SET closes = false WHERE message_id = $1", submitted)
    assert told(await shop.findings(), submitted) == {("closed, being submitted", "False", "True")}


async def test_a_waiting_message_that_is_closed_is_named(shop: Shop) -> None:
    retried = shop.ids["retried"]
    await shop.tamper("UPDATE events SET closes = true WHERE message_id = $1", retried)
    assert told(await shop.findings(), retried) == {
        ("closed, being accepted", "True", "False"),
        ("posted and voided", "0", "7500"),
    }


async def test_a_status_that_does_not_follow_from_the_segments_is_named(shop: Shop) -> None:
    mixed = shop.ids["mixed"]
    await shop.tamper("UPDATE events SET status = 13 WHERE message_id = $1 AND segment = 2", mixed)
    assert told(await shop.findings(), mixed) == {("status", "rejected", "submitted")}


async def test_a_segment_changed_behind_its_message_is_named(shop: Shop) -> None:
    delivered = shop.ids["delivered"]
    await shop.tamper(
        "UPDATE events SET segment_status = 11 WHERE message_id = $1 AND kind = 4", delivered
    )
    assert told(await shop.findings(), delivered) == {("status", "delivered", "undelivered")}


async def test_a_receipt_for_what_was_never_submitted_is_named(
    shop: Shop, put_event: PutEvent
) -> None:
    await put_event(shop.account, shop.ids["refused"], EventKind.RECEIPT, status=Status.REJECTED)
    assert told(await shop.findings(), shop.ids["refused"]) == {
        ("receipts of segment 1, never submitted", "1", "0")
    }


# ── references ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("table", "insert"),
    [
        (
            "outbox",
            "INSERT INTO outbox (account_id, message_id, body, created_at, next_at)"
            " VALUES ($1, $2, '', 0, 0)",
        ),
        ("idempotency", "INSERT INTO idempotency VALUES ($1, 'k:x', $2, '')"),
    ],
)
async def test_a_row_for_a_message_that_is_not_there_is_named(
    shop: Shop, table: str, insert: str
) -> None:
    await shop.tamper(insert, shop.account.id, shop.ids["open"])
    assert await shop.findings() == []
    missing = MessageId(shop.ids["open"] - 1)
    await shop.tamper(f"UPDATE {table} SET message_id = $1", missing)  # noqa: S608 (our table)
    assert told(await shop.findings(), missing) == {
        (f"a row of {table} for a message that is not there", "1", "0")
    }


async def test_a_row_for_a_message_that_was_dropped_with_its_day_is_no_disagreement(
    shop: Shop,
) -> None:
    await shop.tamper("INSERT INTO idempotency VALUES ($1, 'k:x', 1, '')", shop.account.id)
    assert await shop.findings() == []


async def test_all_bad_messages_are_counted_though_not_all_are_named(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.audit.SUSPECTS_MAX", 2)
    await shop.tamper("UPDATE events SET closes = false WHERE closes")
    report = await shop.audit()
    assert report.bad_messages == 5
    assert len({f.message_id for f in report.findings if f.message_id}) == 2


async def test_the_audit_sees_one_moment_of_a_gateway_at_work(
    shop: Shop, put_message: PutMessage, put_event: PutEvent
) -> None:
    done = False

    async def work() -> int:
        count = 0
        while not done:
            message_id = await put_message(shop.account)
            await put_event(shop.account, message_id, EventKind.SUBMITTED)
            count += 1
        return count

    worker = asyncio.create_task(work())
    reports = [await shop.audit() for _ in range(8)]
    done = True
    count = await worker
    assert [report.findings for report in reports] == [[]] * 8
    assert len({report.accounts[0].messages for report in reports}) > 1, "nothing happened"
    assert (await shop.audit()).accounts[0].messages == 8 + count


# ── refunds ─────────────────────────────────────────────────────────────────────────────────

REFUND = (
    "INSERT INTO events (account_id, message_id, at, kind, segment, segment_status, status, closes,"
    " carrier_id, posted_micros, voided_micros, refunded_micros)"
    " VALUES ($1, $2, extract(epoch FROM now()), 11, 1, 11, 11, false, 1, 0, 0, $3)"
)
GIVE_BACK = (
    "WITH p AS (UPDATE postings SET refunded_micros = refunded_micros + $1),"
    " u AS (INSERT INTO usage_returned SELECT account_id, usage_day(id), country, '', '', 0, 0, 1,"
    " $1 FROM messages ORDER BY id LIMIT 1 ON CONFLICT (account_id, day, country, operator, tag)"
    " DO UPDATE SET refunded_micros = usage_returned.refunded_micros + excluded.refunded_micros)"
    " UPDATE balances SET available_micros = available_micros + $1"
)


async def refund(shop: Shop, put_event: PutEvent, name: str, micros: int) -> None:
    message_id = shop.ids[name]
    await put_event(shop.account, message_id, EventKind.RECEIPT, status=Status.UNDELIVERED)
    await shop.tamper(REFUND, shop.account.id, message_id, micros)
    await shop.tamper(GIVE_BACK, micros)


async def test_refunds_agree(shop: Shop, put_event: PutEvent) -> None:
    await refund(shop, put_event, "submitted", 7_500)
    report = await shop.audit()
    assert report.findings == []
    assert report.accounts[0].refunded_micros == 7_500
    assert report.accounts[0].available_micros == 100_000_000 - 8 * 7_500


async def test_a_refund_without_its_money_is_named(shop: Shop, put_event: PutEvent) -> None:
    await put_event(
        shop.account, shop.ids["submitted"], EventKind.RECEIPT, status=Status.UNDELIVERED
    )
    await shop.tamper(REFUND, shop.account.id, shop.ids["submitted"], 7_500)
    assert {what.partition(" of ")[0] for what, _, _ in told(await shop.findings(), None)} == {
        "refunded",
        "available",
    }


async def test_a_refund_of_another_amount_is_named(shop: Shop, put_event: PutEvent) -> None:
    await refund(shop, put_event, "submitted", 7_499)
    found = await shop.findings()
    assert ("segments refunded wrongly", "1", "0") in told(found, shop.ids["submitted"])


async def test_a_refund_of_what_was_never_posted_is_named(shop: Shop, put_event: PutEvent) -> None:
    await shop.tamper(REFUND, shop.account.id, shop.ids["refused"], 7_500)
    await shop.tamper(GIVE_BACK, 7_500)
    found = await shop.findings()
    assert {what for what, _, _ in told(found, shop.ids["refused"])} >= {
        "segments refunded wrongly",
        "refunded, at most",
    }


async def test_a_second_refund_is_not_taken_by_the_store(shop: Shop, put_event: PutEvent) -> None:
    await refund(shop, put_event, "submitted", 7_500)
    with pytest.raises(asyncpg.UniqueViolationError):
        await shop.tamper(REFUND, shop.account.id, shop.ids["submitted"], 7_500)
