"""Everything that is known of a number, row by row, for the person whose number it is.

Not here: how it is written to a file (`cli/privacy.py`), erasing it (`erasures.py`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.model import AccountId, MessageId
from gateway.store import partitions
from gateway.store.inbound import build_page
from gateway.store.message_views import format_time
from gateway.store.postgres import PLAN_EACH_TIME, UNLIMITED_S, Database
from gateway.store.queries import query
from gateway.store.reader import Reader, fetch_carrier_names

if TYPE_CHECKING:
    from gateway.store.postgres import Row

PAGE_ROWS = 500

_NAMES = query("fetch_account_names")
_MESSAGES = query("find_messages_of_number")
_EMAIL_CONTENT = query("fetch_email_content")
_INBOUND = query("fetch_inbound_of_number")
_PARTS = query("fetch_parts_of_number")
_UNMATCHED = query("fetch_unmatched_of_number")
_TOLD = query("fetch_told_of_number")
_DELIVERIES = query("fetch_deliveries_of_number")
_PORTED = query("find_ported")

Record = dict[str, Any]
"""`kind` says what it is; everything else is as the API writes it."""


async def export_number(
    database: Database, number: str, account_id: AccountId | None = None
) -> AsyncIterator[Record]:
    """Yield what is kept of a number (digits without a plus sign), of one account or of all.

    Messages with their events, receipts and emails, texts from the phone, receipts that match
    nothing, what is still to be told to customers, and the operator that the number was ported to.
    """
    async with database.acquire() as connection:
        accounts: dict[int, str] = {r["id"]: r["name"] for r in await connection.fetch(_NAMES)}
    carriers = await fetch_carrier_names(database)
    async for record in _export_messages(database, number, account_id, accounts):
        yield record
    async for record in _export_inbound(database, number, account_id, accounts, carriers):
        yield record
    async for row in _pages(database, _PARTS, number, account_id):
        yield _part(row, carriers)
    async for row in _pages(database, _UNMATCHED, number, account_id):
        yield _unmatched(row, carriers)
    async for row in _pages(database, _TOLD, number, account_id):
        yield _told(row, accounts)
    exact = re.compile(rb"(?<!\d)" + number.encode() + rb"(?!\d)")
    async for row in _pages(database, _DELIVERIES, number, account_id):
        if exact.search(row["body"]):
            yield _delivery(row, accounts)
    async with database.acquire() as connection:
        operator = await connection.fetchval(_PORTED, int(number))
    if operator is not None:
        yield {"kind": "ported_number", "number": number, "operator": str(operator)}


async def _export_messages(
    database: Database, number: str, account_id: AccountId | None, accounts: Mapping[int, str]
) -> AsyncIterator[Record]:
    reader = Reader(database)
    async with database.acquire() as connection:
        days = await partitions.fetch_days(connection)
    for day in days:
        async with database.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0")
            rows = await connection.fetch(
                _MESSAGES, *partitions.ids_of(day), number, account_id, timeout=UNLIMITED_S
            )
        for row in rows:
            owner, message_id = AccountId(row["account_id"]), MessageId(row["id"])
            view = await reader.fetch_message(owner, message_id)
            if view is None:
                continue  # its day was dropped meanwhile
            yield {
                "kind": "message",
                "account": accounts.get(owner, str(owner)),
                **msgspec.to_builtins(view),
                "callback_url": row["callback_url"] or "",
            }
            if view.fallback is not None:
                async with database.acquire() as connection:
                    content = await connection.fetchrow(_EMAIL_CONTENT, owner, message_id)
                if content is not None:
                    yield {"kind": "email", "message_id": view.id, **dict(content)}


async def _export_inbound(
    database: Database,
    number: str,
    account_id: AccountId | None,
    accounts: Mapping[int, str],
    carriers: Mapping[int, str],
) -> AsyncIterator[Record]:
    async for row in _pages(database, _INBOUND, number, account_id):
        (view,) = build_page([row], "", carriers).messages
        yield {
            "kind": "inbound_message",
            "account": accounts.get(row["account_id"], ""),
            **msgspec.to_builtins(view),
        }


async def _pages(
    database: Database, statement: str, number: str, account_id: AccountId | None
) -> AsyncIterator[Row]:
    """Yield the rows of a query that goes on behind an id, in the order of ids."""
    after = 0
    while True:
        async with database.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0")
            rows = await connection.fetch(
                statement, number, account_id, after, PAGE_ROWS, timeout=UNLIMITED_S
            )
        for row in rows:
            yield row
        if len(rows) < PAGE_ROWS:
            return
        after = rows[-1]["id"]


def _part(row: Row, carriers: Mapping[int, str]) -> Record:
    return {
        "kind": "inbound_part",
        "id": str(row["id"]),
        "message_id": "" if row["message_id"] is None else str(row["message_id"]),
        "from": row["sender"],
        "to": row["recipient"],
        "carrier": carriers.get(row["carrier_id"], ""),
        "received_at": format_time(row["received_at"]),
        "number": row["sequence"],
        "of": row["total"],
        "data": row["content"].hex(),
    }


def _unmatched(row: Row, carriers: Mapping[int, str]) -> Record:
    return {
        "kind": "unmatched_receipt",
        "carrier": carriers.get(row["carrier_id"], ""),
        "carrier_message_id": row["raw_id"] or row["carrier_message_id"],
        "to": row["recipient"],
        "received_at": format_time(row["received_at"]),
        "error": row["error"],
    }


def _told(row: Row, accounts: Mapping[int, str]) -> Record:
    return {
        "kind": "webhook",
        "account": accounts.get(row["account_id"], ""),
        "message_id": str(row["message_id"]),
        "url": row["url"],
        "given_up": row["dead"],
        "happened_at": format_time(row["created_at"]),
        "event": row["body"],
    }


def _delivery(row: Row, accounts: Mapping[int, str]) -> Record:
    return {
        "kind": "smpp_delivery",
        "account": accounts.get(row["account_id"], ""),
        "message_id": str(row["message_id"]),
        "created_at": format_time(row["created_at"]),
        "body": row["body"].hex(),
    }
