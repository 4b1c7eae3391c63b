"""What operators ask about a person's number: writing all of it out, erasing it, and the record.

Joins the look-ups of names and numbers to what does the work. Not here: the rows (`erasures.py`,
`number_export.py`), who erases and when (`gateway/erasing.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import Rejected
from gateway.inbound.numbers import plain_number
from gateway.model import AccountId
from gateway.personal import ErasureList, ErasureStatus, ExportList, ExportView
from gateway.routing.numbers import Number, parse_number
from gateway.store.accounts import find_account
from gateway.store.erasures import Erasures
from gateway.store.message_views import format_time
from gateway.store.number_export import Record, export_number
from gateway.store.number_record import check_reason, fetch_number_hash
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Row

DIGITS_MAX = 15
READ_S = 600.0
"""For the next row of an export: a day without any is read whole meanwhile."""

_BEGIN = query("insert_number_export")
_FINISH = query("finish_number_export")
_EXPORTS = query("fetch_number_exports")


def read_number(written: str, default_country: str) -> str:
    """Return a number's digits; short ones too, as texts come from those. Raises Rejected."""
    read = parse_number(written, "possible", default_country)
    digits = read.e164 if isinstance(read, Number) else plain_number(written)
    if not (digits.isascii() and digits.isdigit() and 3 <= len(digits) <= DIGITS_MAX):
        raise Rejected(
            "invalid_number", f"{written[:64]!r} is no number like +4917012345678", field="number"
        )
    return digits


class PersonalData:
    """Answers `gateway.api.ports.PersonalData`, and the command line."""

    def __init__(self, database: Database, hash_key: str, default_country: str) -> None:
        self._database = database
        self._reading = asyncio.Lock()
        """Held while one export reads on: days are read whole, and one at a time."""
        self.use(hash_key, default_country)

    def use(self, hash_key: str, default_country: str) -> None:
        """Go by these settings from now on."""
        self._hash_key = hash_key
        self._default_country = default_country
        self._erasures = Erasures(self._database, hash_key)

    # ── erasing ──────────────────────────────────────────────────────────────────────────────

    async def request_erasure(
        self, written: str, account: str | None, *, reason: str, author: str, cancel: bool
    ) -> ErasureStatus:
        """Have a number erased; who does it looks for that every few seconds.

        Raises Rejected as `Erasures.request`, and for what is no number or account.
        """
        erasure_id = await self._erasures.request(
            read_number(written, self._default_country),
            await self._find_account(account),
            reason=reason,
            author=author,
            withdraw=cancel,
            now=time.time(),
        )
        return await self.fetch_erasure(erasure_id)

    async def fetch_erasure(self, erasure_id: int) -> ErasureStatus:
        """Return one erasure as it stands now; raises Rejected for one that there is not."""
        found = await self._erasures.list_erasures(erasure_id=erasure_id)
        if not found:
            raise Rejected("erasure_unknown", "there is no such erasure", field="id", status=404)
        waiting_ids = await self._erasures.fetch_waiting_ids(erasure_id)
        return ErasureStatus(
            **msgspec.structs.asdict(found[0]), waiting_for=[str(id) for id in waiting_ids]
        )

    async def list_erasures(self, limit: int, written: str | None = None) -> ErasureList:
        """Return the latest erasures, of one number if it is said."""
        number = None if written is None else read_number(written, self._default_country)
        return ErasureList(erasures=await self._erasures.list_erasures(number=number, limit=limit))

    # ── writing it out ───────────────────────────────────────────────────────────────────────

    async def begin_export(
        self, written: str, account: str | None, *, reason: str, author: str
    ) -> AsyncIterator[Record]:
        """Record who wants to know and why, and return everything that is kept of a number.

        The record says how many rows there were once the last one was taken.
        """
        check_reason(reason, author)
        number = read_number(written, self._default_country)
        account_id = await self._find_account(account)
        export_id = await self._note_export(number, account_id, reason, author)
        return self._export(export_id, number, account_id)

    @unavailable_as_503()
    async def list_exports(self, limit: int, written: str | None = None) -> ExportList:
        """Return the latest exports, of one number if it is said."""
        async with self._database.acquire() as connection:
            hashed = None
            if written is not None:
                number = read_number(written, self._default_country)
                hashed = await fetch_number_hash(connection, self._hash_key, number)
            rows = await connection.fetch(_EXPORTS, hashed, limit)
        return ExportList(exports=[_view(row) for row in rows])

    @unavailable_as_503()
    async def _note_export(
        self, number: str, account_id: AccountId | None, reason: str, author: str
    ) -> int:
        async with self._database.acquire() as connection:
            hashed = await fetch_number_hash(connection, self._hash_key, number)
            export_id: int = await connection.fetchval(
                _BEGIN, account_id, hashed, reason, author, time.time()
            )
        return export_id

    async def _export(
        self, export_id: int, number: str, account_id: AccountId | None
    ) -> AsyncIterator[Record]:
        records = export_number(self._database, number, account_id)
        count = 0
        # Nothing is held while the reader is slow, who may never take the next row.
        while (record := await self._read_next(records)) is not None:
            yield record
            count += 1
        async with self._database.acquire() as connection:
            await connection.execute(_FINISH, export_id, time.time(), count)

    async def _read_next(self, records: AsyncIterator[Record]) -> Record | None:
        async with asyncio.timeout(READ_S), self._reading:
            return await anext(records, None)

    @unavailable_as_503()
    async def _find_account(self, name: str | None) -> AccountId | None:
        if name is None:
            return None
        standing = None if "\0" in name else await find_account(self._database, name)
        if standing is None:
            raise Rejected(
                "account_unknown", "there is no such account", field="account", status=404
            )
        return standing.account.id


def _view(row: Row) -> ExportView:
    return ExportView(
        id=str(row["id"]),
        account=row["account"],
        number_hash=row["number_hash"].hex(),
        reason=row["reason"],
        author=row["author"],
        begun_at=format_time(row["begun_at"]),
        ended_at=format_time(row["ended_at"]),
        rows=row["row_count"],
    )
