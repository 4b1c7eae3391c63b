"""Which submission a carrier's id names, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.lifecycle import EventKind
from gateway.model import Account, CarrierId, Lane, MessageId
from gateway.references import Key
from gateway.store.backlog import PROMPT_S, Backlog, find_submissions
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
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
