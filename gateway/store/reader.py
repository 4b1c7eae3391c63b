"""What accounts read: one message, pages of them, their balance.

Every query names the account, so that nobody can read another's rows. Not here: building the
views (`message_views.py`), how a search finds its messages (`search.py`), what operators read
(`accounts.py`, `audit.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

from gateway.credit.prices import format_micros
from gateway.lifecycle import Status
from gateway.model import Account, AccountId, MessageId
from gateway.reports import IneligibleReport
from gateway.store.inbound import build_page, fetch_inbound
from gateway.store.ineligible import sum_ineligible
from gateway.store.message_views import summary_view, whole_message_view
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
from gateway.store.recipient_index import DaysIndexed
from gateway.store.search import ID_END, fetch_found
from gateway.store.statements import fetch_statement
from gateway.views import (
    Balance,
    InboundPage,
    InboundSearch,
    MessageView,
    Page,
    Search,
    Statement,
)

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

_CARRIER_NAMES = query("fetch_carrier_names")
_CURRENCY = query("fetch_currency")
_MESSAGE = query("fetch_message")
_EVENTS = query("fetch_events")
_FALLBACK = query("fetch_fallback")
_BALANCE = query("fetch_balance")
_SPENDABLE = query("fetch_spendable")
_OWNER = query("find_owner")


class Reader:
    """Answers `gateway.api.ports.Reading` from the database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._names: dict[int, str] = {}
        self._currencies: dict[AccountId, str] = {}
        self._days_indexed = DaysIndexed()

    @unavailable_as_503()
    async def fetch_message(
        self, account_id: AccountId, message_id: MessageId
    ) -> MessageView | None:
        """Return a message with its parts and events; None when the account has no such one."""
        if not 0 < message_id <= ID_END:
            return None
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(_MESSAGE, account_id, message_id)
            if row is None:
                return None
            events = await connection.fetch(_EVENTS, account_id, message_id)
            fallback = await connection.fetchrow(_FALLBACK, account_id, message_id)
            used = {row["carrier_id"]} | {event["carrier_id"] for event in events}
            await self._learn_names(connection, used)
            currency = await self._currency(connection, account_id)
        return whole_message_view(
            row,
            events,
            now=self._clock(),
            currency=currency,
            names=self._names,
            fallback=fallback,
        )

    @unavailable_as_503()
    async def search_messages(self, account_id: AccountId, search: Search) -> Page:
        """Return a page of messages, newest first.

        `next_cursor` is the id that the next page begins below. A page looks at a bounded number
        of messages, so one with filters can be short or empty and still have a cursor.
        """
        now = self._clock()
        async with self._database.acquire() as connection:
            rows, next_before = await fetch_found(
                connection, account_id, search, self._days_indexed, now
            )
            await self._learn_names(connection, {row["carrier_id"] for row in rows})
            currency = await self._currency(connection, account_id)
        return Page(
            messages=[
                summary_view(
                    row,
                    Status(row["status"]),
                    row["carrier_id"],
                    now=now,
                    currency=currency,
                    names=self._names,
                )
                for row in rows
            ],
            next_cursor=str(next_before or ""),
        )

    @unavailable_as_503()
    async def search_inbound(self, account_id: AccountId, search: InboundSearch) -> InboundPage:
        """Return a page of what phones sent to the account's numbers; as `search_messages`."""
        async with self._database.acquire() as connection:
            rows, next_cursor = await fetch_inbound(connection, account_id, search)
            await self._learn_names(connection, {row["carrier_id"] for row in rows})
        return build_page(rows, next_cursor, self._names)

    @unavailable_as_503()
    async def fetch_balance(self, account: Account) -> Balance:
        """Return the account's money as it is committed now."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(_BALANCE, account.id)
        assert row is not None, f"account {account.name} has no balance"
        available, deposited = row["available_micros"], row["deposited_micros"]
        posted, refunded = row["posted_micros"], row["refunded_micros"]
        return Balance(
            account=account.name,
            currency=account.currency,
            available=format_micros(available),
            spendable=format_micros(available - row["floor_micros"]),
            reserved=format_micros(deposited - (posted - refunded) - available),
            posted=format_micros(posted),
            refunded=format_micros(refunded),
            deposited=format_micros(deposited),
            floor=format_micros(row["floor_micros"]),
        )

    @unavailable_as_503()
    async def fetch_spendable(self, account_id: AccountId) -> int:
        """Return the micro-units that the account could spend now."""
        async with self._database.acquire() as connection:
            spendable: int = await connection.fetchval(_SPENDABLE, account_id)
        return spendable

    async def fetch_statement(
        self, account: Account, first: date, last: date, by: str
    ) -> Statement:
        """Return what the account used from one day to another; see `fetch_usage`."""
        return await fetch_statement(self._database, account, first, last, by)

    async def fetch_ineligible(
        self, account: Account, first: date, last: date, by: str
    ) -> IneligibleReport:
        """Return how many of the account's messages were refused for their number."""
        return await sum_ineligible(self._database, account, first, last, by)

    async def _learn_names(self, connection: AnyConnection, used: set[int | None]) -> None:
        """Read the carriers' names again when one is met that is not known yet."""
        if used - {None} - self._names.keys():
            self._names = {row["id"]: row["name"] for row in await connection.fetch(_CARRIER_NAMES)}

    async def _currency(self, connection: AnyConnection, account_id: AccountId) -> str:
        """Return the account's currency, which never changes."""
        if account_id not in self._currencies:
            self._currencies[account_id] = await connection.fetchval(_CURRENCY, account_id) or ""
        return self._currencies[account_id]


async def fetch_carrier_names(database: Database) -> dict[int, str]:
    """Return every carrier that was ever configured, by its number; for operators."""
    async with database.acquire() as connection:
        return {row["id"]: row["name"] for row in await connection.fetch(_CARRIER_NAMES)}


async def find_owner(database: Database, message_id: MessageId) -> AccountId | None:
    """Return the account that a message belongs to; for operators, who may read any."""
    if not 0 < message_id <= ID_END:
        return None
    async with database.acquire() as connection:
        owner = await connection.fetchval(_OWNER, message_id)
    return None if owner is None else AccountId(owner)
