"""Holds the one lock that says whose carriers these are.

A session's advisory lock ends with its connection, so a node that is killed frees it at once and
one that hangs frees it when the server drops its connection. Only one node at a time speaks to
carriers; leases by carrier would take this file's place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from gateway.errors import NotTheOwner, StoreUnavailable
from gateway.logs import get_logger
from gateway.store.postgres import Database, is_unavailable

if TYPE_CHECKING:
    from gateway.store.postgres import Connection

log = get_logger("owner")

LOCK_KEY = 0x736D73_67  # "smsg"
TAKE_TIMEOUT_S = 10.0
"""How long a start waits for a node that is on its way out."""
CHECK_S = 2.0

_IS_HELD = """SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = $1)"""


async def is_owned(database: Database) -> bool:
    """Whether a gateway runs on this database."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(_IS_HELD, LOCK_KEY))


class Owner:
    """The lock and the connection that it lives on."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._connection is None

    async def take(self, timeout_s: float = TAKE_TIMEOUT_S) -> None:
        """Get the lock; raises NotTheOwner when another node keeps it for `timeout_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        self._connection = await self._connect()
        while not await self._connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
            if loop.time() >= deadline:
                await self.release()
                raise NotTheOwner("another gateway runs on this database")
            await asyncio.sleep(0.1)

    async def watch(self) -> None:
        """Keep the lock until cancelled; raises NotTheOwner when somebody else has got it."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                if self._connection is None or self._connection.is_closed():
                    await self.take()
                await self._connection.fetchval("SELECT 1", timeout=CHECK_S * 5)  # type: ignore[union-attr]
            except Exception as error:
                if not (is_unavailable(error) or isinstance(error, StoreUnavailable)):
                    raise
                log.warning("owner_unsure", error=str(error))
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            await connection.close(timeout=2.0)
