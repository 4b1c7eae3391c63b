from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.ids import id_at
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, CarrierId, Lane, MessageId
from gateway.store import maintenance as maintenance_module
from gateway.store.maintenance import Maintenance, Unanswered
from gateway.store.partitions import ensure_partitions
from gateway.store.postgres import Database

PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
NOW = time.time()
ACCEPTED = NOW - 200
DAY_S = 86_400.0


@pytest.fixture
def maintenance(database: Database) -> Maintenance:
    return Maintenance(database)


async def execute(database: Database, sql: str, *values: object) -> None:
    async with database.acquire() as connection:
        await connection.execute(sql, *values)


async def count(database: Database, table: str) -> int:
    async with database.acquire() as connection:
        return int(await connection.fetchval(f"SELECT count(*) FROM {table}"))  # noqa: S608


# ── forgetting ──────────────────────────────────────────────────────────────────────────────


async def test_keys_past_their_time_are_free_again(
    database: Database, maintenance: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance_module, "DELETE_ROWS_MAX", 4)
    for age_s in (*range(0, 10), *range(101, 111)):
        await execute(
            database,
            "INSERT INTO idempotency VALUES (1, $1, $2, '')",
            f"k:{age_s}",
            id_at(NOW - age_s),
        )
    assert await maintenance.forget_idempotency(NOW, 100) == 10
    assert await maintenance.forget_idempotency(NOW, 100) == 0
    assert await count(database, "idempotency") == 10


async def test_parked_receipts_are_given_up_after_their_time(
    database: Database, maintenance: Maintenance
) -> None:
    for name, age_s in (("young", 10), ("old", 100), ("older", 200)):
        await execute(
            database,
            "INSERT INTO parked_receipts VALUES (1, $1, $2, 10, 2, '')",
            name,
            NOW - age_s,
        )
    assert await maintenance.give_up_parked(NOW, 50) == 2
    assert await maintenance.give_up_parked(NOW, 50) == 0
    assert await count(database, "parked_receipts WHERE NOT given_up") == 1
    assert await count(database, "parked_receipts") == 3


async def test_what_is_kept_outside_of_partitions_goes_by_the_same_retention(
    database: Database, maintenance: Maintenance
) -> None:
    for number, age_days in ((1, 1), (2, 31)):
        at = NOW - age_days * DAY_S
        await execute(
            database, "INSERT INTO parked_receipts VALUES (1, 'a', $1, 10, 2, '', true)", at
        )
        await execute(
            database,
            "INSERT INTO inbound_messages VALUES ($1, 1, $2, '', '', 0, 0, '', '')",
            id_at(at),
            at,
        )
        await execute(
            database,
            "INSERT INTO outbox (account_id, message_id, body, created_at, next_at, dead)"
            " VALUES (1, $1, '', $2, 0, true), (1, $1, '', $2, 0, false)",
            number,
            at,
        )
    await execute(database, "INSERT INTO parked_receipts VALUES (1, 'a', 0, 10, 2, '', false)")
    assert await maintenance.forget_remains(NOW, 30) == 3
    assert await count(database, "parked_receipts") == 2
    assert await count(database, "inbound_messages") == 1
    assert await count(database, "outbox") == 3
    assert await count(database, "outbox WHERE NOT dead") == 2


# ── receipts that never came ────────────────────────────────────────────────────────────────


async def sweep(maintenance: Maintenance, timeout_s: float = 50, limit: int = 100) -> list[int]:
    """Return what one whole sweep finds from the beginning."""
    found: list[int] = []
    seen_to = 0.0
    while True:
        swept = await maintenance.find_unanswered(NOW, timeout_s, limit, seen_to)
        found += [unanswered.message_id for unanswered in swept.found]
        if swept.complete:
            return found
        assert swept.seen_to > seen_to, "the sweep does not move on"
        seen_to = swept.seen_to


