"""Receipts that no submission has: to be looked at, counted, and tried again.

A receipt is asked for (`ask_again`, from anywhere), taken by the node that has its carrier, and
either leaves the table with what it changes, in one transaction, or stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from gateway.lifecycle import Status
from gateway.model import CarrierId
from gateway.outcomes import ParkedReceipt
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Row

TAKEN_MAX = 500
"""Receipts that are tried at once: one query of some 10 ms looks them all up."""
ASKED_ROWS_MAX = 10_000
"""Rows a statement, so that no transaction is long."""

_LIST = query("list_unmatched")
_COUNT = query("count_unmatched")
_ASK = query("ask_unmatched_again")
_COUNT_ASKED = query("count_asked_again")
_CARRIERS = query("fetch_carriers_asked_again")
_TAKE = query("take_asked_again")
_FETCH_TAKEN = query("fetch_taken_again")
_SETTLE = query("settle_taken_again")

_PARKED = """INSERT INTO parked_receipts
    (carrier_id, carrier_message_id, received_at, segment_status, code, error, raw_id, recipient,
     tlvs)
    SELECT * FROM unnest({}::smallint[], {}::text[], {}::float8[], {}::smallint[], {}::int[],
    {}::text[], {}::text[], {}::text[], {}::bytea[])"""
_UNPARKED = """DELETE FROM parked_receipts p
    USING unnest({}::smallint[], {}::text[], {}::float8[]) AS u(carrier_id, id, received_at)
    WHERE p.carrier_id = u.carrier_id AND p.carrier_message_id = u.id
    AND p.received_at = u.received_at"""


class UnmatchedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt, as operators see it."""

    carrier: str
    id: str
    """As the carrier wrote it."""
    received_at: float
    state: str
    """`parked` while its submission may still turn up, `unmatched` once that was given up."""
    status: str
    """What it reports."""
    code: int | None
    error: str
    recipient: str


class UnmatchedCount(msgspec.Struct, frozen=True, kw_only=True):
    carrier: str
    parked: int
    unmatched: int


async def list_unmatched(
    database: Database, carrier_id: CarrierId | None, limit: int
) -> list[UnmatchedReceipt]:
    """Return the latest receipts without a submission, of one carrier or of all."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_LIST, carrier_id, limit)
    return [
        UnmatchedReceipt(
            carrier=row["carrier"],
            id=row["raw_id"] or row["carrier_message_id"],
            received_at=row["received_at"],
            state="unmatched" if row["given_up"] else "parked",
            status=Status(row["segment_status"]).wire,
            code=row["code"],
            error=row["error"],
            recipient=row["recipient"],
        )
        for row in rows
    ]


async def count_unmatched(
    database: Database, carrier_id: CarrierId | None = None
) -> list[UnmatchedCount]:
    """Return how many receipts without a submission are kept, by carrier."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_COUNT, carrier_id)
    return [
        UnmatchedCount(carrier=row["carrier"], parked=row["parked"], unmatched=row["unmatched"])
        for row in rows
    ]


class Asked(msgspec.Struct, frozen=True):
    """Receipts that the gateway was asked to try again."""

    count: int
    carrier_id: CarrierId | None
    last_id: int


async def ask_again(database: Database, carrier_id: CarrierId | None = None) -> Asked:
    """Ask the gateway to look again for what receipts are about."""
    count = last_id = 0
    while True:
        async with database.acquire() as connection:
            row = await connection.fetchrow(_ASK, carrier_id, last_id, ASKED_ROWS_MAX)
        assert row is not None
        if row["last"] is None:
            return Asked(count, carrier_id, last_id)
        count += row["asked"]
        last_id = row["last"]


async def count_left(database: Database, asked: Asked) -> tuple[int, int]:
    """Return how many of what was asked for were not tried yet, and how many are still kept."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(_COUNT_ASKED, asked.carrier_id, asked.last_id)
    assert row is not None
    return row["waiting"], row["kept"]


class AskedAgain:
    """One node's side: what is to be tried of its carriers, a step at a time."""

    def __init__(
        self, database: Database, owns: Callable[[CarrierId], bool] = lambda carrier_id: True
    ) -> None:
        """`owns` says whether a carrier is this node's: whoever has it knows what memory does."""
        self._database = database
        self._owns = owns
        self.carriers: list[CarrierId] = []
        """Whose receipts were taken last."""

    @unavailable_as_503()
    async def take(self) -> int:
        """Take what was asked for, at most TAKEN_MAX; return the number."""
        async with self._database.acquire() as connection:
            asked = [CarrierId(row["carrier_id"]) for row in await connection.fetch(_CARRIERS)]
            self.carriers = list(filter(self._owns, asked))
            if not self.carriers:
                return 0
            done = await connection.execute(_TAKE, TAKEN_MAX, self.carriers)
        return int(done.rsplit(" ", 1)[1])

    @unavailable_as_503()
    async def settle(self) -> None:
        """Forget that they were taken: what no submission was found for stays as it is."""
        async with self._database.acquire() as connection:
            await connection.execute(_SETTLE, self.carriers)


def add_parked(
    add: Callable[..., None], parked: Sequence[ParkedReceipt], unparked: Sequence[ParkedReceipt]
) -> None:
    """Add to a statement what keeps receipts and lets them go."""
    if unparked:
        add(
            _UNPARKED,
            [p.carrier_id for p in unparked],
            [p.carrier_message_id for p in unparked],
            [p.received_at for p in unparked],
        )
    if parked:
        add(
            _PARKED,
            [p.carrier_id for p in parked],
            [p.carrier_message_id for p in parked],
            [p.received_at for p in parked],
            [p.segment_status for p in parked],
            [p.code for p in parked],
            [p.error for p in parked],
            [p.raw_id for p in parked],
            [p.recipient for p in parked],
            [p.tlvs or None for p in parked],
        )


async def fetch_taken(
    connection: AnyConnection, carriers: Sequence[CarrierId]
) -> list[ParkedReceipt]:
    """Return the receipts of carriers that are being tried, in the order in which they came."""
    return [read_parked(row) for row in await connection.fetch(_FETCH_TAKEN, carriers)]


def read_parked(row: Row) -> ParkedReceipt:
    return ParkedReceipt(
        CarrierId(row["carrier_id"]),
        row["carrier_message_id"],
        row["received_at"],
        Status(row["segment_status"]),
        row["code"],
        row["error"],
        row["raw_id"],
        row["recipient"],
        row["tlvs"] or b"",
    )
