"""Which code runs on a database: each node holds its code's number, shared, while it lives.

A migration takes every number below its `oldest_code` for itself alone until it has committed. So
it is not applied while a gateway runs that could not go on after it, and none starts meanwhile.
A node's hold is a lock of the session that renews its leases: one that lost that session holds
nothing, and `check_code` stands before it when it comes back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import NotTheOwner, StoreUnavailable
from gateway.store.leases import LOCK_KEY
from gateway.store.postgres import connect_single, unavailable_as_503
from gateway.store.schema import Applied, check_code, load_migrations

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Connection

_KEY = 0x6777_636F  # "gwco"
_TAKE_ALONE = """SELECT bool_and(pg_try_advisory_xact_lock($1, code))
    FROM generate_series(0, $2 - 1) code"""
# Gateways from before codes had numbers hold every gateway's key alone.
_FETCH_OLDER = """WITH held AS (
        SELECT pid, objsubid, classid::bigint AS high, objid::bigint AS low FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
    numbered AS (SELECT pid, low AS code FROM held WHERE objsubid = 2 AND high = $1),
    holders AS (
        SELECT pid, code FROM numbered
        UNION ALL
        SELECT pid, 0 FROM held WHERE objsubid = 1 AND high << 32 | low = $2
        AND pid NOT IN (SELECT pid FROM numbered))
    SELECT h.code, h.pid, host(a.client_addr) AS host
    FROM holders h JOIN pg_stat_activity a ON a.pid = h.pid WHERE h.code < $3 ORDER BY 1, 2"""
# Code that wrote this table before it had `oldest_code` says nothing of it.
_FETCH_APPLIED = """SELECT version, name, checksum, (to_jsonb(s) ->> 'oldest_code')::integer
    FROM schema_migrations s ORDER BY version"""


async def connect_node(url: str, name: str, code: int | None = None) -> Connection:
    """Open a node's own connection, which holds the node's code (`None`: this one) while it lasts.

    Raises ConfigError when this code may not run on the schema, StoreUnavailable while a migration
    that it may not run beside is being applied, and what `connect_single` raises.
    """
    connection = await connect_single(url, name)
    try:
        await _enter(connection, len(load_migrations()) if code is None else code)
    except BaseException:
        connection.terminate()
        raise
    return connection


@unavailable_as_503()
async def _enter(connection: Connection, code: int) -> None:
    if not await connection.fetchval("SELECT pg_try_advisory_lock_shared($1, $2)", _KEY, code):
        raise StoreUnavailable("the schema is being changed to one that this gateway can't run on")
    check_code(code, await fetch_applied(connection))


async def keep_older_out(connection: AnyConnection, oldest_code: int) -> None:
    """Let no older code run until this transaction ends; raises NotTheOwner when some does."""
    is_alone = await connection.fetchval(_TAKE_ALONE, _KEY, oldest_code)
    older = await find_older(connection, oldest_code)
    if older or is_alone is False:
        named = ", ".join(older) or "one that begins or ends just now"
        raise NotTheOwner(f"older gateways run on this database: {named}; stop them first")


async def find_older(connection: AnyConnection, oldest_code: int) -> list[str]:
    """Name the gateways that run code older than this."""
    rows = await connection.fetch(_FETCH_OLDER, _KEY, LOCK_KEY, oldest_code)
    return [
        f"code {row['code'] or 'without a number'} on {row['host'] or 'the database machine'}"
        f" (session {row['pid']})"
        for row in rows
    ]


async def fetch_applied(connection: AnyConnection) -> list[Applied]:
    """Return what was applied, in order."""
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return []
    return [Applied(*row) for row in await connection.fetch(_FETCH_APPLIED)]
