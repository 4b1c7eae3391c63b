"""What nodes ask of each other: put, begun once, answered or taken back.

An errand is addressed to whoever has a lease, or to one node's claim. Not here: asking and running
(`gateway/nodes/errands.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

ASKED: Final = "gateway_errands"
"""Tells for whom an errand was put."""
ANSWERED: Final = "gateway_answers"
"""Tells the number of an errand that was answered."""
KEPT_S: Final = 600.0
"""What its asker never took back (it was killed) is forgotten so long after its time."""

_PUT = query("put_errand")
_BEGIN = query("begin_errands")
_FETCH_LEASES = query("fetch_errands_leases")
_ANSWER = query("answer_errand")
_TAKE_BACK = query("take_back_errand")
_FORGET = query("forget_errands")
_CLAIMS = query("fetch_claims")


class Errand(msgspec.Struct, frozen=True):
    """One that was begun here."""

    id: int
    kind: str
    asked: bytes


class Outcome(msgspec.Struct, frozen=True):
    """What became of an errand by the time that it was taken back."""

    begun: bool
    answer: bytes | None
    failed: str | None
    """Why it could not be run, in words."""


class ErrandStore:
    def __init__(self, database: Database) -> None:
        self._database = database

    @unavailable_as_503()
    async def put(self, id_: int, lease: str, kind: str, asked: bytes, seconds: float) -> None:
        """Ask; it is begun within `seconds` or never."""
        async with self._database.acquire() as connection:
            await connection.execute(_PUT, id_, lease, kind, asked, seconds)

    @unavailable_as_503()
    async def begin(self, leases: Sequence[str], limit: int) -> list[Errand]:
        """Begin what is asked of whoever has these leases."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_BEGIN, leases, limit)
        return [Errand(row["id"], row["kind"], row["asked"]) for row in rows]

    @unavailable_as_503()
    async def fetch_leases(self) -> list[str]:
        """Return for whom anything waits to be begun."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_FETCH_LEASES)
        return [row["lease"] for row in rows]

    @unavailable_as_503()
    async def answer(self, id_: int, answer: bytes | None, failed: str | None = None) -> None:
        async with self._database.acquire() as connection:
            await connection.execute(_ANSWER, id_, answer, failed)

    @unavailable_as_503()
    async def take_back(self, id_: int) -> Outcome:
        """Withdraw an errand and return what became of it."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(_TAKE_BACK, id_)
        return Outcome(False, None, None) if row is None else Outcome(**row)

    @unavailable_as_503()
    async def forget(self, kept_s: float = KEPT_S) -> None:
        """Forget what nobody took back."""
        async with self._database.acquire() as connection:
            await connection.execute(_FORGET, kept_s)


async def fetch_claims(database: Database) -> list[tuple[int, int]]:
    """Return each node whose claim has not ended, and its epoch: what it remembers may still be
    written."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_CLAIMS)
    return [(row["node"], row["epoch"]) for row in rows]
