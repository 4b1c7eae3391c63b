"""Builds an index on a table that is written meanwhile.

PostgreSQL builds one on a partitioned table only while nobody writes. So an empty one is made on
the table itself, one on each partition beside the writers, and each is attached; with the last of
them the table's becomes valid. Partitions that are made meanwhile get theirs as they are attached.
All of it can be interrupted anywhere and begun again: what is done is kept, what is half done
dropped.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import asyncpg

from gateway.errors import StoreUnavailable
from gateway.store.locks import describe_oldest_transaction, with_brief_locks
from gateway.store.postgres import UNLIMITED_S
from gateway.store.schema import Index

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

ROUNDS_MAX = 5
"""Each builds what the partitions made or exchanged during the last one lack."""
OTHERS_WAIT_S = 600
"""How long each step waits for transactions that began before it; nobody waits behind it."""

_IS_PARTITIONED = "SELECT relkind = 'p' FROM pg_class WHERE oid = $1::text::regclass"
_IS_VALID = """SELECT indisvalid FROM pg_index
    WHERE indexrelid = to_regclass($1) AND indrelid = $2::text::regclass"""
_FETCH_LACKING = """SELECT p.inhrelid::regclass::text FROM pg_inherits p
    WHERE p.inhparent = $1::text::regclass AND NOT EXISTS (
        SELECT FROM pg_index i JOIN pg_inherits a ON a.inhrelid = i.indexrelid
        WHERE i.indrelid = p.inhrelid AND a.inhparent = $2::text::regclass)
    ORDER BY 1"""


async def build_index(connection: AnyConnection, index: Index) -> None:
    """Build it, or what of it is missing. `connection` is outside a transaction.

    Raises StoreUnavailable when others stand in the way for too long, and PostgreSQL's errors.
    """
    if not await connection.fetchval(_IS_PARTITIONED, index.table):
        await _build_patiently(connection, index, index.name, index.table)
        return
    if await connection.fetchval(_IS_VALID, index.name, index.table) is None:
        await _execute_briefly(
            connection, index.write(index.name, f"ONLY {index.table}", concurrently=False)
        )
    for _ in range(ROUNDS_MAX):
        lacking = [
            row[0] for row in await connection.fetch(_FETCH_LACKING, index.table, index.name)
        ]
        if not lacking:
            return
        for partition in lacking:
            await _build_on_partition(connection, index, partition)
    raise StoreUnavailable(f"partitions of {index.table} came faster than index {index.name}")


async def _build_on_partition(connection: AnyConnection, index: Index, partition: str) -> None:
    name = f"{partition}_{index.name}"
    try:
        await _build_patiently(connection, index, name, partition)
        await _execute_briefly(connection, f"ALTER INDEX {index.name} ATTACH PARTITION {name}")
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedObjectError):
        # Dropped or exchanged meanwhile; the next round looks at what is there then.
        return


async def _build_patiently(connection: AnyConnection, index: Index, name: str, table: str) -> None:
    await connection.execute(f"SET lock_timeout = '{OTHERS_WAIT_S}s'")
    await build_beside(connection, index, name, table)


async def build_beside(connection: AnyConnection, index: Index, name: str, table: str) -> None:
    """Build it under this name on a table without partitions, unless it is there and whole.

    Each step waits for others as long as the session's lock_timeout says; raises StoreUnavailable
    after it, and PostgreSQL's errors.
    """
    is_valid = await connection.fetchval(_IS_VALID, name, table)
    if is_valid:
        return
    if is_valid is False:  # left over by a build that was interrupted
        await _drop(connection, name)
    try:
        await connection.execute(index.write(name, table, concurrently=True), timeout=UNLIMITED_S)
    except asyncpg.LockNotAvailableError as error:
        await _drop(connection, name)
        oldest = await describe_oldest_transaction(connection)
        raise StoreUnavailable(f"index {name} waited for others too long; {oldest}") from error
    except asyncpg.IntegrityConstraintViolationError:
        await _drop(connection, name)  # invalid, it would cost writers as much as a valid one
        raise


async def _drop(connection: AnyConnection, name: str) -> None:
    await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}", timeout=UNLIMITED_S)


async def _execute_briefly(connection: AnyConnection, sql: str) -> None:
    await with_brief_locks(connection, sql, partial(_execute, connection, sql))


async def _execute(connection: AnyConnection, sql: str) -> None:
    await connection.execute(sql)
