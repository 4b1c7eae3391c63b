"""Messages from phones and the numbers they come to: the rows.

The outcome writer puts `add_inbound` into its batches; everything else here reads, or is what
operators change while the gateway runs. Not here: when a message is whole and whose it is
(`gateway/inbound/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.errors import Rejected
from gateway.ids import accepted_at, id_at
from gateway.inbound.handover import Handover, visible_data
from gateway.inbound.numbers import NOBODY, OwnedNumber, plain_number
from gateway.inbound.parts import InboundPart
from gateway.model import AccountId, CarrierId, MessageId
from gateway.store.message_views import format_time
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
from gateway.text.reassembly import REPEAT_S
from gateway.views import InboundPage, InboundSearch, InboundView

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Row

PAGE_MESSAGES_MAX = 500
SCAN_MESSAGES_MAX = 10_000
"""Messages that one page looks at for a filter without an index."""
ID_END = 2**63 - 1
NUMBER_CHARS_MAX = 21
"""SMPP 3.4 §4.6.1: a destination_addr, without its NUL."""

_WAITING_PARTS = query("fetch_waiting_parts")
_LAST_HANDOVER = query("fetch_last_handover")
_HANDED_OVER_PARTS = query("fetch_handed_over_parts")
_LAST_INBOUND_ID = query("fetch_last_inbound_id")
_NUMBERS_VERSION = query("fetch_numbers_version")
_OWNED_NUMBERS = query("fetch_owned_numbers")
_NUMBERS = query("fetch_numbers")
_INSERT_NUMBER = query("insert_number")
_DELETE_NUMBER = query("delete_number")
_FIND_CARRIER = query("find_carrier")
_SCAN_END = query("fetch_inbound_scan_end")
_PAGE = query("fetch_inbound_page")
_COUNT_UNOWNED = query("count_unowned")

# ── what a batch of the outcome writer writes ────────────────────────────────────────────────

_KEEP = """INSERT INTO inbound_parts
    (id, message_id, carrier_id, received_at, sender, recipient, reference, total, sequence,
     data_coding, esm_class, udh, content, tlvs)
    SELECT * FROM unnest(
    {}::bigint[], {}::bigint[], {}::smallint[], {}::float8[], {}::text[], {}::text[], {}::int[],
    {}::smallint[], {}::smallint[], {}::smallint[], {}::smallint[], {}::bytea[], {}::bytea[],
    {}::bytea[])"""
_JOIN = """UPDATE inbound_parts p SET message_id = w.message_id
    FROM unnest({}::bigint[], {}::bigint[]) AS w(id, message_id) WHERE p.id = w.id"""
# Arrays of arrays can't be of different lengths, so `missing` travels as PostgreSQL writes it.
_HAND_OVER = """INSERT INTO inbound_messages
    (account_id, id, carrier_id, received_at, sender, recipient, data_coding, esm_class, udh,
     content, body, encoding, exact, segments, missing, tlvs)
    SELECT m.account_id, m.id, m.carrier_id, m.received_at, m.sender, m.recipient, m.data_coding,
           m.esm_class, m.udh, m.content, m.body, m.encoding, m.exact, m.segments,
           m.missing::smallint[], m.tlvs
    FROM unnest(
    {}::int[], {}::bigint[], {}::smallint[], {}::float8[], {}::text[], {}::text[], {}::smallint[],
    {}::smallint[], {}::bytea[], {}::bytea[], {}::text[], {}::text[], {}::boolean[],
    {}::smallint[], {}::text[], {}::bytea[])
    AS m(account_id, id, carrier_id, received_at, sender, recipient, data_coding, esm_class, udh,
         content, body, encoding, exact, segments, missing, tlvs)"""


def add_inbound(
    add: Callable[..., None], kept: Sequence[InboundPart], handovers: Sequence[Handover]
) -> None:
    """Add to a statement what becomes of parts and of messages that are whole.

    A statement does not see the rows that it inserts itself: parts of this batch get their
    message with their row, and those of earlier ones afterwards.
    """
    message_of = {part.id: h.message.id for h in handovers for part in h.parts}
    if kept:
        add(_KEEP, *_part_columns(kept, message_of))
    earlier = message_of.keys() - {part.id for part in kept}
    if earlier:
        add(_JOIN, list(earlier), [message_of[part_id] for part_id in earlier])
    if handovers:
        add(_HAND_OVER, *_message_columns(handovers))


def _part_columns(
    parts: Sequence[InboundPart], message_of: Mapping[MessageId, MessageId]
) -> tuple[list[object], ...]:
    return (
        [p.id for p in parts],
        [message_of.get(p.id) for p in parts],
        [p.carrier_id for p in parts],
        [p.received_at for p in parts],
        [p.source for p in parts],
        [p.destination for p in parts],
        [p.reference for p in parts],
        [p.total for p in parts],
        [p.sequence for p in parts],
        [p.data_coding for p in parts],
        [p.esm_class for p in parts],
        [p.udh for p in parts],
        [p.content for p in parts],
        [p.tlvs or None for p in parts],
    )


def _message_columns(handovers: Sequence[Handover]) -> tuple[list[object], ...]:
    messages = [h.message for h in handovers]
    return (
        [m.account_id for m in messages],
        [m.id for m in messages],
        [m.carrier_id for m in messages],
        [m.received_at for m in messages],
        [m.sender for m in messages],
        [m.recipient for m in messages],
        [m.data_coding for m in messages],
        [m.esm_class for m in messages],
        [m.udh for m in messages],
        [m.content for m in messages],
        [m.body for m in messages],
        [m.encoding for m in messages],
        [m.exact for m in messages],
        [m.segments for m in messages],
        ["{" + ",".join(map(str, m.missing)) + "}" for m in messages],
        [m.tlvs or None for m in messages],
    )


# ── what a start and the running gateway read ────────────────────────────────────────────────


class InboundStore:
    """What the inbound desk asks of the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @unavailable_as_503()
    async def fetch_waiting(self, carrier_id: CarrierId) -> list[InboundPart]:
        """Return a carrier's parts that wait for others, in the order in which they came."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_WAITING_PARTS, carrier_id)
        return [_part_of(row) for row in rows]

    @unavailable_as_503()
    async def fetch_handed_over(self, carrier_id: CarrierId) -> list[list[InboundPart]]:
        """Return the parts of the messages that were handed over last: the carrier may not have
        heard our answers, and send parts of them again."""
        async with self._database.acquire() as connection:
            last = await connection.fetchval(_LAST_HANDOVER)
            if last is None:
                return []
            since = id_at(accepted_at(last) - REPEAT_S)
            rows = await connection.fetch(_HANDED_OVER_PARTS, since, carrier_id)
        return [
            [_part_of(row) for row in parts]
            for _, parts in groupby(rows, key=lambda row: row["message_id"])
        ]

    @unavailable_as_503()
    async def fetch_last_id(self) -> int:
        """Return the greatest id of a part or message from a phone, 0 when there is none."""
        async with self._database.acquire() as connection:
            greatest: int | None = await connection.fetchval(_LAST_INBOUND_ID)
        return greatest or 0

    @unavailable_as_503()
    async def fetch_numbers(self, known: int) -> tuple[int, list[OwnedNumber]] | None:
        """Return every number that is owned, and the version of that; None when it is `known`."""
        async with self._database.acquire() as connection:
            # Read before the numbers, so that what changes in between is seen the next time.
            version: int = await connection.fetchval(_NUMBERS_VERSION)
            if version == known:
                return None
            rows = await connection.fetch(_OWNED_NUMBERS)
        return version, [
            OwnedNumber(
                row["number"],
                AccountId(row["account_id"]),
                None if row["carrier_id"] is None else CarrierId(row["carrier_id"]),
                row["keyword"],
            )
            for row in rows
        ]


def _part_of(row: Row) -> InboundPart:
    return InboundPart(
        source=row["sender"],
        destination=row["recipient"],
        reference=row["reference"],
        total=row["total"],
        sequence=row["sequence"],
        content=row["content"],
        data_coding=row["data_coding"],
        id=MessageId(row["id"]),
        carrier_id=CarrierId(row["carrier_id"]),
        received_at=row["received_at"],
        esm_class=row["esm_class"],
        udh=row["udh"],
        tlvs=row["tlvs"] or b"",
    )


# ── what accounts and operators read ─────────────────────────────────────────────────────────


async def fetch_inbound(
    connection: AnyConnection, account_id: AccountId, search: InboundSearch
) -> tuple[list[Row], str]:
    """Return a page of an account's messages, newest first, and the id the next one begins below.

    NOBODY's are those to numbers that nobody owns. A filter looks at a bounded number of messages
    a page, so a page can be short or empty and still have one behind it.
    """
    before = ID_END if search.before is None else search.before
    if search.received_until is not None:
        before = min(before, id_at(search.received_until))
    since = 0 if search.received_from is None else id_at(search.received_from)
    if not since < before <= ID_END or "\0" in search.to + search.sender:
        return [], ""
    scan_end: int | None = None
    if search.to or search.sender:
        scan_end = await connection.fetchval(
            _SCAN_END, account_id, before, since, SCAN_MESSAGES_MAX - 1
        )
    limit = max(1, min(search.limit, PAGE_MESSAGES_MAX))
    rows = await connection.fetch(
        _PAGE,
        account_id,
        before,
        scan_end or since,
        plain_number(search.to) or None,
        plain_number(search.sender) or None,
        limit,
    )
    return rows, str((rows[-1]["id"] if len(rows) == limit else scan_end) or "")


def build_page(rows: Sequence[Row], next_cursor: str, names: Mapping[int, str]) -> InboundPage:
    """Return rows as readers are shown them; `names` are the carriers'."""
    return InboundPage(
        messages=[
            InboundView(
                id=str(row["id"]),
                sender=row["sender"],
                to=row["recipient"],
                text=row["body"],
                text_erased=row["body"] is None,
                data=visible_data(row["exact"], row["content"]),
                udh=row["udh"].hex(),
                encoding=row["encoding"],
                segments=row["segments"],
                partial=bool(row["missing"]),
                missing=row["missing"],
                carrier=names.get(row["carrier_id"], str(row["carrier_id"])),
                received_at=format_time(row["received_at"]),
            )
            for row in rows
        ],
        next_cursor=next_cursor,
    )


