"""Operators by prefix and by ported number: the rows, imported as a whole and read as a whole.

Not here: reading suppliers' files (`routing/operator_files.py`), looking numbers up while messages
are accepted (`routing/operators.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from gateway.routing.operator_files import Ported
from gateway.routing.operators import (
    PREFIX_DIGITS_MAX,
    Operator,
    Operators,
    PortedLoader,
    PortedNumbers,
)
from gateway.store.postgres import UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Row

PAGE_NUMBERS = 50_000
"""Ported numbers that one query reads: some 20 ms of the server and 1 ms of ours."""
PAGE_PREFIXES = 5_000
"""Prefixes that one query reads: some 5 ms of ours."""

_VERSIONS = query("fetch_operator_versions")
_PREFIXES = query("fetch_operator_prefixes")
_PORTED_PAGE = query("fetch_ported_page")
_PREFIXES_OF_NUMBER = query("fetch_prefixes_of_number")
_FIND_PORTED = query("find_ported")
_OPERATORS = query("fetch_operators")

_NO_TIMEOUT = "SET LOCAL statement_timeout = 0"
_INCOMING = """CREATE TEMP TABLE incoming (
    place bigint GENERATED ALWAYS AS IDENTITY, number bigint, operator integer
) ON COMMIT DROP"""
_LATEST = "SELECT DISTINCT ON (number) number, operator FROM incoming ORDER BY number, place DESC"
_MOVE = f"""INSERT INTO ported_numbers
    SELECT * FROM ({_LATEST}) latest WHERE operator IS NOT NULL
    ON CONFLICT (number) DO UPDATE SET operator = excluded.operator
    WHERE ported_numbers.operator <> excluded.operator"""  # noqa: S608 (no value is spliced in)
_RETURN = f"""DELETE FROM ported_numbers p USING ({_LATEST}) latest
    WHERE p.number = latest.number AND latest.operator IS NULL"""  # noqa: S608


class Versions(msgspec.Struct, frozen=True):
    """What tells whether a table has changed."""

    prefixes: int = 0
    ported: int = 0


class Imported(msgspec.Struct, frozen=True):
    """What an import changed."""

    changed: int
    """Ported numbers that moved or are new."""
    removed: int
    """Ported numbers that are back with their prefix's operator, or not in the new table."""
    total: int
    """Rows of the table now."""


class OperatorRow(msgspec.Struct, frozen=True):
    """One operator, and how many numbers' beginnings and numbers it has."""

    code: str
    name: str
    country: str
    prefixes: int
    ported: int


class OperatorStore:
    """What the running gateway asks of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @unavailable_as_503()
    async def fetch_versions(self) -> Versions:
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_VERSIONS)
        return Versions(**{row["name"]: row["version"] for row in rows})

    @unavailable_as_503()
    async def fetch_prefixes(self) -> dict[str, Operator]:
        """Return every prefix with its operator, as one moment saw them, page by page."""
        table: dict[str, Operator] = {}
        shared: dict[tuple[str, ...], Operator] = {}
        last = ""
        async with self._database.acquire() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                while rows := await connection.fetch(_PREFIXES, last, PAGE_PREFIXES):
                    for last, *operator in rows:
                        key = tuple(operator)
                        if key not in shared:
                            shared[key] = Operator(*key)
                        table[last] = shared[key]
        return table

    @unavailable_as_503()
    async def fetch_ported(self) -> PortedNumbers:
        """Return every ported number, as one moment saw them; page by page, so that nobody waits
        long in between."""
        loader = PortedLoader()
        async with self._database.acquire() as connection:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                while True:
                    page = await connection.fetchrow(_PORTED_PAGE, loader.last, PAGE_NUMBERS)
                    if page is None or page["numbers"] is None:
                        return loader.build()
                    loader.add(page["numbers"], page["codes"])


@unavailable_as_503()
async def import_prefixes(database: Database, table: Mapping[str, Operator]) -> None:
    """Put a table in the place of the one that was there; all of it or nothing."""
    records = ((p, o.mcc, o.mnc, o.name, o.country) for p, o in table.items())
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(_NO_TIMEOUT)
        await connection.execute("DELETE FROM operator_prefixes", timeout=UNLIMITED_S)
        await connection.copy_records_to_table(
            "operator_prefixes",
            records=records,
            columns=["prefix", "mcc", "mnc", "name", "country"],
            timeout=UNLIMITED_S,
        )


@unavailable_as_503()
async def import_ported(database: Database, rows: Iterable[Ported], *, replace: bool) -> Imported:
    """Take ported numbers in, or put them in the place of those that were there; all or nothing.

    The last row of a number counts; one without a code removes it. What `rows` raises is passed
    on, and nothing is changed. About 10 s a million.
    """
    records = ((int(row.number), int(row.code) if row.code else None) for row in rows)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(_NO_TIMEOUT)
        await connection.execute(_INCOMING)
        await connection.copy_records_to_table(
            "incoming", records=records, columns=["number", "operator"], timeout=UNLIMITED_S
        )
        removed = 0
        if replace:
            removed = await _count(connection, _NOT_INCOMING)
        removed += await _count(connection, _RETURN)
        changed = await _count(connection, _MOVE)
        total: int = await connection.fetchval(
            "SELECT count(*) FROM ported_numbers", timeout=UNLIMITED_S
        )
    return Imported(changed, removed, total)


_NOT_INCOMING = """DELETE FROM ported_numbers p
    WHERE NOT EXISTS (SELECT FROM incoming i WHERE i.number = p.number)"""


@unavailable_as_503()
async def fetch_operators_for(database: Database, e164: str) -> Operators:
    """Return as much of the tables as one number needs."""
    beginnings = [e164[:length] for length in range(1, PREFIX_DIGITS_MAX + 1)]
    async with database.acquire() as connection:
        code = await connection.fetchval(_FIND_PORTED, int(e164))
        moved_to = "" if code is None else str(code)
        rows = await connection.fetch(_PREFIXES_OF_NUMBER, beginnings, moved_to)
    ported = PortedNumbers.of([(e164, moved_to)] if moved_to else [])
    return Operators({row["prefix"]: _operator_of(row) for row in rows}, ported)


async def list_operators(database: Database) -> list[OperatorRow]:
    """Return every operator that has a prefix or a ported number, by its code."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_OPERATORS, timeout=UNLIMITED_S)
    return [OperatorRow(*row) for row in rows]


async def _count(connection: AnyConnection, statement: str) -> int:
    done = await connection.execute(statement, timeout=UNLIMITED_S)
    return int(done.rpartition(" ")[2])


def _operator_of(row: Row) -> Operator:
    return Operator(row["mcc"], row["mnc"], row["name"], row["country"])
