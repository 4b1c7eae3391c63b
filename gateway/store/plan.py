"""What migrating a database would do, to it and to the gateways that run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.store.migrate import fetch_pending
from gateway.store.migration_rules import find_locked
from gateway.store.postgres import connect_single, unavailable_as_503
from gateway.store.presence import fetch_applied, find_older
from gateway.store.schema import Migration, load_migrations

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection


class Step(msgspec.Struct, frozen=True):
    """One migration that is to be applied."""

    migration: str
    oldest_code: int
    """What has to run at least, if anything does."""
    locks: list[str]
    """Tables whose writers wait for it, moments at a time."""
    builds_index_on: str | None
    """It takes as long as the table is large, and nobody waits."""
    waits_for: list[str]
    """Gateways that run and could not go on after it: it is not applied before they have ended."""


class Plan(msgspec.Struct, frozen=True):
    code: int
    """The last migration that this code knows."""
    schema: int
    """The last one that the database has; may be newer."""
    steps: list[Step]


async def make_plan(url: str) -> Plan:
    """Look at a database without changing it; raises ConfigError as `choose_pending` does."""
    known = load_migrations()
    connection = await connect_single(url, "migrate")
    try:
        with unavailable_as_503():
            pending = await fetch_pending(connection, known)
            applied = await fetch_applied(connection)
            steps = [await _look_at(connection, migration) for migration in pending]
    finally:
        await connection.close(timeout=5)
    return Plan(len(known), max((row.version for row in applied), default=0), steps)


async def _look_at(connection: AnyConnection, migration: Migration) -> Step:
    return Step(
        str(migration),
        migration.oldest_code,
        find_locked(migration),
        None if migration.index is None else migration.index.table,
        await find_older(connection, migration.oldest_code),
    )
