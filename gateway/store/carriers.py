"""The carriers that the store knows: their numbers, and which are drained by hand.

Not here: how carriers are spoken to (the settings), how they are (the node that has their binds).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from gateway.errors import Rejected
from gateway.model import CarrierId
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
from gateway.store.settings import notify_nodes

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

REASON_CHARS_MAX = 200

_REGISTER = query("register_carriers")
_FETCH = query("fetch_carriers")
_DRAIN = query("drain_carrier")
_RESUME = query("resume_carrier")


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """Why a carrier gets no new messages, and by whose word."""

    since: datetime.datetime
    author: str
    reason: str

    def __str__(self) -> str:
        return f"drained by {self.author}" + (f": {self.reason}" if self.reason else "")


class KnownCarrier(msgspec.Struct, frozen=True, kw_only=True):
    """A carrier that serves here, or did."""

    id: CarrierId
    name: str
    drain: Drain | None = None


@unavailable_as_503()
async def list_carriers(database: Database) -> list[KnownCarrier]:
    """Return all carriers, by name; those that are configured no more as well."""
    async with database.acquire() as connection:
        return await fetch_carriers(connection)


async def fetch_carriers(connection: AnyConnection) -> list[KnownCarrier]:
    """As `list_carriers`, over a connection of the caller's."""
    rows = await connection.fetch(_FETCH)
    return [
        KnownCarrier(
            id=CarrierId(row["id"]),
            name=row["name"],
            drain=Drain(
                since=row["drained_at"], author=row["drained_by"], reason=row["drain_reason"]
            )
            if row["drained_at"]
            else None,
        )
        for row in rows
    ]


@unavailable_as_503()
async def register_carriers(database: Database, names: Sequence[str]) -> list[KnownCarrier]:
    """Give every carrier its number that has none yet; return all that are known."""
    async with database.acquire() as connection:
        await connection.execute(_REGISTER, list(names))
        return await fetch_carriers(connection)


@unavailable_as_503()
async def drain_carrier(database: Database, name: str, *, author: str, reason: str) -> None:
    """Let no new messages leave through a carrier; nodes hear of it at once.

    Raises Rejected for a carrier that never served and for a reason that is too long.
    """
    if len(reason) > REASON_CHARS_MAX or not (reason.isprintable()):
        raise Rejected(
            "reason_not_usable",
            f"a reason has at most {REASON_CHARS_MAX} printable characters",
            field="reason",
        )
    async with database.acquire() as connection, connection.transaction():
        if await connection.fetchval(_DRAIN, name, author, reason) is None:
            raise _unknown(name)
        await notify_nodes(connection)


@unavailable_as_503()
async def resume_carrier(database: Database, name: str) -> bool:
    """Let a carrier have messages again; return whether it was drained. Raises Rejected."""
    async with database.acquire() as connection, connection.transaction():
        drained: bool | None = await connection.fetchval(_RESUME, name)
        if drained is None:
            raise _unknown(name)
        await notify_nodes(connection)
    return drained


def _unknown(name: str) -> Rejected:
    return Rejected(
        "carrier_unknown",
        f"no carrier {name!r} ever served here; it is known once the gateway ran with it",
        field="carrier",
        status=404,
    )
