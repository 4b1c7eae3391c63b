"""Commit numbered batches exactly once each, over connections that may break at any moment.

A connection can break after the server has committed and before it said so. So every batch
carries a number which the same transaction writes to `writers`; after a break the number tells
whether the batch is in, and a repeat of one that is in fails as a whole.

Not here: what a batch holds (`intake_writer.py`, `outcome_writer.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg

from gateway.errors import NotTheOwner, StoreUnavailable
from gateway.store.postgres import is_unavailable

T = TypeVar("T")
Connection = asyncpg.Connection
Connect = Callable[[], Awaitable["Connection[asyncpg.Record]"]]
Run = Callable[["Connection[asyncpg.Record]", int], Awaitable[T]]

NOT_THE_NEXT_BATCH = "GW002"
STATEMENT_TIMEOUT_S = 30.0
"""A statement that takes longer is as good as a lost connection."""
RECONNECT_FIRST_S = 0.05
RECONNECT_MAX_S = 1.0


# A process that was killed may have left a statement running: using up its number makes it fail.
# Two numbers, so that a process that lives on after all can't take this for its own batch.
_TAKE_OVER = """
INSERT INTO writers VALUES ($1, 1)
ON CONFLICT (name) DO UPDATE SET seq = writers.seq + 2 RETURNING seq"""

# $2 + 1: the batch in doubt is in. $2 + 2: it is not and can't be any more; true also when this
# statement's own answer was lost and it runs again.
_USE_UP = """
UPDATE writers SET seq = CASE seq WHEN $2 THEN $2 + 2 ELSE seq END WHERE name = $1 RETURNING seq"""


class Lost:
    """The batch is in, but what its statement returned went down with the connection."""


LOST = Lost()


class CommitLine:
    """One connection and one row of `writers`; used by one task at a time."""

    def __init__(
        self, connect: Connect, name: str, on_failure: Callable[[], None] = lambda: None
    ) -> None:
        """`on_failure` hears of every connection that was given up under a statement."""
        self.name = name
        self._on_failure = on_failure
        self._connect = connect
        self._connection: Connection[asyncpg.Record] | None = None
        self._seq = 0
        self._in_doubt = False
        self.reconnects = 0
        self.away = False

    @property
    def in_doubt(self) -> bool:
        """Whether the last batch was given up without knowing if it is in."""
        return self._in_doubt

    async def commit(self, run: Run[T], timeout_s: float | None) -> T | Lost:
        """Run one batch until it is in; return what it returned, or LOST.

        Raises StoreUnavailable when that did not happen within `timeout_s` (None: never gives
        up); then `settle` must be called before the next batch. Any error that the server
        answers is raised as it is: the batch is not in. NotTheOwner: another process has taken
        the line over, and this one must end.
        """
        assert not self._in_doubt, "the last batch is not settled"
        deadline = _deadline(timeout_s)
        while True:
            connection = await self._connected(deadline)
            if self._in_doubt and await self._is_in(connection):
                return LOST
            try:
                async with asyncio.timeout(_remaining(deadline, STATEMENT_TIMEOUT_S)):
                    result = await run(connection, self._seq + 1)
            except asyncpg.PostgresError as error:
                if getattr(error, "sqlstate", "") == NOT_THE_NEXT_BATCH:
                    self._in_doubt = True  # the first attempt got through while this one waited
                    continue
                if not is_unavailable(error):
                    self._in_doubt = False
                    raise
                self._drop()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._drop()
            except BaseException:
                self._drop()
                raise
            else:
                self._seq += 1
                self._in_doubt = False
                return result

    async def settle(self, timeout_s: float | None) -> bool:
        """Return whether the batch that was given up is in after all; if not, it never will be.

        An attempt at it may still be running on the server, so its number is used up here.
        """
        assert self._in_doubt
        deadline = _deadline(timeout_s)
        before = self._seq
        while True:
            connection = await self._connected(deadline)
            try:
                self._seq = await connection.fetchval(
                    _USE_UP, self.name, self._seq, timeout=STATEMENT_TIMEOUT_S
                )
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._drop()
                continue
            self._in_doubt = False
            if self._seq not in (before + 1, before + 2):
                raise self._taken_over()
            return self._seq == before + 1

    async def read(
        self, run: Callable[[Connection[asyncpg.Record]], Awaitable[T]], timeout_s: float | None
    ) -> T:
        """Run a reading statement, again if its connection breaks; raises StoreUnavailable."""
        assert not self._in_doubt
        deadline = _deadline(timeout_s)
        while True:
            connection = await self._connected(deadline)
            try:
                async with asyncio.timeout(_remaining(deadline, STATEMENT_TIMEOUT_S)):
                    return await run(connection)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self._drop()
                self._in_doubt = False  # nothing was written

    async def open(self, timeout_s: float | None = None) -> None:
        """Connect, so that the first batch does not have to."""
        await self._connected(_deadline(timeout_s))

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            try:
                await connection.close(timeout=2.0)
            except Exception:
                connection.terminate()

    async def _connected(self, deadline: float | None) -> Connection[asyncpg.Record]:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        delay_s = RECONNECT_FIRST_S
        while True:
            try:
                connection = await asyncio.wait_for(self._connect(), _remaining(deadline, 5.0))
                if self._seq == 0:
                    self._seq = await connection.fetchval(
                        _TAKE_OVER, self.name, timeout=_remaining(deadline, 5.0)
                    )
            except Exception as error:
                if not is_unavailable(error):
                    raise
                self.away = True
                left_s = _remaining(deadline, delay_s)
                if left_s < delay_s:
                    raise StoreUnavailable("the database is away") from error
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RECONNECT_MAX_S)
                continue
            self._connection = connection
            self.away = False
            self.reconnects += 1
            return connection

    async def _is_in(self, connection: Connection[asyncpg.Record]) -> bool:
        """Learn whether the batch in doubt was committed, and count it if so.

        An attempt may still be running on a connection that we gave up: locking the row waits
        for it, so that the answer stays true.
        """
        seq = await connection.fetchval(
            "SELECT seq FROM writers WHERE name = $1 FOR UPDATE",
            self.name,
            timeout=STATEMENT_TIMEOUT_S,
        )
        if seq == self._seq + 1:
            self._seq = seq
            self._in_doubt = False
            return True
        if seq != self._seq:
            raise self._taken_over()
        return False

    def _taken_over(self) -> NotTheOwner:
        return NotTheOwner(f"another process writes {self.name} to this database")

    def _drop(self) -> None:
        self._on_failure()
        self._in_doubt = True
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _deadline(timeout_s: float | None) -> float | None:
    return None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s


def _remaining(deadline: float | None, at_most_s: float) -> float:
    if deadline is None:
        return at_most_s
    return max(0.001, min(at_most_s, deadline - asyncio.get_running_loop().time()))
