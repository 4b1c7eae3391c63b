"""Daily partitions of messages and events: made ahead of time, dropped when they are old.

Both tables are cut by message id at midnight UTC, so a day's pair holds the same messages.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.ids import id_at
from gateway.store.postgres import PLAN_EACH_TIME, UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

TABLES = ("messages", "events")
CREATE_LOCK_TIMEOUT = "5s"
DROP_LOCK_TIMEOUT = "300ms"
"""Behind a DROP that waits for its lock every writer waits too. Shorter than PostgreSQL's
deadlock_timeout (1 s): should a late receipt and this wait for each other, this one yields."""
_LOCK = 0x70617274  # "part"

_FETCH_PARTITIONS = query("fetch_partitions")
_COUNT_OPEN = f"SELECT count(*) FROM ({query('find_open')}) open"  # noqa: S608 (our own)
_RETIRE_DAY = query("retire_day")
_MARK = query("fetch_usage_mark")
_COLLAPSE_USAGE = query("collapse_usage")
_COLLAPSE_RETURNED = query("collapse_returned")
COLLAPSE_ROWS = 10_000
"""Rows a statement, some 15 ms: nobody waits for them, but no transaction is to be long."""


class Kept(msgspec.Struct, frozen=True):
    """A day past its time that was not dropped, and why."""

    day: date
    open_messages: int
    """0: somebody reads it just now, or it is not counted up yet; the next run tries again."""


class Dropped(msgspec.Struct, frozen=True):
    """What one run of `drop_partitions` did."""

    days: list[date]
    kept: list[Kept]


@unavailable_as_503()
async def ensure_partitions(database: Database, now: float, days_ahead: int = 7) -> list[date]:
    """Make the missing partitions from yesterday to `days_ahead`; return the days made.

    Yesterday too, because a clock may be put back over midnight. Nodes may call it together.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    wanted = [today + timedelta(days=ahead) for ahead in range(-1, days_ahead + 1)]
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL lock_timeout = '{CREATE_LOCK_TIMEOUT}'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        existing = set(await fetch_days(connection))
        missing = [day for day in wanted if day not in existing]
        for day in missing:
            for table in TABLES:
                await _create(connection, table, day)
    return missing


async def drop_partitions(database: Database, now: float, retention_days: int) -> Dropped:
    """Drop the days that ended `retention_days` ago or earlier; their money goes to `retired`.

    A day that still holds an open message (one scheduled far ahead) is kept and reported.
    """
    last = datetime.fromtimestamp(now, UTC).date() - timedelta(days=retention_days + 1)
    async with database.acquire() as connection:
        days = [day for day in await fetch_days(connection) if day <= last]
    dropped, kept = [], []
    for day in days:
        outcome = await _retire(database, day)
        if outcome is None:
            dropped.append(day)
        else:
            kept.append(outcome)
    return Dropped(dropped, kept)


async def fetch_days(connection: AnyConnection) -> list[date]:
    """Return the days that have partitions, oldest first."""
    rows = await connection.fetch(_FETCH_PARTITIONS)
    return [datetime.strptime(row["day"], "%Y%m%d").replace(tzinfo=UTC).date() for row in rows]


def name_of(table: str, day: date) -> str:
    return f"{table}_p{day:%Y%m%d}"


def ids_of(day: date) -> tuple[int, int]:
    """Return the first id of a day and the first of the next."""
    return id_at(midnight(day)), id_at(midnight(day + timedelta(days=1)))


def midnight(day: date) -> float:
    """Return the wall-clock second in which a day begins, UTC."""
    return datetime.combine(day, time(), UTC).timestamp()


async def _create(connection: AnyConnection, table: str, day: date) -> None:
    """Make a partition beside its table, then attach it.

    Unlike CREATE … PARTITION OF, attaching does not stop anyone from writing to the others.
    """
    name, (first, end) = name_of(table, day), ids_of(day)
    await connection.execute(
        f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
        " INCLUDING INDEXES INCLUDING STORAGE)"
    )
    await connection.execute(
        f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end})"
    )


async def _retire(database: Database, day: date) -> Kept | None:
    """Drop one day and keep its sums; return why not, if not."""
    async with database.acquire() as connection:
        try:
            async with connection.transaction(readonly=True):
                kept = await _find_reason_to_keep(connection, day)
            if kept is not None:
                return kept
            await _collapse_usage(connection, day)
            await _drop(connection, day)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            return Kept(day, 0)
    return None


async def _find_reason_to_keep(connection: AnyConnection, day: date) -> Kept | None:
    """Look at what may be open of a day. What is closed stays so, and no new messages come to an
    old day: what is found holds until it is dropped."""
    ids = ids_of(day)
    if await connection.fetchval(_MARK) < ids[1]:
        return Kept(day, 0)
    await connection.execute(f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0")
    open_messages = await connection.fetchval(_COUNT_OPEN, *ids, timeout=UNLIMITED_S)
    return Kept(day, open_messages) if open_messages else None


async def _collapse_usage(connection: AnyConnection, day: date) -> None:
    """Forget tags before anything is locked: nothing else changes an old day's usage."""
    while await connection.fetchval(_COLLAPSE_USAGE, day, COLLAPSE_ROWS) == COLLAPSE_ROWS:
        pass


async def _drop(connection: AnyConnection, day: date) -> None:
    """Drop a day's tables and keep its sums, in as long for millions of messages as for one.

    PostgreSQL frees their disk behind the commit, when the locks are gone already: that takes as
    long as they are large, and nobody but us waits for it. Where it fails, the pool ends the
    transaction.
    """
    names = ", ".join(name_of(table, day) for table in TABLES)
    await connection.execute(
        f"BEGIN; {PLAN_EACH_TIME}; SET LOCAL lock_timeout = '{DROP_LOCK_TIMEOUT}';"
        " SET LOCAL statement_timeout = 0"
    )
    # A last receipt may come to a closed message, with a refund: from here on it waits.
    await connection.execute(f"LOCK TABLE {names} IN SHARE MODE")
    await connection.execute(_RETIRE_DAY, day)
    await connection.execute(_COLLAPSE_RETURNED, day)
    # The lock on the whole tables comes last and for a moment only.
    await connection.execute(f"DROP TABLE {names}")
    await connection.execute("COMMIT", timeout=UNLIMITED_S)
