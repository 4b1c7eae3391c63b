"""What has happened is written when the database is back, once and in order."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from gateway.ids import IdGenerator
from gateway.lifecycle import EventKind, Status
from gateway.model import CarrierId
from gateway.outcomes import Event
from gateway.store.commit_line import CommitLine
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database, connect_single

ids = IdGenerator(8)


def event(account: Any) -> Event:
    return Event(
        ids.next(time.time()),
        account.id,
        time.time(),
        EventKind.SUBMITTED,
        1,
        Status.SUBMITTED,
        Status.SUBMITTED,
        True,
        CarrierId(1),
        "x",
        posted_micros=1,
    )


async def test_cuts_at_every_moment_neither_lose_nor_double_an_event(
    door: Any, make_account: Any, database: Database
) -> None:
    account = await make_account()
    line = CommitLine(partial(connect_single, door.url, "outcomes"), "outcomes")
    writer = OutcomeWriter(line, lambda events, notices: None, waiting_max=10_000)
    task = asyncio.create_task(writer.run())
    recorded = []
    acknowledged: list[bool] = []
    for round_ in range(30):
        for _ in range(5):
            recorded.append(event(account))
            writer.record(recorded[-1])
        writer.after_commit(acknowledged.append)
        # A different moment of the commit each time: before it, during it, when it is answered.
        for _ in range(round_ % 6):
            await asyncio.sleep(0)
        door.swallow_answers = round_ % 3 == 0
        if round_ % 2:
            await asyncio.sleep(0.002)
        door.cut()
        door.swallow_answers = False
    await asyncio.wait_for(writer.flush(), 30)
    rows = await database.pool.fetch("SELECT message_id FROM events")
    assert sorted(row["message_id"] for row in rows) == [e.message_id for e in recorded]
    posted = await database.pool.fetchval("SELECT posted_micros FROM postings")
    assert posted == len(recorded)
    assert acknowledged == [True] * 30
    writer.stop()
    await task
    await line.close()