@unavailable_as_503()
async def count_unowned(database: Database) -> int:
    """Return how many messages to nobody's numbers are kept."""
    async with database.acquire() as connection:
        return int(await connection.fetchval(_COUNT_UNOWNED, NOBODY))


# ── numbers, which operators change while the gateway runs ───────────────────────────────────


class NumberInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One number as operators see it; without a carrier it is owned at all of them."""

    number: str
    account: str
    carrier: str = ""
    created_at: datetime


@unavailable_as_503()
async def add_number(
    database: Database, account_id: AccountId, number: str, carrier: str = ""
) -> str:
    """Give a number to an account and return it as it is kept; every node sees it in seconds.

    Without a carrier it is the account's through whichever one a message comes. Raises Rejected
    for what is no number, a carrier that never served, and a number that has an owner already.
    """
    plain = _check_number(number)
    async with database.acquire() as connection:
        carrier_id = await _find_carrier(connection, carrier) if carrier else None
        try:
            await connection.execute(_INSERT_NUMBER, account_id, plain, carrier_id)
        except asyncpg.UniqueViolationError:
            raise Rejected(
                "number_taken", f"{plain} has an owner already", field="number", status=409
            ) from None
        except asyncpg.ForeignKeyViolationError:
            raise Rejected(
                "account_unknown", f"there is no account {account_id}", field="account", status=404
            ) from None
    return plain


@unavailable_as_503()
async def remove_number(database: Database, number: str, carrier: str = "") -> str:
    """Take a number from its owner and return it as it was kept; raises Rejected.

    What came to it before stays the owner's.
    """
    plain = _check_number(number)
    async with database.acquire() as connection:
        carrier_id = await _find_carrier(connection, carrier) if carrier else None
        removed = await connection.fetchval(_DELETE_NUMBER, plain, carrier_id)
    if removed is None:
        where = f" at {carrier}" if carrier else ""
        raise Rejected("number_unknown", f"nobody owns {plain}{where}", field="number", status=404)
    return plain


@unavailable_as_503()
async def list_numbers(database: Database, account_id: AccountId | None = None) -> list[NumberInfo]:
    """Return the numbers of one account or of all, by number."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_NUMBERS, account_id)
    return [
        NumberInfo(
            number=row["number"],
            account=row["account"],
            carrier=row["carrier"] or "",
            created_at=row["created_at"],
        )
        for row in rows
    ]


def _check_number(number: str) -> str:
    plain = plain_number(number)
    if not (plain.isascii() and plain.isalnum() and len(plain) <= NUMBER_CHARS_MAX):
        raise Rejected(
            "invalid_number",
            f"a number is up to {NUMBER_CHARS_MAX} digits or letters, as its carrier writes it",
            field="number",
        )
    return plain


async def _find_carrier(connection: AnyConnection, name: str) -> int:
    carrier_id: int | None = await connection.fetchval(_FIND_CARRIER, name)
    if carrier_id is None:
        raise Rejected(
            "carrier_unknown",
            f"no carrier {name!r} ever served here; it is known once the gateway started with it",
            field="carrier",
            status=404,
        )
    return carrier_id
