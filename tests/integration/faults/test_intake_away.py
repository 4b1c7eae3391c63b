"""The database goes away under the writers, and comes back."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import pytest

from gateway.errors import StoreUnavailable
from gateway.ids import IdGenerator
from gateway.message import Message
from gateway.model import CarrierId, Encoding, Lane, Micros
from gateway.store.commit_line import CommitLine
from gateway.store.intake_writer import Entry, Fate, IntakeWriter
from gateway.store.postgres import Database, connect_single

ids = IdGenerator(6)


def entry(account_id: Any) -> Entry:
    return Entry(
        Message(
            id=ids.next(time.time()),
            account_id=account_id,
            accepted_at=time.time(),
            sender="Shop",
            recipient="447400000001",
            country="GB",
            text="Hello",
            encoding=Encoding.GSM7,
            segments=1,
            lane=Lane.OTP,
            price_micros=Micros(10),
            routes=(CarrierId(1),),
            expires_at=time.time() + 3600,
        )
    )


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)


async def test_callers_are_told_at_once_while_it_is_away_and_served_when_it_is_back(
    door: Any, make_account: Any, database: Database
) -> None:
    account = await make_account()
    stored: list[Message] = []
    line = CommitLine(partial(connect_single, door.url, "intake"), "intake")
    writer = IntakeWriter(line, stored.extend, waiting_max=1000, timeout_s=0.4)
    task = asyncio.create_task(writer.run())
    assert await writer.commit([entry(account.id)]) == [Fate.STORED]
    door.shut = True
    door.cut()
    with pytest.raises(StoreUnavailable):
        await writer.commit([entry(account.id)])
    assert not writer.available
    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        writer.commit([entry(account.id)])
    assert time.monotonic() - started < 2.0
    door.shut = False
    await until(lambda: writer.available)
    assert await writer.commit([entry(account.id)]) == [Fate.STORED]
    assert await database.pool.fetchval("SELECT count(*) FROM messages") == len(stored) == 2
    writer.stop()
    await task
    await line.close()


async def test_what_got_through_though_its_caller_was_told_otherwise_is_dispatched(
    door: Any, make_account: Any, database: Database
) -> None:
    account = await make_account()
    stored: list[Message] = []
    line = CommitLine(partial(connect_single, door.url, "intake"), "intake")
    writer = IntakeWriter(line, stored.extend, waiting_max=1000, timeout_s=0.4)
    task = asyncio.create_task(writer.run())
    assert await writer.commit([entry(account.id)]) == [Fate.STORED]
    door.swallow_answers = True
    doubtful = entry(account.id)
    future = writer.commit([doubtful])
    await door.swallowed.wait()
    door.shut = True
    door.cut()
    with pytest.raises(StoreUnavailable):
        await future
    assert len(stored) == 1
    door.shut = door.swallow_answers = False
    await until(lambda: writer.available)
    assert [m.id for m in stored[1:]] == [doubtful.message.id]
    assert await database.pool.fetchval("SELECT count(*) FROM messages") == 2
    writer.stop()
    await task
    await line.close()
