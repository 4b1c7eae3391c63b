"""What accounts read: one message, pages of them, their balance.

Every query names the account, so that nobody can read another's rows. Not here: building the
views (`message_views.py`), what operators read (`accounts.py`, `audit.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from gateway.credit.prices import format_micros
from gateway.ids import id_at
from gateway.lifecycle import STATUSES, Status
from gateway.model import Account, AccountId, MessageId
from gateway.reports import IneligibleReport
from gateway.store.inbound import build_page, fetch_inbound
from gateway.store.ineligible import sum_ineligible
from gateway.store.message_views import SCHEDULED, summary_view, whole_message_view
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
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
    from gateway.store.postgres import AnyConnection, Row

PAGE_MESSAGES_MAX = 500
SCAN_MESSAGES_MAX = 5_000
"""Messages that one page looks at for `to`, `tag` or `client_ref`."""
SCAN_STATUSES_MAX = 500
"""The same for a status, which takes a look at each message's events."""
ID_END = 2**63 - 1

_CARRIER_NAMES = query("fetch_carrier_names")
_CURRENCY = query("fetch_currency")
_MESSAGE = query("fetch_message")
_EVENTS = query("fetch_events")
_FALLBACK = query("fetch_fallback")
_SCAN_END = query("fetch_scan_end")
_PAGE = query("fetch_page")
_STATUS_SCAN_END = query("fetch_status_scan_end")
_STATUS_PAGE = query("fetch_status_page")
_KEYED = query("fetch_keyed_message")
_BALANCE = query("fetch_balance")
_SPENDABLE = query("fetch_spendable")
_OWNER = query("find_owner")


class _Filters(msgspec.Struct, frozen=True, kw_only=True):
    """A search as the queries take it."""

    before: int
    since: int
    to: str | None
    client_ref: str | None
    tag: str | None
    status: Status | None
    scheduled: bool | None
    limit: int

    @property
    def rare(self) -> bool:
        """Whether the status has an index of its own."""
        return self.status is not None and self.status > Status.DELIVERED

    @property
    def scan_max(self) -> int | None:
        """How many messages to look at; None when the first ones are the answer."""
        if self.status is not None:
            return SCAN_STATUSES_MAX
        if self.to is None and self.client_ref is None and self.tag is None:
            return None
        return SCAN_MESSAGES_MAX


class Reader:
    """Answers `gateway.api.ports.Reading` from the database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._names: dict[int, str] = {}
        self._currencies: dict[AccountId, str] = {}

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

        `next_cursor` is the id that the next page begins below. A filter looks at a bounded
        number of messages a page, so a page can be short or empty and still have a cursor.
        """
        filters = _filters_of(search)
        if filters is None:
            return Page(messages=[])
        now = self._clock()
        async with self._database.acquire() as connection:
            scan_end = await self._scan_end(connection, account_id, filters)
            bounded = msgspec.structs.replace(filters, since=scan_end or filters.since)
            rows = await _fetch_page(connection, account_id, bounded, now)
            full = len(rows) == filters.limit
            next_cursor = (rows[-1]["id"] if full else scan_end) or ""
            if filters.client_ref is not None:
                rows = await _with_keyed(connection, account_id, search, bounded, rows, now)
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
            next_cursor=str(next_cursor),
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

    async def _scan_end(
        self, connection: AnyConnection, account_id: AccountId, filters: _Filters
    ) -> int | None:
        """Return the id at which this page stops looking; None when it can look at all."""
        if filters.scan_max is None:
            return None
        bounds = (account_id, filters.before, filters.since, filters.scan_max - 1)
        if filters.rare:
            end = await connection.fetchval(_STATUS_SCAN_END, *bounds, filters.status)
        else:
            end = await connection.fetchval(_SCAN_END, *bounds)
        assert end is None or isinstance(end, int)
        return end

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


def _filters_of(search: Search) -> _Filters | None:
    """Translate a search; None when nothing can match it."""
    texts = (search.to, search.client_ref, search.tag)
    if any(not _storable(text) for text in texts):
        return None
    scheduled = None
    if search.status == SCHEDULED:
        status: Status | None = Status.ACCEPTED
        scheduled = True
    elif search.status:
        status = STATUSES.get(search.status)
        if status is None:
            return None
        if status is Status.ACCEPTED:
            scheduled = False
    else:
        status = None
    before = ID_END if search.before is None else search.before
    if search.accepted_until is not None:
        before = min(before, id_at(search.accepted_until))
    since = 0 if search.accepted_from is None else id_at(search.accepted_from)
    if not since < before <= ID_END:
        return None
    return _Filters(
        before=before,
        since=since,
        to=search.to or None,
        client_ref=search.client_ref or None,
        tag=search.tag or None,
        status=status,
        scheduled=scheduled,
        limit=max(1, min(search.limit, PAGE_MESSAGES_MAX)),
    )


def _storable(text: str) -> bool:
    """Say whether PostgreSQL could hold this text at all."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


async def _fetch_page(
    connection: AnyConnection, account_id: AccountId, filters: _Filters, now: float
) -> list[Row]:
    f = filters
    texts = (f.to, f.client_ref, f.tag, f.status)
    if f.rare:
        return await connection.fetch(_STATUS_PAGE, account_id, f.before, f.since, *texts, f.limit)
    return await connection.fetch(
        _PAGE, account_id, f.before, f.since, *texts, f.scheduled, now, f.limit
    )


async def _with_keyed(
    connection: AnyConnection,
    account_id: AccountId,
    search: Search,
    looked_at: _Filters,
    rows: list[Row],
    now: float,
) -> list[Row]:
    """Put the message that holds the client_ref now on the first page, however old it is.

    That is what nearly everyone asks for, and the key that makes client_ref idempotent finds it
    at once, without an index of its own. Later pages leave it out, as it was shown.
    """
    keyed = await connection.fetchval(_KEYED, account_id, f"r:{search.client_ref}")
    if keyed is None:
        return rows
    if search.before is not None:
        return [row for row in rows if row["id"] != keyed]
    wanted = _filters_of(search)
    if wanted is None or not wanted.since <= keyed < min(looked_at.since, wanted.before):
        return rows  # looked at already, or outside of the search
    only_it = msgspec.structs.replace(wanted, since=keyed, before=keyed + 1, limit=1)
    return rows + await _fetch_page(connection, account_id, only_it, now)
