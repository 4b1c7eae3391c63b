"""Pages of a search: which way leads to its messages, and how many of them one page looks at.

Each way is bounded, so a page is short where little is found, and says where the next one begins.

Not here: what is shown of a message (`message_views.py`), who asks (`reader.py`).
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

import msgspec

from gateway.ids import id_at
from gateway.lifecycle import STATUSES, Status
from gateway.model import AccountId
from gateway.store.message_views import SCHEDULED
from gateway.store.partitions import ids_of
from gateway.store.postgres import going_by_indexes
from gateway.store.queries import query
from gateway.store.recipient_index import DayIndexed, DaysIndexed
from gateway.views import Search

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Row

PAGE_MESSAGES_MAX = 500
SCAN_MESSAGES_MAX = 2_000
"""Messages that one page looks at for `to`, `tag` or `client_ref`: 2 ms, 4 from a cold disk."""
SCAN_STATES_MAX = 400
"""The same for a status, which takes a look at each message's events."""
SCAN_RARE_MAX = 200
"""The same along the index of rare statuses, when more is asked: each lies somewhere else on the
disk. Otherwise nearly each is an answer, and a page looks at no more than it may hold."""
SCAN_RECIPIENT_MAX = 200
"""The same for what else is asked of a number's messages."""
STRETCHES_MAX: Final = 2
"""Ways of one page: as a rule the days that are open, then all others at once."""
ID_END = 2**63 - 1

_SCAN_END = query("fetch_scan_end")
_STATUS_SCAN_END = query("fetch_status_scan_end")
_RECIPIENT_SCAN_END = query("fetch_recipient_scan_end")
_KEYED = query("fetch_keyed_message")


class Filters(msgspec.Struct, frozen=True, kw_only=True):
    """A search as the queries take it: ids from `since` to below `before`."""

    before: int
    since: int
    to: str | None
    client_ref: str | None
    tag: str | None
    status: Status | None
    scheduled: bool | None
    limit: int

    @property
    def by_texts(self) -> bool:
        """Whether something is asked that only a message's row says."""
        return not (self.to is None and self.client_ref is None and self.tag is None)


class Stretch(NamedTuple):
    """Ids from `since` to below `before`, of days that all have an index of recipients or not."""

    since: int
    before: int
    indexed: bool


class Found(NamedTuple):
    """A page, and the id that the next one begins below; None when there is none."""

    rows: list[Row]
    next_before: int | None


class Way(enum.Enum):
    """How a page comes to its messages."""

    NEWEST = enum.auto()
    """One after the other: each is an answer."""
    SCAN = enum.auto()
    """All of a range, for what their rows say."""
    STATES = enum.auto()
    """All of a range with their events."""
    RARE = enum.auto()
    """Along the index of rare final statuses."""
    RECIPIENT = enum.auto()
    """Along the indexes of recipients."""


_PAGES = {
    Way.NEWEST: query("fetch_page"),
    Way.SCAN: query("fetch_scanned_page"),
    Way.STATES: query("fetch_state_page"),
    Way.RARE: query("fetch_status_page"),
    Way.RECIPIENT: query("fetch_recipient_page"),
}


# ── deciding ─────────────────────────────────────────────────────────────────────────────────


def choose_way(filters: Filters, indexed: bool) -> Way:
    if filters.to is not None and indexed:
        return Way.RECIPIENT
    if filters.status is not None:
        return Way.RARE if filters.status > Status.DELIVERED else Way.STATES
    return Way.SCAN if filters.by_texts else Way.NEWEST


def cut(since: int, before: int, days: Sequence[DayIndexed]) -> list[Stretch]:
    """Cut a range of ids where days with and without an index meet; newest first.

    `days` are those that are kept, oldest first. What lies beyond the newest, or between two,
    belongs to the day before it, and what lies below the oldest to that.
    """
    cuts: list[Stretch] = []
    end = before
    for day in reversed(days):
        first = max(since, ids_of(day.day)[0])
        if first >= end:
            continue
        if cuts and cuts[-1].indexed == day.indexed:
            cuts[-1] = cuts[-1]._replace(since=first)
        else:
            cuts.append(Stretch(first, end, day.indexed))
        end = first
    if cuts:
        cuts[-1] = cuts[-1]._replace(since=since)
    return cuts or [Stretch(since, before, False)]


