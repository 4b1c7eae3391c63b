"""What accounts used is exact at any moment: counted up or not, voided, refunded or replaced."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter as Count
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from gateway.errors import Rejected, StoreUnavailable
from gateway.ids import IdGenerator, accepted_at
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, AccountId, CarrierId, MessageId
from gateway.outcomes import Event
from gateway.record import replace
from gateway.store import partitions
from gateway.store.audit import audit
from gateway.store.backlog import Backlog
from gateway.store.commit_line import CommitLine
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.partitions import drop_partitions, ensure_partitions
from gateway.store.postgres import Database, connect_single
from gateway.store.rows import read_message
from gateway.store.usage import AccountUsage, Counter, fetch_usage, fetch_volumes, total

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
CARRIER = CarrierId(1)
HOUR_S = 3_600.0


def today() -> date:
    return datetime.now(UTC).date()


async def count_up(database: Database) -> None:
    """Count all messages that there are, and none that is still to come."""
    newest = await database.pool.fetchval("SELECT max(id) FROM messages")
    await Counter(database, lag_s=0.0).count_up(accepted_at(newest) + 0.0015)


async def usage(database: Database, account: Account, by: str = "country") -> AccountUsage:
    return await fetch_usage(
        database, account.id, today() - timedelta(days=1), today() + timedelta(days=1), by
    )


def lines(used: AccountUsage) -> dict[str, tuple[int, int, int, int, int]]:
    return {
        line.key: (
            *(line.messages, line.segments),
            *(line.priced_micros, line.voided_micros, line.refunded_micros),
        )
        for line in used.lines
    }


@pytest.fixture
async def writer(database_url: str) -> AsyncIterator[OutcomeWriter]:
    line = CommitLine(partial(connect_single, database_url, "outcomes"), "outcomes")
    writer = OutcomeWriter(line, lambda events, notices: None, waiting_max=10_000)
    task = asyncio.create_task(writer.run())
    yield writer
    writer.stop()
    await task
    await line.close()


def event(account: Account, message_id: MessageId, kind: EventKind, **changes: Any) -> Event:
    values: dict[str, Any] = {
        "message_id": message_id,
        "account_id": account.id,
        "at": time.time(),
        "kind": kind,
        "segment": 1,
        "segment_status": Status.SUBMITTED,
        "status": Status.SUBMITTED,
        "closes": True,
        "carrier_id": CARRIER,
    } | changes
    return Event(**values)


async def test_what_is_not_counted_yet_is_in_a_statement_as_well(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account, other = await make_account("shop"), await make_account("other")
    await put_message(account, country="DE", tag="spring")
    await put_message(other, country="DE")
    expected = {"DE": (1, 1, 7_500, 0, 0)}
    assert lines(await usage(database, account)) == expected
    await count_up(database)
    assert await database.pool.fetchval("SELECT count(*) FROM usage_days") == 2
    assert lines(await usage(database, account)) == expected
    await put_message(account, country="DE", segments=3, price_micros=22_500)
    assert lines(await usage(database, account)) == {"DE": (2, 4, 30_000, 0, 0)}
    await count_up(database)
    assert lines(await usage(database, account)) == {"DE": (2, 4, 30_000, 0, 0)}


async def test_a_message_is_counted_once_however_often_nodes_count(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    for _ in range(20):
        await put_message(account)
    await asyncio.gather(*(count_up(database) for _ in range(4)))
    assert await database.pool.fetchval("SELECT sum(messages) FROM usage_days") == 20
    assert lines(await usage(database, account)) == {"DE": (20, 20, 150_000, 0, 0)}


async def test_what_is_accepted_after_a_clock_was_set_back_is_counted(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    now = time.time()
    await put_message(account, at=now - 10)
    counter = Counter(database, lag_s=0.0)
    await counter.count_up(now + HOUR_S, believed=now - 60)  # ahead, and nothing came by it
    await put_message(account, at=now - 5)
    await counter.count_up(now)
    assert await database.pool.fetchval("SELECT sum(messages) FROM usage_days") == 2
    assert lines(await usage(database, account)) == {"DE": (2, 2, 15_000, 0, 0)}


async def test_a_statement_goes_by_day_country_operator_or_tag(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    now = time.time()
    yesterday = today() - timedelta(days=1)
    await put_message(account, country="DE", tag="a", operator="26201")
    await put_message(account, country="GB", tag="a")
    await put_message(account, country="GB", at=now - 86_400)
    one, two = (1, 1, 7_500, 0, 0), (2, 2, 15_000, 0, 0)
    for _ in range(2):
        assert lines(await usage(database, account, "day")) == {
            yesterday.isoformat(): one,
            today().isoformat(): two,
        }
        assert lines(await usage(database, account, "country")) == {"DE": one, "GB": two}
        assert lines(await usage(database, account, "operator")) == {"": two, "26201": one}
        assert lines(await usage(database, account, "tag")) == {"": one, "a": two}
        await count_up(database)
    only = await fetch_usage(database, account.id, yesterday, yesterday, "day")
    assert lines(only) == {yesterday.isoformat(): one}


async def test_what_is_voided_and_refunded_is_taken_off_the_day_of_acceptance(
    database: Database, make_account: MakeAccount, put_message: PutMessage, writer: OutcomeWriter
) -> None:
    account = await make_account()
    old = await put_message(account, at=time.time() - 86_400, segments=2, price_micros=10)
    new = await put_message(account, tag="a", operator="26201")
    writer.record(event(account, old, EventKind.REFUSED, voided_micros=5))
    writer.record(event(account, old, EventKind.SUBMITTED, segment=2, posted_micros=5))
    writer.record(event(account, new, EventKind.SUBMITTED, posted_micros=7_500))
    writer.refund(event(account, old, EventKind.REFUND, segment=2, closes=False))
    await writer.flush()
    writer.refund(event(account, new, EventKind.REFUND, closes=False))
    writer.refund(event(account, new, EventKind.REFUND, closes=False))
    await writer.flush()
    by_day = lines(await usage(database, account, "day"))
    assert list(by_day.values()) == [(1, 2, 10, 5, 5), (1, 1, 7_500, 0, 7_500)]
    assert lines(await usage(database, account, "tag"))["a"] == (1, 1, 7_500, 0, 7_500)
    assert lines(await usage(database, account, "operator"))["26201"][-1] == 7_500
    row = await database.pool.fetchrow(
        "SELECT sum(voided_segments) AS voided, sum(refunded_segments) AS refunded"
        " FROM usage_returned"
    )
    assert row is not None and tuple(row) == (1, 2)


@pytest.mark.parametrize("counted", [False, True])
async def test_a_message_that_is_replaced_is_stated_as_it_is_now(
    database: Database, make_account: MakeAccount, put_message: PutMessage, counted: bool
) -> None:
    account = await make_account()
    message_id = await put_message(account, tag="a")
    if counted:
        await count_up(database)
    row = await database.pool.fetchrow("SELECT * FROM messages")
    assert row is not None
    old = read_message(row)
    new = replace(old, text="x" * 200, segments=2, price_micros=15_000)
    await Backlog(database).replace(old, new)
    assert lines(await usage(database, account, "tag")) == {"a": (1, 2, 15_000, 0, 0)}
    await count_up(database)
    assert lines(await usage(database, account, "tag")) == {"a": (1, 2, 15_000, 0, 0)}
    dear = replace(old, price_micros=10**12)
    with pytest.raises(Rejected):
        await Backlog(database).replace(new, dear)
    assert lines(await usage(database, account, "tag")) == {"a": (1, 2, 15_000, 0, 0)}
    assert message_id == old.id


async def test_deposits_of_the_days_are_stated(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account(credit_micros=1_000)
    await database.pool.execute(
        "INSERT INTO deposits (account_id, amount_micros, reason, author, created_at)"
        " VALUES ($1, -300, '', '', now()), ($1, 5, '', '', now() - interval '5 days')",
        account.id,
    )
    used = await usage(database, account)
    assert (used.added_micros, used.taken_micros) == (1_000, -300)


async def test_of_a_dropped_day_the_statement_stays_without_its_tags(
    database: Database, make_account: MakeAccount, put_message: PutMessage, writer: OutcomeWriter
) -> None:
    account = await make_account()
    now, long_ago = time.time(), time.time() - 40 * 86_400
    await ensure_partitions(database, long_ago)
    for tag in ("a", "b", None):
        message_id = await put_message(account, at=long_ago, tag=tag, price_micros=10)
        writer.record(event(account, message_id, EventKind.EXPIRED, voided_micros=10))
    await writer.flush()
    kept = await drop_partitions(database, now, 30)
    assert kept.kept, "a day that is not counted up must not be dropped"
    await Counter(database).count_up(now)
    await drop_partitions(database, now, 30)
    day = datetime.fromtimestamp(long_ago, UTC).date()
    used = await fetch_usage(database, account.id, day, day, "tag")
    assert lines(used) == {"": (3, 3, 30, 30, 0)}
    assert (await audit(database, now)).findings == []


TOO_MANY_AT_ONCE = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'canceling statement due to statement timeout'
  USING ERRCODE = '57014'; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON usage_days FOR EACH ROW WHEN (NEW.messages > 5)
EXECUTE FUNCTION refuse();
"""


