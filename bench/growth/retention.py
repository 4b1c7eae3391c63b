"""What dropping a day takes: until it is gone for everybody, and until its disk is free again.

The first is what others could feel, so beside it commits go on, as many as a quiet gateway makes,
and the longest of them is told. The second is the file system's: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from typing import Final

from bench.growth.commits import commits_go_on
from bench.growth.fill import Day, fill, settle
from bench.growth.goals import Figure
from gateway.store.partitions import drop_partitions, ensure_partitions, ids_of, midnight, name_of
from gateway.store.postgres import Database, connect_single
from gateway.store.usage import Counter

RETENTION_DAYS: Final = 30
GONE_MAX_S: Final = 1.0
"""However many messages the day has."""
SMALL_DAY: Final = 10_000
QUIET_S: Final = 5.0
AFTER_S: Final = 3.0
"""A file system may be busy with what it was told a while ago."""
LOOK_S: Final = 0.002
TRIES: Final = 20
TRY_AGAIN_S: Final = 0.5
DAY_S: Final = 86_400.0


async def measure_retention(database_url: str, account_id: int, big: int) -> list[Figure]:
    """Drop the day before today with few messages and today with `big`; return what that took."""
    database = await Database.open(database_url, connections=2)
    try:
        await _prepare(database, account_id)
        today = datetime.now(UTC).date()
        async with commits_go_on(database_url) as commits:
            await asyncio.sleep(QUIET_S)
            figures = [commits.tell("nothing is dropped")]
            for size, ahead in ((SMALL_DAY, 0), (big, 1)):
                commits.took_s.clear()
                figures += await _drop(database, size, today + timedelta(days=ahead - 1))
                await asyncio.sleep(AFTER_S)
                figures.append(commits.tell(f"a day of {size:,} is dropped"))
        return figures
    finally:
        await database.close()


async def _prepare(database: Database, account_id: int) -> None:
    """Fill the small day in, and have both counted up and lie below every mark."""
    await ensure_partitions(database, time.time())
    today = datetime.now(UTC).date()
    small = Day(today - timedelta(days=1), 3_600_000, SMALL_DAY)
    connection = await connect_single(database.url, "fill")
    await fill(connection, account_id, small, 1, SMALL_DAY)
    tomorrow = today + timedelta(days=1)
    await connection.execute("UPDATE queue_marks SET open_from = $1", ids_of(tomorrow)[0])
    await connection.close()
    await settle(database.url)
    await Counter(database, lag_s=0.0).count_up(midnight(tomorrow))


async def _drop(database: Database, size: int, day: date) -> list[Figure]:
    wall = midnight(day) + (RETENTION_DAYS + 1) * DAY_S
    gone = asyncio.create_task(_wait_until_gone(database.url, day))
    for _ in range(TRIES):
        started_s = time.monotonic()
        dropped = await drop_partitions(database, wall, RETENTION_DAYS)
        freed_s = time.monotonic() - started_s
        if dropped.days:
            break
        await asyncio.sleep(TRY_AGAIN_S)  # autovacuum is at it: housekeeping comes back, too
    assert dropped.days == [day], dropped
    gone_s = await gone - started_s
    what = f"retention of a day of {size:,}"
    return [
        Figure(f"{what}: gone for everybody after", gone_s, "s", GONE_MAX_S),
        Figure(f"{what}: its disk is free after", freed_s, "s"),
    ]


async def _wait_until_gone(database_url: str, day: date) -> float:
    """Return when a day's partition is there for nobody any more, and nobody's lock on it."""
    connection = await connect_single(database_url, "look")
    try:
        oid = await connection.fetchval("SELECT $1::text::regclass::oid", name_of("messages", day))
        while await connection.fetchval(  # noqa: ASYNC110 (another process)
            "SELECT EXISTS (SELECT FROM pg_class WHERE oid = $1::oid)"
            " OR EXISTS (SELECT FROM pg_locks WHERE relation = $1::oid)",
            oid,
        ):
            await asyncio.sleep(LOOK_S)
        return time.monotonic()
    finally:
        await connection.close()
