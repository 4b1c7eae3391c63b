"""What a running gateway does to days that are over."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from gateway.store.embedded import start_embedded
from gateway.store.migrate import migrate
from gateway.store.partitions import ensure_partitions
from gateway.store.postgres import Database
from gateway.store.recipient_index import fetch_days_indexed

DAY_S = 86_400.0


async def test_days_that_an_older_release_left_get_their_index_by_recipient(world: Any) -> None:
    server = await asyncio.to_thread(start_embedded, world.folder / "data")
    await migrate(server.url)
    database = await Database.open(server.url, connections=1)
    try:
        made = await ensure_partitions(database, time.time() - 3 * DAY_S, days_ahead=0)
        await world.start_smsc()
        await world.start_gateway()
        async with asyncio.timeout(60):
            while "recipients_indexed" not in (world.folder / "gateway.log").read_text():
                await asyncio.sleep(0.05)
        async with database.acquire() as connection:
            days = await fetch_days_indexed(connection)
    finally:
        await database.close()
        await asyncio.to_thread(server.stop)
    indexed = {each.day for each in days if each.indexed}
    assert indexed >= set(made)
    assert max(indexed) < datetime.now(UTC).date()
