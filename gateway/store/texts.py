"""Texts are erased before their messages: a day's partition is written anew without them.

To update each row would cost more than storing it did, and leave the day twice as large; a copy
without texts costs a fraction of that, once, and nothing on the way of a message
(docs/decisions/0011-texts-go-by-copy.md).

Not here: what is dropped as a whole (`partitions.py`), what belongs to a number (`erasures.py`).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.ids import id_at
from gateway.store import partitions
from gateway.store.postgres import PLAN_EACH_TIME, UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

STEP_ROWS = 500
DAY_S = 86_400.0
SWAP_TRIES = 10
SWAP_PAUSE_S = 0.5
INBOUND_MARK = "inbound_texts"
REWRITING_LOCK = 0x74657874  # "text"
"""Held while a day is copied; who changes rows of days that are past takes it for sharing."""

_IS_NEEDED = "(account_id, id) IN (SELECT account_id, message_id FROM needed_texts)"
_TEXT_COLUMNS = frozenset({"body", "data", "udh"})
_WITHOUT = query("fetch_days_without_texts")
_NOTE = query("note_day_without_texts")
_FORGET_DAYS = query("forget_days_without_texts")
# Of a day's messages: those of which something may still be sent, or whose email is to be.
_FIND_NEEDED = f"""INSERT INTO needed_texts
    SELECT account_id, id FROM ({query("find_open")}) open
    UNION
    SELECT account_id, message_id FROM email_fallbacks
    WHERE message_id >= $1 AND message_id < $2 AND state = 0
    ON CONFLICT DO NOTHING"""  # noqa: S608 (our own)
_FETCH_NEEDED = query("fetch_needed_texts")
_ERASE = query("erase_texts")
_SETTLE = query("settle_needed_texts")
_DROP_NEEDED = query("drop_needed_texts")
_INBOUND = query("erase_inbound_texts")
_RECEIVED = query("forget_received_notices")
_EMAILS = query("forget_sent_email_contents")
_PARTS = query("forget_inbound_parts")
_LOAD_MARK = query("load_sweep_mark")
_SAVE_MARK = query("save_sweep_mark")


class TextsErased(msgspec.Struct, frozen=True):
    """What one run did."""

    days: list[date]
    put_off: list[date]
    """Somebody read these just now; the next run tries again."""


async def erase_texts(database: Database, now: float, days: int) -> TextsErased:
    """Erase the texts of messages whose day ended `days` ago or earlier, and of all that is kept
    beside them; what is still to be sent keeps its text until it has ended."""
    last = datetime.fromtimestamp(now, UTC).date() - timedelta(days=days + 1)
    async with database.acquire() as connection:
        kept = await partitions.fetch_days(connection)
        without = {row["day"] for row in await connection.fetch(_WITHOUT)}
        if kept:
            await connection.execute(_FORGET_DAYS, kept[0])
    done: list[date] = []
    put_off: list[date] = []
    for day in kept:
        if day <= last and day not in without:
            (done if await _erase_day(database, day) else put_off).append(day)
    await erase_no_longer_needed(database)
    await _erase_beside(database, now - days * DAY_S)
    return TextsErased(done, put_off)


# ── a day ────────────────────────────────────────────────────────────────────────────────────


@unavailable_as_503()
async def _erase_day(database: Database, day: date) -> bool:
    """Write a day's messages anew without their texts; return whether that was possible."""
    async with database.acquire() as connection:
        try:
            async with connection.transaction():
                if not await connection.fetchval(
                    "SELECT pg_try_advisory_xact_lock($1)", REWRITING_LOCK
                ):
                    return False
                await connection.execute(f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0")
                await connection.execute(_FIND_NEEDED, *partitions.ids_of(day), timeout=UNLIMITED_S)
                copy = await _copy_day(connection, day)
                await _swap(connection, day, copy)
                await connection.execute(_NOTE, day)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            return False
    return True


async def _copy_day(connection: AnyConnection, day: date) -> str:
    """Make the copy, with all that its partition needs to be put in the old one's place."""
    old, (first, end) = partitions.name_of("messages", day), partitions.ids_of(day)
    new = f"{old}_textless"
    columns = await _columns(connection, old)
    await connection.execute(
        f"CREATE TABLE {new} (LIKE {old} INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
        " INCLUDING STORAGE);"
        # Known to hold only this day, it is attached without being read.
        f"ALTER TABLE {new} ADD CONSTRAINT of_one_day CHECK (id >= {first} AND id < {end})"
    )
    values = ", ".join(
        f"CASE WHEN {_IS_NEEDED} THEN {column} END" if column in _TEXT_COLUMNS else column
        for column in columns
    )
    await connection.execute(
        f"INSERT INTO {new} ({', '.join(columns)}) SELECT {values} FROM {old}",  # noqa: S608
        timeout=UNLIMITED_S,
    )
    await _build_indexes(connection, old, new)
    return new


async def _swap(connection: AnyConnection, day: date, new: str) -> None:
    """Put the copy in the day's place. Readers and writers wait for milliseconds only."""
    for left in reversed(range(SWAP_TRIES)):
        try:
            async with connection.transaction():
                return await _swap_now(connection, day, new)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if not left:
                raise
        await asyncio.sleep(SWAP_PAUSE_S)


async def _swap_now(connection: AnyConnection, day: date, new: str) -> None:
    old, (first, end) = partitions.name_of("messages", day), partitions.ids_of(day)
    await connection.execute(
        f"SET LOCAL lock_timeout = '{partitions.DROP_LOCK_TIMEOUT}'; LOCK TABLE {old} IN SHARE MODE"
    )
    # What is open may have been replaced since it was copied. Nothing else changes in a past day.
    needed = f"id >= {first} AND id < {end} AND {_IS_NEEDED}"
    columns = ", ".join(await _columns(connection, old))
    await connection.execute(
        f"DELETE FROM {new} WHERE {needed};"  # noqa: S608
        f" INSERT INTO {new} ({columns}) SELECT {columns} FROM {old} WHERE {needed}",
        timeout=UNLIMITED_S,
    )
    await connection.execute(
        f"DROP TABLE {old}; ALTER TABLE {new} RENAME TO {old};"
        f" ALTER TABLE messages ATTACH PARTITION {old} FOR VALUES FROM ({first}) TO ({end});"
        f" ALTER TABLE {old} DROP CONSTRAINT of_one_day"
    )


async def _columns(connection: AnyConnection, table: str) -> list[str]:
    rows = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
        " AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return [row["attname"] for row in rows]


async def _build_indexes(connection: AnyConnection, old: str, new: str) -> None:
    """Give the copy every index of the old one: attaching would build them under its lock."""
    rows = await connection.fetch(
        "SELECT pg_get_indexdef(i.indexrelid) AS made, c.relname AS name, i.indisprimary"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = $1::text::regclass",
        old,
    )
    for number, row in enumerate(rows):
        definition = row["made"].partition(" USING ")[2]
        if row["indisprimary"]:
            columns = definition.partition(" ")[2]
            made = f"ALTER TABLE {new} ADD PRIMARY KEY {columns}"
        else:
            made = f"CREATE INDEX {new}_{number}_idx ON {new} USING {definition}"
        await connection.execute(made, timeout=UNLIMITED_S)


# ── what was needed longer ───────────────────────────────────────────────────────────────────


@unavailable_as_503()
async def erase_no_longer_needed(database: Database) -> None:
    """Erase the texts that were needed for longer and are not now."""
    async with database.acquire() as connection:
        kept = await partitions.fetch_days(connection)
        if kept:
            await connection.execute(_DROP_NEEDED, partitions.ids_of(kept[0])[0])
    after = (0, 0)
    while True:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(PLAN_EACH_TIME)
            rows = await connection.fetch(_FETCH_NEEDED, *after, STEP_ROWS)
            over = [(row["account_id"], row["message_id"]) for row in rows if not row["needed"]]
            if over:
                keys = [account for account, _ in over], [message for _, message in over]
                await connection.execute(_ERASE, *keys, min(keys[1]), max(keys[1]))
                await connection.execute(_SETTLE, *keys)
        if len(rows) < STEP_ROWS:
            return
        after = (rows[-1]["account_id"], rows[-1]["message_id"])


# ── what is kept beside messages ─────────────────────────────────────────────────────────────


async def _erase_beside(database: Database, before: float) -> None:
    """Erase texts from phones, and what of them and of emails nobody waits for any more."""
    async with database.acquire() as connection:
        seen_to = await connection.fetchval(_LOAD_MARK, INBOUND_MARK) or 0.0
    await _repeat(database, _INBOUND, id_at(seen_to), id_at(before))
    async with database.acquire() as connection:
        await connection.execute(_SAVE_MARK, INBOUND_MARK, max(before, seen_to))
    await _repeat(database, _PARTS, id_at(before))
    await _repeat(database, _RECEIVED, before)
    await _repeat(database, _EMAILS, before)


@unavailable_as_503()
async def _repeat(database: Database, statement: str, *bounds: float) -> None:
    changed = STEP_ROWS
    while changed == STEP_ROWS:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(PLAN_EACH_TIME)
            done = await connection.execute(statement, *bounds, STEP_ROWS)
        changed = int(done.rsplit(" ", 1)[1])
