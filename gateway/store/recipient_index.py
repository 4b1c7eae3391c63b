"""An index by recipient on days that are over, so that a search for a number finds old messages.

While a day's messages come in they have none: each would pay for it, and few searches use it. Once
no more come it is built beside whatever runs, a day at a time, and costs a message some 2 µs of one
core and 50 octets of disk. It is no part of the schema: a day without one is searched by looking at
its messages, and one to whose messages a clock that was put back adds some is still right.

Not here: who builds it and when (`housekeeping.py`), how a search uses it (`search.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.store.indexes import build_beside
from gateway.store.migrate import MIGRATING_LOCK
from gateway.store.partitions import name_of
from gateway.store.postgres import Database, connect_single, unavailable_as_503
from gateway.store.queries import query
from gateway.store.schema import Index

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

INDEX = Index("by_recipient", "messages", False, '(account_id, recipient COLLATE "C", id)')
"""Numbers are bytes: no locale's order makes it slow to build or changes under it."""
CLOSED_AFTER_S = 3_600.0
"""A day's last messages are committed long before; a clock that is behind makes them late."""
RUN_S = 30.0
"""No other day is begun after it; one of many millions may take longer by itself."""
OTHERS_WAIT_S = 60
"""How long a build waits for transactions that began before it; the next run tries again."""
BUILD_MAX_S = 3_600
LOOK_S = 60.0
"""How late a search learns that a day has an index."""

_BUILDING_LOCK = 0x72656369  # "reci"
_SETTINGS = f"""
    SET statement_timeout = '{BUILD_MAX_S}s';
    SET lock_timeout = '{OTHERS_WAIT_S}s';
    SET max_parallel_maintenance_workers = 0"""
"""One core at most: the others are the writers'."""
_TAKE_TURN = f"""SELECT pg_try_advisory_xact_lock_shared({MIGRATING_LOCK})
    AND pg_try_advisory_lock({_BUILDING_LOCK})"""
"""A migration that builds an index of its own and this would wait for each other: it goes first.
Should one begin meanwhile it is this that PostgreSQL ends."""
_OTHERS_ARE_OLD = query("find_old_transaction")
_FETCH_DAYS = query("fetch_recipient_days")


class DayIndexed(msgspec.Struct, frozen=True):
    day: date
    indexed: bool


@unavailable_as_503()
async def index_recipients(database: Database, now: float) -> list[date]:
    """Build what days that ended CLOSED_AFTER_S ago lack, the latest first; return those done.

    Begins none after RUN_S: the next call goes on. What a process that was killed left half built
    is built anew. Raises StoreUnavailable when others stand in the way for too long.
    """
    lacking = await _find_lacking(database, now)
    if not lacking:
        return []
    connection = await connect_single(database.url, "index")
    try:
        await connection.execute(_SETTINGS)
        if not await connection.fetchval(_TAKE_TURN):
            return []
        return await _build(connection, lacking)
    finally:
        await connection.close(timeout=5)


async def fetch_days_indexed(connection: AnyConnection) -> list[DayIndexed]:
    """Return the days that are kept, oldest first."""
    rows = await connection.fetch(_FETCH_DAYS, INDEX.rest)
    return [DayIndexed(_parse(row["day"]), row["indexed"]) for row in rows]


class DaysIndexed:
    """The days that are kept, as they were at most LOOK_S ago."""

    def __init__(self) -> None:
        self._days: Sequence[DayIndexed] = ()
        self._looked_s: float | None = None

    async def fetch(self, connection: AnyConnection) -> Sequence[DayIndexed]:
        now_s = time.monotonic()
        if self._looked_s is None or now_s >= self._looked_s + LOOK_S:
            self._days = await fetch_days_indexed(connection)
            self._looked_s = now_s
        return self._days


async def _find_lacking(database: Database, now: float) -> list[date]:
    first_open = datetime.fromtimestamp(now - CLOSED_AFTER_S, UTC).date()
    async with database.acquire() as connection:
        days = await fetch_days_indexed(connection)
    return [each.day for each in reversed(days) if each.day < first_open and not each.indexed]


async def _build(connection: AnyConnection, days: Sequence[date]) -> list[date]:
    done: list[date] = []
    end_s = time.monotonic() + RUN_S
    for day in days:
        if done and time.monotonic() >= end_s:
            break
        if await connection.fetchval(_OTHERS_ARE_OLD, OTHERS_WAIT_S):
            break
        partition = name_of(INDEX.table, day)
        try:
            await build_beside(connection, INDEX, f"{partition}_{INDEX.name}", partition)
        except asyncpg.UndefinedTableError:
            continue  # dropped meanwhile
        done.append(day)
    return done


def _parse(day: str) -> date:
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).date()
