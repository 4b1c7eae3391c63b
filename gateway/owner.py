"""Holds the lease that says whose carriers these are.

Only one node at a time speaks to carriers. A lease ends by the database's clock, not with its
connection: a node that is cut off from the database stops sending before another can begin
(`lease.py`). One whose process is seen to be gone, on this machine, need not be waited for. Whoever
takes the lease makes sure that nothing more is written by the last owner.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.errors import NotTheOwner
from gateway.lease import BEAT_S, MARGIN_S, TTL_S, Lease
from gateway.logs import get_logger
from gateway.processes import is_gone, name_process
from gateway.store.postgres import Database, is_unavailable
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Connection

log = get_logger("owner")

LOCK_KEY = 0x736D73_67  # "smsg"
"""Held by every gateway that runs; alone by those of before there were leases."""
NAME = "carriers"
TAKE_TIMEOUT_S = 10.0
"""How long a start waits for a node that is on its way out."""
LOOK_S = 0.1
STANDBY_LOOK_S = 0.25
RECONNECT_S = 1.0
BEAT_TIMEOUT_S = 1.0
"""A renewal that takes longer is asked for again, on another connection."""

_FETCH = query("fetch_lease")
_TAKE = query("take_lease")
_RENEW = query("renew_lease")
_GIVE_UP = query("give_up_lease")

_IS_HELD = """SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = $1)"""


async def is_owned(database: Database) -> bool:
    """Whether a gateway runs on this database."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(_IS_HELD, LOCK_KEY))


class Owner:
    """The lease, and the connection that renews it."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._process = name_process()
        self.lease = Lease()
        self.epoch = 0

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._connection is None

    async def take(self, timeout_s: float = TAKE_TIMEOUT_S) -> None:
        """Get the lease; raises NotTheOwner when another node keeps it for `timeout_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        await self._open()
        while not await self._try():
            if loop.time() >= deadline:
                await self._close()
                raise NotTheOwner("another gateway runs on this database")
            await asyncio.sleep(LOOK_S)

    async def stand_by(self) -> None:
        """Get the lease whenever its owner gives it up or is gone, however long that takes."""
        while True:
            try:
                if self._connection is None or self._connection.is_closed():
                    await self._open()
                if await self._try():
                    return
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("standby_unsure", error=str(error) or type(error).__name__)
                self._drop()
                await asyncio.sleep(RECONNECT_S)
            await asyncio.sleep(STANDBY_LOOK_S)

    async def watch(self) -> None:
        """Renew the lease until cancelled; raises NotTheOwner when somebody else has got it."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                async with asyncio.timeout(BEAT_TIMEOUT_S):
                    await self._renew()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("owner_unsure", error=str(error) or type(error).__name__)
                self._drop()

    async def release(self) -> None:
        """Give the lease up, so that nobody waits for its end; nothing may be sent any more."""
        self.lease.lost()
        connection = self._connection
        if self.epoch and connection is not None and not connection.is_closed():
            with suppress(Exception):  # then it ends by itself
                await connection.execute(_GIVE_UP, NAME, self.epoch, timeout=BEAT_TIMEOUT_S)
        await self._close()

    async def _try(self) -> bool:
        connection = self._connection
        assert connection is not None
        if not await connection.fetchval("SELECT pg_try_advisory_lock_shared($1)", LOCK_KEY):
            return False
        last = await connection.fetchrow(_FETCH, NAME)
        epoch, gone = (0, False) if last is None else (last["epoch"], is_gone(last["process"]))
        asked_at = time.monotonic()
        row = await connection.fetchrow(_TAKE, NAME, epoch, TTL_S, gone, self._process, MARGIN_S)
        if row is None:
            await connection.execute("SELECT pg_advisory_unlock_shared($1)", LOCK_KEY)
            return False
        self.epoch = row["epoch"]
        self.lease.taken(asked_at, time.monotonic(), row["quiet_s"])
        return True

    async def _renew(self) -> None:
        if self._connection is None or self._connection.is_closed():
            await self._open()
            assert self._connection is not None
            if not await self._connection.fetchval(
                "SELECT pg_try_advisory_lock_shared($1)", LOCK_KEY
            ):
                raise NotTheOwner("an older gateway has begun to run on this database")
        assert self._connection is not None
        asked_at = time.monotonic()
        if await self._connection.fetchval(_RENEW, NAME, self.epoch, TTL_S) is None:
            self.lease.lost()
            raise NotTheOwner(
                "another gateway has taken over, as the lease was not renewed in time"
            )
        self.lease.renewed(asked_at)

    async def _open(self) -> None:
        self._connection = await self._connect()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            await connection.close(timeout=2.0)
