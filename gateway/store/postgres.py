"""Connections to PostgreSQL, their session settings, and which errors mean that it is away.

Not here: starting a server (`embedded.py`), the schema (`migrate.py`), any query.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import asyncpg

from gateway.errors import ConfigError, StoreUnavailable

if TYPE_CHECKING:
    # asyncpg's classes are generic for type checkers only.
    Connection = asyncpg.Connection[asyncpg.Record]
    Pool = asyncpg.Pool[asyncpg.Record]
    from asyncpg.pool import PoolConnectionProxy

    AnyConnection = Connection | PoolConnectionProxy[asyncpg.Record]
    Row = asyncpg.Record

P = ParamSpec("P")
T = TypeVar("T")

CONNECT_TIMEOUT_S = 5.0
"""A server that lives answers in milliseconds; a client waits on ours for less than this."""
ACQUIRE_TIMEOUT_S = 5.0
"""How long a reader waits for a free connection before it is told that the store is away."""
STATEMENT_TIMEOUT_S = 15.0
"""The server ends what takes longer. Work that may take longer says so with SET LOCAL."""
COMMAND_TIMEOUT_S = 20.0
"""The client's own limit, for a network that swallows the server's answer."""
IDLE_IN_TRANSACTION_S = 60.0
"""A node that froze inside a transaction must not hold its locks against the others."""
_READERS_PLANS = "force_generic_plan"
"""Planning over 38 daily partitions takes 2-10 ms, running what was planned once 1 ms, and the
generic plan prunes partitions when it starts (a page of 50 among 1,000,000 messages: 4.8 ms with
custom plans, 1.2 with generic ones). Queries over ranges of a day ask for `PLAN_EACH_TIME`."""
PLAN_EACH_TIME = "SET LOCAL plan_cache_mode = force_custom_plan"
_BY_INDEX = "SET LOCAL enable_seqscan = off"
_BY_INDEX_ALONE = f"{_BY_INDEX}; SET LOCAL enable_bitmapscan = off"
UNLIMITED_S = 86_400.0
"""`timeout=` of the calls that have no natural end (audit, migrations): a day."""

# Class 08 connection, 53 resources (disk full, too many connections, memory), 57P shutdown and
# start, 58 the server's own I/O; and single states in which the same call succeeds later:
# 25006 a standby, 25P03/25P04 and 57014 timeouts, 40001 and 40P01 lost races, 55P03 lock.
_UNAVAILABLE_PREFIXES = ("08", "53", "57P", "58")
_UNAVAILABLE_STATES = frozenset({"25006", "25P03", "25P04", "40001", "40P01", "55P03", "57014"})

# What a person must put right before any connection can succeed.
_REFUSALS = {
    "28P01": "the password is wrong",
    "28000": "the server does not let this user in",
    "3D000": "the database does not exist; create it with createdb",
    "42501": "the user has no right to connect",
}


@asynccontextmanager
async def going_by_indexes(
    connection: AnyConnection, *, bitmaps: bool = True
) -> AsyncIterator[None]:
    """Have statements go by indexes, whatever sizes are estimated; they only read.

    A day's tables that were analysed while they were empty, as by a nightly vacuum of everything,
    look cheapest read from end to end; and a reader's plan stays until they are analysed again. In
    such a day's first flood that reads all its events once a message: a second for a page of 400,
    or for 100 receipts whose submissions are looked for.
    """
    async with connection.transaction(readonly=True):
        await connection.execute(_BY_INDEX if bitmaps else _BY_INDEX_ALONE)
        yield


def is_unavailable(error: BaseException) -> bool:
    """Say whether `error` means that the database is away: the same call may be repeated."""
    match error:
        case StoreUnavailable():
            return True
        case asyncpg.InvalidCachedStatementError():
            # A migration has changed what the statement returns; the next call prepares it anew.
            return True
        case asyncpg.PostgresError():
            state = error.sqlstate or ""
            return state in _UNAVAILABLE_STATES or state.startswith(_UNAVAILABLE_PREFIXES)
        case asyncpg.InterfaceError():
            # One class stands for our own mistakes (two calls on one connection, a wrong type)
            # and for connections that are gone; only the text tells them apart. "Released back to
            # the pool" is what a borrower reads whose connection was cut between two calls.
            text = str(error)
            return any(word in text for word in ("closed", "closing", "released back to the pool"))
        case asyncpg.InternalClientError():
            # The server ended the session between our last answer and this call: the protocol is
            # in a state from which nothing more can be asked.
            return True
        case asyncpg.TargetServerAttributeNotMatched():
            return True  # every host of the URL is a standby: a failover is under way
        case OSError() | EOFError():
            return True
    return False


class unavailable_as_503:
    """Turn errors that mean "the database is away" into StoreUnavailable.

    A context manager, and a decorator for coroutine functions. Everything else passes.
    """

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, StoreUnavailable) or not isinstance(error, Exception):
            return
        if is_unavailable(error):
            raise StoreUnavailable(describe(error)) from error

    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, T]]
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        @functools.wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            with unavailable_as_503():
                return await function(*args, **kwargs)

        return guarded


def describe(error: BaseException) -> str:
    """Name an error in one line; many of the ones that mean "away" carry no text."""
    text = str(error).strip().split("\n", 1)[0]
    return f"the database is away: {text or type(error).__name__}"


async def connect_single(url: str, name: str = "writer") -> Connection:
    """Open one connection outside the pool, with our session settings.

    Raises StoreUnavailable, or ConfigError when no retry can help (password, database).
    """
    try:
        connection: Connection = await asyncpg.connect(
            url,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=_session_settings(name),
        )
    except Exception as error:
        _raise_refusal(error)
        raise
    try:
        await _make_durable(connection)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Database:
    """The pool that readers and maintenance share."""

    def __init__(self, pool: Pool, url: str) -> None:
        self.pool = pool
        self.url = url

    @classmethod
    async def open(cls, url: str, connections: int) -> Database:
        """Open the pool with at most `connections`; one is made now, to know that it works.

        Raises StoreUnavailable, or ConfigError when no retry can help (password, database).
        """
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=connections,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_session_settings("pool") | {"plan_cache_mode": _READERS_PLANS},
                init=_make_durable,
                reset=_end_transaction,
            )
        except Exception as error:
            _raise_refusal(error)
            raise
        return cls(pool, url)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[AnyConnection]:
        """Borrow a connection, waiting at most ACQUIRE_TIMEOUT_S for it."""
        with unavailable_as_503():
            async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
                yield connection

    async def close(self, timeout_s: float = 5.0) -> None:
        """Close the pool; what still runs after `timeout_s` is cut off."""
        try:
            await asyncio.wait_for(self.pool.close(), timeout_s)
        except TimeoutError:
            self.pool.terminate()


def _session_settings(name: str) -> dict[str, str]:
    return {
        "application_name": f"gateway {name}",
        "timezone": "UTC",
        # Compiling costs more than any of our statements takes.
        "jit": "off",
        "statement_timeout": f"{STATEMENT_TIMEOUT_S * 1000:.0f}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1000:.0f}",
    }


async def _make_durable(connection: AnyConnection) -> None:
    """Hold the promise that a commit is on disk, whatever the server's default.

    A stronger setting than `on` (remote_apply) is the operator's choice and stays.
    """
    await connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'"
    )


async def _end_transaction(connection: AnyConnection) -> None:
    """Leave nothing behind for the next borrower.

    asyncpg's own reset costs a round trip at every release and would undo our settings; ours are
    all SET LOCAL, so an abandoned transaction is the only thing that can remain.
    """
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")


def _raise_refusal(error: BaseException) -> None:
    """Raise what `error`, met while connecting, asks of the caller; return when it is neither."""
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate in _REFUSALS:
        reason = _REFUSALS[error.sqlstate]
        raise ConfigError("node.database_url", f"{reason} ({error})") from error
    if isinstance(error, (ValueError, asyncpg.ClientConfigurationError)):
        raise ConfigError("node.database_url", f"is not a PostgreSQL URL: {error}") from error
    if isinstance(error, Exception) and is_unavailable(error):
        raise StoreUnavailable(describe(error)) from error
