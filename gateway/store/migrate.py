"""Bring a database's schema to what this code knows: numbered SQL files, each applied once.

Files are `migrations/NNNN_name.sql`, applied in order, each in its own transaction. Nodes that
start together wait for each other on an advisory lock.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.postgres import UNLIMITED_S, connect_single, unavailable_as_503

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

MIGRATIONS = Path(__file__).parent / "migrations"
SERVER_VERSION_MIN = 150_000
LOCK_WAIT_S = 60
"""How long one node waits while another migrates."""
_LOCK = 0x67617465776179  # "gateway"
_FILE_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.version:04}_{self.name}"


@dataclass(frozen=True, slots=True)
class Applied:
    """A row of `schema_migrations`."""

    version: int
    name: str
    checksum: str


def load_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """Read the migrations that came with this code, in order."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        assert match, f"{path.name} is not NNNN_name.sql"
        found.append(Migration(int(match[1]), match[2], path.read_text(encoding="utf-8")))
    versions = [m.version for m in found]
    assert versions == list(range(1, len(found) + 1)), f"versions have gaps: {versions}"
    return found


def choose_pending(known: Sequence[Migration], applied: Sequence[Applied]) -> list[Migration]:
    """Return what is still to apply, in order.

    Raises ConfigError when the database is newer than the code, or when a file that was already
    applied has changed since: in both cases nobody knows what schema is there.
    """
    by_version = {m.version: m for m in known}
    for row in applied:
        migration = by_version.get(row.version)
        if migration is None:
            raise ConfigError(
                "node.database_url",
                f"the database is newer than this gateway: it has {row.version:04}_{row.name},"
                f" this code knows {len(known)} migrations; install the newer gateway",
            )
        if migration.checksum != row.checksum:
            raise ConfigError(
                "node.database_url",
                f"migration {migration} was changed after it was applied to this database",
            )
    done = {row.version for row in applied}
    return [m for m in known if m.version not in done]


async def migrate(
    target: str | AnyConnection, migrations: Sequence[Migration] | None = None
) -> list[str]:
    """Apply what is missing and return the names of what was applied, in order.

    `target` is a URL or an open connection outside a transaction. Raises ConfigError (server too
    old, missing rights, newer or changed schema) and StoreUnavailable.
    """
    known = load_migrations() if migrations is None else migrations
    if not isinstance(target, str):
        return await _migrate(target, known)
    connection = await connect_single(target, "migrate")
    try:
        return await _migrate(connection, known)
    finally:
        await connection.close(timeout=5)


async def fetch_schema_version(connection: AnyConnection) -> int:
    """Return the number of the last applied migration, 0 for an empty database."""
    with unavailable_as_503():
        return max((row.version for row in await _fetch_applied(connection)), default=0)


@unavailable_as_503()
async def _migrate(connection: AnyConnection, known: Sequence[Migration]) -> list[str]:
    await _check_server(connection)
    await _take_lock(connection)
    try:
        pending = choose_pending(known, await _fetch_applied(connection))
        for migration in pending:
            await _apply(connection, migration)
        return [str(m) for m in pending]
    finally:
        if not connection.is_closed():
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


async def _check_server(connection: AnyConnection) -> None:
    number = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if number < SERVER_VERSION_MIN:
        raise ConfigError(
            "node.database_url",
            f"the server is PostgreSQL {number // 10_000}; 15 or later is needed",
        )


async def _take_lock(connection: AnyConnection) -> None:
    """Wait for other nodes' migrations, a bounded time.

    Advisory locks obey lock_timeout; session level, because each migration commits by itself.
    """
    await connection.execute(f"SET lock_timeout = '{LOCK_WAIT_S}s'; SET statement_timeout = 0")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK, timeout=LOCK_WAIT_S + 5)
    except asyncpg.LockNotAvailableError as error:
        raise StoreUnavailable(
            f"another node has been migrating this database for {LOCK_WAIT_S} s"
        ) from error


async def _fetch_applied(connection: AnyConnection) -> list[Applied]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return []
    rows = await connection.fetch(
        "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
    )
    return [Applied(*row) for row in rows]


async def _apply(connection: AnyConnection, migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(_LEDGER)
            await connection.execute(migration.sql, timeout=UNLIMITED_S)
            await connection.execute(
                "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                migration.version,
                migration.name,
                migration.checksum,
            )
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            "node.database_url",
            f"the user may not change the schema ({error}); GRANT CREATE ON SCHEMA public to it,"
            " or let its owner run `gateway migrate`",
        ) from error
    except (asyncpg.SyntaxOrAccessError, asyncpg.IntegrityConstraintViolationError) as error:
        raise ConfigError("node.database_url", f"migration {migration} failed: {error}") from error


_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