async def test_a_flood_after_a_quiet_time_is_counted_in_shorter_spans(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    noon = partitions.midnight(today() - timedelta(days=1)) + 12 * HOUR_S
    for at in (noon, *(noon + 2 * HOUR_S + 2 * n for n in range(20))):
        await put_message(account, at=at)
    await database.pool.execute(TOO_MANY_AT_ONCE)
    counter = Counter(database)
    assert await counter.count_up(time.time()) > 4
    assert lines(await usage(database, account))["DE"][0] == 21


async def test_what_no_span_can_count_is_said(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    account = await make_account()
    an_hour_ago = time.time() - HOUR_S
    for _ in range(6):
        await put_message(account, at=an_hour_ago)
    await database.pool.execute(TOO_MANY_AT_ONCE)
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        await Counter(database).count_up(time.time())


async def test_volumes_are_the_segments_of_a_month(
    database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    await put_message(shop, segments=3)
    await put_message(shop, at=time.time() - 86_400)
    await count_up(database)
    await put_message(shop, segments=2)
    volumes = await fetch_volumes(database, today() - timedelta(days=1))
    assert volumes == {shop.id: 6, bank.id: 0}
    assert (await fetch_volumes(database, today()))[shop.id] == 5


@pytest.mark.parametrize(
    ("tampering", "what"),
    [
        ("UPDATE usage_days SET messages = messages + 1", "messages"),
        ("UPDATE usage_days SET segments = segments - 1", "segments"),
        ("UPDATE usage_days SET priced_micros = priced_micros + 1", "priced"),
        ("UPDATE usage_returned SET voided_micros = voided_micros + 1", "voided"),
        ("DELETE FROM usage_days", "messages"),
    ],
)
async def test_a_statement_that_drifted_from_its_messages_is_found_by_the_audit(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    writer: OutcomeWriter,
    tampering: str,
    what: str,
) -> None:
    account = await make_account()
    message_id = await put_message(account)
    expired = {"segment_status": Status.EXPIRED, "status": Status.EXPIRED, "voided_micros": 7_500}
    writer.record(event(account, message_id, EventKind.EXPIRED, **expired))
    await writer.flush()
    await count_up(database)
    assert (await audit(database, time.time())).findings == []
    await database.pool.execute(tampering)
    found = (await audit(database, time.time())).findings
    assert f"{what} of {today()} in statements" in {finding.what for finding in found}


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_in_whichever_order_the_statement_is_the_messages(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    writer: OutcomeWriter,
    seed: int,
) -> None:
    chance = random.Random(seed)
    accounts = [await make_account(name) for name in ("a", "b", "c")]
    expected: dict[AccountId, Count[str]] = {account.id: Count() for account in accounts}
    start = time.time() - 20 * HOUR_S
    for number in range(60):
        account = chance.choice(accounts)
        counts = expected[account.id]
        segments, each = chance.randint(1, 3), chance.choice((0, 70))
        at = start + number * 1_000
        message_id = await put_message(
            account,
            at=at,
            segments=segments,
            price_micros=segments * each,
            tag=chance.choice((None, "x", "y")),
            country=chance.choice(("DE", "GB", "")),
        )
        counts.update(messages=1, segments=segments, priced=segments * each)
        for segment in range(1, segments + 1):
            match chance.randint(0, 3):
                case 0:
                    what = {"segment": segment, "voided_micros": each}
                    writer.record(event(account, message_id, EventKind.EXPIRED, **what))
                    counts.update(voided=each)
                case 1:
                    what = {"segment": segment, "posted_micros": each}
                    writer.record(event(account, message_id, EventKind.SUBMITTED, **what))
                    for _ in range(chance.randint(1, 2)):
                        writer.refund(event(account, message_id, EventKind.REFUND, segment=segment))
                    counts.update(refunded=each)
        if chance.random() < 0.2:
            await writer.flush()
        if chance.random() < 0.2:
            until = at + chance.choice((0.5, -HOUR_S))
            await Counter(database, lag_s=0.0).count_up(until)
    await writer.flush()
    for account in accounts:
        for by in ("day", "country", "operator", "tag"):
            summed = total((await usage(database, account, by)).lines)
            counts = expected[account.id]
            assert (summed.messages, summed.segments) == (counts["messages"], counts["segments"])
            assert summed.priced_micros == counts["priced"]
            assert summed.voided_micros == counts["voided"]
            assert summed.refunded_micros == counts["refunded"]


async def test_a_day_ends_at_midnight_utc(database: Database) -> None:
    for at, day in (
        (1_772_323_199.999, date(2026, 2, 28)),
        (1_772_323_200.0, date(2026, 3, 1)),
    ):
        found = await database.pool.fetchval("SELECT usage_day($1)", IdGenerator(0).next(at))
        assert found == day