def filters_of(search: Search) -> Filters | None:
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
    return Filters(
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


# ── asking ───────────────────────────────────────────────────────────────────────────────────


async def fetch_found(
    connection: AnyConnection, account_id: AccountId, search: Search, days: DaysIndexed, now: float
) -> Found:
    """Return a page, newest first; `now` (wall clock) says what is scheduled."""
    filters = filters_of(search)
    if filters is None:
        return Found([], None)
    cuts = [Stretch(filters.since, filters.before, False)]
    if filters.to is not None:
        cuts = cut(filters.since, filters.before, await days.fetch(connection))
    found = await _follow(connection, account_id, filters, cuts, now)
    if filters.client_ref is None:
        return found
    looked_to = filters.since if found.next_before is None else found.next_before
    rows = await _with_keyed(connection, account_id, search, filters, looked_to, found.rows, now)
    return found._replace(rows=rows)


async def _follow(
    connection: AnyConnection,
    account_id: AccountId,
    filters: Filters,
    cuts: Sequence[Stretch],
    now: float,
) -> Found:
    rows: list[Row] = []
    for since, before, indexed in cuts[:STRETCHES_MAX]:
        part = msgspec.structs.replace(
            filters, since=since, before=before, limit=filters.limit - len(rows)
        )
        way = choose_way(part, indexed)
        async with _planned_for(connection, way):
            end = await _fetch_end(connection, account_id, part, way)
            if end is not None:
                part = msgspec.structs.replace(part, since=end)
            rows += await _fetch_rows(connection, account_id, part, way, now)
        if len(rows) == filters.limit:
            return Found(rows, rows[-1]["id"])
        if end is not None:
            return Found(rows, end)
    left = cuts[STRETCHES_MAX:]
    return Found(rows, left[0].before if left else None)


def _planned_for(connection: AnyConnection, way: Way) -> AbstractAsyncContextManager[None]:
    """Have what is planned within go along the index of rare statuses, where that is the way. By
    bitmaps, as a day looks best before its first vacuum, it would read rows of events."""
    return going_by_indexes(connection, bitmaps=False) if way is Way.RARE else nullcontext()


async def _fetch_end(
    connection: AnyConnection, account_id: AccountId, filters: Filters, way: Way
) -> int | None:
    """Return the id at which this page stops looking; None when it can look at all."""
    f = filters
    more: tuple[object, ...] = ()
    match way:
        case Way.NEWEST:
            return None
        case Way.SCAN:
            statement, look_max = _SCAN_END, SCAN_MESSAGES_MAX
        case Way.STATES:
            statement, look_max = _SCAN_END, SCAN_STATES_MAX
        case Way.RARE:
            statement, more = _STATUS_SCAN_END, (f.status,)
            look_max = SCAN_RARE_MAX if f.by_texts else f.limit
        case Way.RECIPIENT:
            if f.status is None and f.client_ref is None and f.tag is None:
                return None  # each is an answer
            statement, look_max, more = _RECIPIENT_SCAN_END, SCAN_RECIPIENT_MAX, (f.to,)
        case _:
            assert_never(way)
    end = await connection.fetchval(statement, account_id, f.before, f.since, look_max - 1, *more)
    assert end is None or isinstance(end, int)
    return end


async def _fetch_rows(
    connection: AnyConnection, account_id: AccountId, filters: Filters, way: Way, now: float
) -> list[Row]:
    f = filters
    state: tuple[object, ...] = (f.status, f.scheduled, now)
    match way:
        case Way.SCAN:
            state = ()
        case Way.RARE:
            state = (f.status,)
    return await connection.fetch(
        _PAGES[way], account_id, f.before, f.since, f.to, f.client_ref, f.tag, *state, f.limit
    )


async def _with_keyed(
    connection: AnyConnection,
    account_id: AccountId,
    search: Search,
    wanted: Filters,
    looked_to: int,
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
    if not wanted.since <= keyed < min(looked_to, wanted.before):
        return rows  # looked at already, or outside of the search
    only_it = msgspec.structs.replace(wanted, since=keyed, before=keyed + 1, limit=1)
    return rows + await _fetch_rows(connection, account_id, only_it, Way.NEWEST, now)
