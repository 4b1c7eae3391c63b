"""Locks that stop writers are asked for briefly, and again, instead of waited for.

Behind a change of a table that waits for its lock everybody else waits too. So it waits a moment,
lets them pass, and asks again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import asyncpg

from gateway.errors import StoreUnavailable

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

LOCK_TIMEOUT_S = 0.3
"""Shorter than PostgreSQL's deadlock_timeout (1 s): should a writer and this wait for each other,
this one yields."""
TRIES = 40
PAUSE_S = 1.5
"""Forty tries take a minute or more: longer than any statement of a gateway (15 s) holds a lock."""

_OLDEST_TRANSACTION = """SELECT pid, usename, application_name,
    extract(epoch FROM now() - xact_start)::integer AS age_s
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
    AND xact_start IS NOT NULL AND backend_type = 'client backend' ORDER BY xact_start LIMIT 1"""


async def with_brief_locks(
    connection: AnyConnection, what: str, work: Callable[[], Awaitable[None]]
) -> None:
    """Do `work` in a transaction that waits for no lock longer than LOCK_TIMEOUT_S, and again when
    it did not get one; `work` may give up by TimeoutError as well.

    Raises StoreUnavailable, with who may stand in the way, after TRIES.
    """
    for left in reversed(range(TRIES)):
        try:
            async with connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S * 1000:.0f}'")
                await work()
            return
        except (
            asyncpg.LockNotAvailableError,
            asyncpg.DeadlockDetectedError,
            TimeoutError,
        ) as error:
            if not left:
                oldest = await describe_oldest_transaction(connection)
                raise StoreUnavailable(f"{what} did not get its locks; {oldest}") from error
        await asyncio.sleep(PAUSE_S)


async def describe_oldest_transaction(connection: AnyConnection) -> str:
    """Name the session that most likely stands in the way."""
    row = await connection.fetchrow(_OLDEST_TRANSACTION)
    if row is None:
        return "no other transaction is open now"
    return (
        f"the oldest transaction that is open is {row['age_s']} s old, of session {row['pid']}"
        f" ({row['usename']}, {row['application_name'] or 'no name'})"
    )