async def test_only_messages_without_a_final_status_are_unanswered(
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    ids = [await put_message(shop, at=ACCEPTED) for _ in range(6)]
    _waiting, silent, answered, late, fresh, ended = ids
    for message_id, age_s in ((silent, 100), (answered, 90), (late, 80), (fresh, 10)):
        await put_event(shop, message_id, EventKind.SUBMITTED, at=NOW - age_s)
    await put_event(shop, answered, EventKind.RECEIPT, status=Status.DELIVERED, at=NOW - 89)
    await put_event(shop, late, EventKind.RECEIPT, status=Status.DELIVERED, at=NOW - 1)
    await put_event(shop, ended, EventKind.REFUSED, at=NOW - 100)
    assert await sweep(maintenance) == [silent]
    assert await sweep(maintenance, timeout_s=5) == [silent, fresh]


async def test_a_receipt_that_is_not_final_is_no_answer(
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    message_id = await put_message(shop, at=ACCEPTED)
    await put_event(shop, message_id, EventKind.SUBMITTED, at=NOW - 100)
    await put_event(shop, message_id, EventKind.RECEIPT, status=Status.SUBMITTED, at=NOW - 90)
    assert await sweep(maintenance) == [message_id]


async def test_what_is_known_of_each_segment_and_of_its_sender_is_told(
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    message_id = await put_message(
        shop,
        at=ACCEPTED,
        segments=3,
        price_micros=22_500,
        client_ref="order-7",
        callback_url="https://x",
    )
    for segment in (1, 2, 3):
        await put_event(
            shop,
            message_id,
            EventKind.SUBMITTED,
            segment=segment,
            status=Status.SUBMITTED,
            closes=segment == 3,
            carrier_id=4,
            carrier_message_id=f"id-{segment}",
            at=NOW - 100 + segment,
        )
    await put_event(
        shop,
        message_id,
        EventKind.RECEIPT,
        segment=2,
        segment_status=Status.DELIVERED,
        status=Status.SUBMITTED,
        carrier_id=4,
        at=NOW - 90,
    )
    (found,) = (await maintenance.find_unanswered(NOW, 50, 10, NOW - 1_000)).found
    assert isinstance(found, Unanswered)
    assert found.account_id == shop.id
    assert found.states == [Status.SUBMITTED, Status.DELIVERED, Status.SUBMITTED]
    assert found.carriers == [4, 4, 4]
    assert found.taken == {(4, "id-1"): [0], (4, "id-2"): [1], (4, "id-3"): [2]}
    assert found.submitted_at == NOW - 97
    assert (found.party.client_ref, found.party.callback_url) == ("order-7", "https://x")
    assert (found.party.segments, found.party.tag) == (3, "")


async def test_what_happens_after_the_clock_was_put_back_is_seen(
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    ahead = await maintenance.find_unanswered(NOW + 600, 50, 10, NOW)
    # Ids only grow: this one goes by the clock as it was.
    message_id = await put_message(shop, at=NOW + 599)
    await put_event(shop, message_id, EventKind.SUBMITTED, at=NOW - 5)
    soon = await maintenance.find_unanswered(NOW, 50, 10, ahead.seen_to)
    assert (soon.found, soon.seen_to) == ([], NOW - 50)
    swept = await maintenance.find_unanswered(NOW + 60, 50, 10, soon.seen_to)
    assert [found.message_id for found in swept.found] == [message_id]


async def test_ids_of_a_clock_that_was_days_ahead_hide_no_message(
    database: Database,
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    await ensure_partitions(database, NOW, days_ahead=4)
    message_id = await put_message(shop, at=NOW + 3 * DAY_S)
    await put_event(shop, message_id, EventKind.SUBMITTED, at=NOW - 100)
    assert await sweep(maintenance) == [message_id]


async def test_a_mark_of_a_node_whose_clock_is_a_little_ahead_stays(
    maintenance: Maintenance,
) -> None:
    swept = await maintenance.find_unanswered(NOW, 50, 10, NOW - 48)
    assert (swept.found, swept.seen_to, swept.complete) == ([], NOW - 48, True)


async def test_a_sweep_is_cut_at_its_limit_and_goes_on_from_there(
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    ids = [await put_message(shop, at=ACCEPTED) for _ in range(7)]
    for age_s, message_id in zip(range(107, 100, -1), ids, strict=True):
        await put_event(shop, message_id, EventKind.SUBMITTED, at=NOW - age_s)
    found: list[int] = []
    seen_to = NOW - 1_000
    while True:
        swept = await maintenance.find_unanswered(NOW, 50, 3, seen_to)
        assert len(swept.found) <= 3
        for unanswered in swept.found:  # dealt with before the next call, as it has to be
            found.append(unanswered.message_id)
            await put_event(shop, unanswered.message_id, EventKind.NO_RECEIPT, at=NOW)
        seen_to = swept.seen_to
        if swept.complete:
            break
    assert found == ids
    assert seen_to == NOW - 50


async def test_a_message_submitted_long_after_its_acceptance_is_found_in_its_time(
    maintenance: Maintenance,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    message_id = await put_message(shop, at=NOW - NOW % DAY_S - 3_600)  # yesterday
    await put_event(shop, message_id, EventKind.SUBMITTED, at=NOW - 100)
    first = await maintenance.find_unanswered(NOW - 60, 50, 10, 0.0)
    while not first.complete:
        first = await maintenance.find_unanswered(NOW - 60, 50, 10, first.seen_to)
    assert first.found == []
    second = await maintenance.find_unanswered(NOW, 50, 10, first.seen_to)
    assert [unanswered.message_id for unanswered in second.found] == [message_id]


async def test_a_quiet_time_is_passed_in_few_steps(
    maintenance: Maintenance,
) -> None:
    swept = await maintenance.find_unanswered(NOW, 50, 10, 0.0)
    assert swept.complete
    assert swept.seen_to == NOW - 50


# ── marks ───────────────────────────────────────────────────────────────────────────────────


async def test_queue_marks_are_kept_and_replaced(maintenance: Maintenance) -> None:
    assert await maintenance.load_queue_marks() == {}
    await maintenance.save_queue_marks({})
    first = {(CarrierId(1), Lane.OTP): 5, (CarrierId(2), Lane.MARKETING): 2**62}
    await maintenance.save_queue_marks(first)
    await maintenance.save_queue_marks({(CarrierId(1), Lane.OTP): 9})
    assert await maintenance.load_queue_marks() == first | {(CarrierId(1), Lane.OTP): 9}


async def test_sweep_marks_are_kept_by_name(maintenance: Maintenance) -> None:
    assert await maintenance.load_sweep_mark("unanswered") == 0.0
    await maintenance.save_sweep_mark("unanswered", NOW)
    await maintenance.save_sweep_mark("unanswered", NOW + 0.25)
    assert await maintenance.load_sweep_mark("unanswered") == NOW + 0.25
    assert await maintenance.load_sweep_mark("other") == 0.0
