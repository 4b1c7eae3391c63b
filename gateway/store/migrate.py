"""Bring a database's schema to what this code knows: numbered SQL files, each applied once.

Files are `migrations/NNNN_name.sql`, applied in order, each in its own transaction; a file that is
one CREATE INDEX CONCURRENTLY is built beside the writers (`indexes.py`). Nodes that start together
take turns. Gateways that run meanwhile wait behind it no longer than
`locks.LOCK_TIMEOUT_S` for a lock, and `BLOCK_MAX_S` for a file.

Not here: what a file may say (`migration_rules.py`), which code may run on what (`schema.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import asyncpg

from gateway.errors import ConfigError, NotTheOwner, StoreUnavailable
from gateway.store.indexes import build_index
from gateway.store.locks import with_brief_locks
from gateway.store.migration_rules import stops_writers
from gateway.store.postgres import UNLIMITED_S, connect_single, unavailable_as_503
from gateway.store.presence import fetch_applied, keep_older_out
from gateway.store.schema import Migration, choose_pending, load_migrations

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

SERVER_VERSION_MIN = 150_000
LOCK_WAIT_S = 60.0
"""How long one node waits while another migrates."""
LOCK_LOOK_S = 0.2
OLDER_WAIT_S = 10.0
"""How long a migration waits for older gateways that are on their way out."""
OLDER_LOOK_S = 0.2
BLOCK_MAX_S = 3.0
"""A file that stops writers of a table which is there already is given up, and tried again, when it
takes longer: what takes longer by nature is to be written otherwise."""
MIGRATING_LOCK = 0x67617465776179  # "gateway"


async def migrate(
    target: str | AnyConnection, migrations: Sequence[Migration] | None = None
) -> list[str]:
    """Apply what is missing and return the names of what was applied, in order.

    `target` is a URL or an open connection outside a transaction. Raises ConfigError (server too
    old, missing rights, changed schema or one for newer code), NotTheOwner (a gateway runs that
    could not go on after it) and StoreUnavailable.
    """
    known = load_migrations() if migrations is None else migrations
    async with _connected(target) as connection:
        return await _migrate(connection, known)


async def check_schema(target: str | AnyConnection) -> None:
    """Raise ConfigError unless the schema is one that this code can run on as it is."""
    async with _connected(target) as connection:
        pending = await fetch_pending(connection, load_migrations())
    if pending:
        raise ConfigError(
            "node.migrate_at_start",
            f"is false, and the schema lacks {_name(pending)}: run `gateway migrate` as a user who"
            " may change it, then start",
        )


@unavailable_as_503()
async def fetch_pending(connection: AnyConnection, known: Sequence[Migration]) -> list[Migration]:
    """Return what is still to be applied; raises ConfigError as `choose_pending` does."""
    return choose_pending(known, await fetch_applied(connection))


@asynccontextmanager
async def _connected(target: str | AnyConnection) -> AsyncIterator[AnyConnection]:
    if not isinstance(target, str):
        yield target
        return
    connection = await connect_single(target, "migrate")
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


@unavailable_as_503()
async def _migrate(connection: AnyConnection, known: Sequence[Migration]) -> list[str]:
    await _check_server(connection)
    if not await fetch_pending(connection, known):
        return []  # whoever migrates just now to a newer schema is not waited for
    await connection.execute("SET statement_timeout = 0")
    await _take_turn(connection)
    try:
        pending = await fetch_pending(connection, known)
        with _explained("the table of migrations"):
            # Not with the first of them: who starts meanwhile reads it.
            await with_brief_locks(
                connection, "the table of migrations", lambda: _make_ledger(connection)
            )
        for migration in pending:
            with _explained(f"migration {migration}"):
                await _apply(connection, migration)
        return [str(m) for m in pending]
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATING_LOCK)


async def _check_server(connection: AnyConnection) -> None:
    number = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if number < SERVER_VERSION_MIN:
        raise ConfigError(
            "node.database_url",
            f"the server is PostgreSQL {number // 10_000}; 15 or later is needed",
        )


async def _take_turn(connection: AnyConnection) -> None:
    """Wait for other nodes' migrations, a bounded time.

    Asked for again and again: a session that waits inside a statement would be waited for by the
    index that the other one builds, and neither would go on. Session level, because each
    migration commits by itself.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + LOCK_WAIT_S
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", MIGRATING_LOCK):
        if loop.time() >= deadline:
            raise StoreUnavailable(
                f"another node has been migrating this database for {LOCK_WAIT_S:.0f} s"
            )
        await asyncio.sleep(LOCK_LOOK_S)


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turn what PostgreSQL says of a schema that can't be changed into a setting to mend."""
    try:
        yield
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            "node.database_url",
            f"the user may not change the schema ({error}); GRANT CREATE ON SCHEMA public to it,"
            " or let its owner run `gateway migrate`",
        ) from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.IntegrityConstraintViolationError) as error:
        raise ConfigError("node.database_url", f"{what} failed: {error}") from error


async def _apply(connection: AnyConnection, migration: Migration) -> None:
    if migration.index is not None:
        await build_index(connection, migration.index)
    await _outlast_older(connection, migration)


async def _outlast_older(connection: AnyConnection, migration: Migration) -> None:
    """Apply it once no gateway runs that could not go on after it, waiting for such a moment."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + OLDER_WAIT_S
    while True:
        try:
            return await with_brief_locks(
                connection, f"migration {migration}", lambda: _apply_now(connection, migration)
            )
        except NotTheOwner as error:
            if loop.time() >= deadline:
                raise NotTheOwner(f"migration {migration} can't be applied: {error}") from None
        await asyncio.sleep(OLDER_LOOK_S)


async def _apply_now(connection: AnyConnection, migration: Migration) -> None:
    await keep_older_out(connection, migration.oldest_code)
    if migration.index is None:
        limit_s = BLOCK_MAX_S if stops_writers(migration) else UNLIMITED_S
        await connection.execute(migration.sql, timeout=limit_s)
    await connection.execute(
        "INSERT INTO schema_migrations (version, name, checksum, oldest_code)"
        " VALUES ($1, $2, $3, $4)",
        migration.version,
        migration.name,
        migration.checksum,
        migration.oldest_code,
    )


async def _make_ledger(connection: AnyConnection) -> None:
    if not await connection.fetchval(_HAS_LEDGER):
        await connection.execute(_LEDGER)


def _name(migrations: Sequence[Migration]) -> str:
    return ", ".join(map(str, migrations))


_HAS_LEDGER = """SELECT EXISTS (SELECT FROM pg_attribute
    WHERE attrelid = to_regclass('schema_migrations') AND attname = 'oldest_code')"""
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE schema_migrations ADD COLUMN IF NOT EXISTS oldest_code integer;
"""
