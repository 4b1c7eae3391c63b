"""Which submission a carrier's id names, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.lifecycle import EventKind
from gateway.model import Account, CarrierId, Lane, MessageId
from gateway.references import Key
from gateway.store.backlog import (
    _SUBMISSIONS,
    PROMPT_S,
    Backlog,
    find_submissions,
)
from gateway.store.postgres import Database, going_by_indexes

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
CountRowsRead = Callable[[], Awaitable[int]]
Taken = Callable[..., Awaitable[MessageId]]
KEY: Key = (CarrierId(1), "7")
NOW = time.time() - 3_600


@pytest.fixture
async def taken(make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent) -> Taken:
    """Store a message that the carrier took under the one id of these tests."""
    account = await make_account()

    async def take(accepted_at: float, submitted_at: float) -> MessageId:
        message_id = await put_message(account, at=accepted_at)
        await put_event(
            account,
            message_id,
            EventKind.SUBMITTED,
            at=submitted_at,
            carrier_id=KEY[0],
            carrier_message_id=KEY[1],
        )
        return message_id

    return take


async def find(database: Database) -> MessageId:
    async with database.acquire() as connection:
        return (await find_submissions(connection, [KEY], 0))[KEY].message_id


async def test_an_id_that_a_carrier_uses_again_names_the_later_submission(
    database: Database, taken: Taken
) -> None:
    await taken(NOW, NOW + 0.1)
    later = await taken(NOW + 10, NOW + 10.1)
    await taken(NOW - 10, NOW - 9.9)
    assert await find(database) == later


async def test_it_does_so_when_the_clock_was_put_back_in_between(
    database: Database, taken: Taken
) -> None:
    await taken(NOW, NOW + 0.1)
    # Ids go on from the last one while the clock is behind it.
    later = await taken(NOW + 0.001, NOW - 120)
    assert await find(database) == later


async def test_what_left_long_after_its_acceptance_counts_by_when_it_left(
    database: Database, taken: Taken
) -> None:
    scheduled = await taken(NOW - 600, NOW + PROMPT_S + 30)
    await taken(NOW, NOW + 0.1)
    assert await find(database) == scheduled


async def test_in_a_day_that_was_analysed_while_empty_each_message_is_looked_for_by_itself(
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
    count_rows_read: CountRowsRead,
) -> None:
    account, backlog = await make_account(), Backlog(database)
    keys = [(KEY[0], str(number)) for number in range(50)]

    async def look(ids: list[MessageId]) -> tuple[int, int, int]:
        one = await backlog.fetch_one(account.id, ids[0])
        still_open = await backlog.fetch_open([account.id] * len(ids), ids)
        async with database.acquire() as connection:
            found = await find_submissions(connection, keys, 0)
        return int(one is not None), len(still_open), len(found)

    assert await look([MessageId(1)]) == (0, 0, 0)  # as it is planned
    ids = [await put_message(account) for _ in range(60)]
    for message_id, (carrier_id, name) in zip(ids, keys, strict=False):
        named = {"carrier_id": carrier_id, "carrier_message_id": name}
        await put_event(account, message_id, EventKind.SUBMITTED, **named)
    before = await count_rows_read()
    assert await look(ids) == (1, 10, 50)
    assert await count_rows_read() - before < 10 * len(ids)


async def test_a_submission_of_an_empty_day_is_not_joined_to_all_messages(
    database: Database,
) -> None:
    async with database.acquire() as connection:
        await connection.execute("VACUUM (ANALYZE) messages")
        await connection.execute("VACUUM (ANALYZE) events")
        async with going_by_indexes(connection):
            rows = await connection.fetch(
                f"EXPLAIN (COSTS OFF) {_SUBMISSIONS}", [KEY[0]], [KEY[1]], 0
            )
    plan = "\n".join(row[0] for row in rows)
    assert "Index Scan using messages_p" in plan
    assert "Join Filter" not in plan, plan


async def test_a_page_that_is_given_up_is_rolled_back_without_a_word(database: Database) -> None:
    heard: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: heard.append(str(context["message"]))
    )
    backlog = Backlog(database)
    async with database.acquire() as other, other.transaction():
        await other.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(
                backlog.fetch_shelf(CarrierId(1), Lane.OTP, after_id=0, limit=10), 0.2
            )
    async with database.acquire() as connection:
        assert await connection.fetchval("SHOW enable_seqscan") == "on"
    assert not heard
