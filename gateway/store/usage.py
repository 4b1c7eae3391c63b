"""What accounts used, by day, country, operator and tag: counted up behind, read as of now.

Messages are added up minutes after their acceptance (`count_up`), a few rows a day; a statement
reads those, and the few messages that are not counted yet as they are. What is voided and refunded
is kept by the outcome writer in the same transaction (`money.py`). So a statement is exact at any
moment, and costs the same at ten messages and at ten millions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.errors import StoreUnavailable
from gateway.ids import accepted_at, id_at
from gateway.message import Message
from gateway.model import AccountId
from gateway.store import partitions
from gateway.store.postgres import PLAN_EACH_TIME, Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

LAG_S = 60.0
"""How old a message is at least when it is counted. Until then its commit may still be under way
(`commit_timeout_s` and a clock that is behind): an id that came later would never be counted."""
SPAN_MIN_S = 1.0
SPAN_MAX_S = 86_400.0
ROWS_LOW = 20_000
ROWS_HIGH = 200_000
"""Messages that one transaction counts, about 1 µs each: its span of time is widened or narrowed to
stay between these two. The mark is locked meanwhile, which only a replacement waits for."""
LINES_MAX = 10_000
DIMENSIONS = ("day", "country", "operator", "tag")

_LOCK_MARK = query("lock_usage_mark")
_NEWEST = query("fetch_newest_message")
_COUNT = query("count_usage")
_RECOUNT = query("recount_usage")
_VOLUMES = query("fetch_volumes")
_STATEMENT = query("fetch_statement")
_DEPOSITED = query("fetch_deposited")
_FORGET = (query("forget_usage"), query("forget_returned"))


class UsageLine(msgspec.Struct, frozen=True):
    """What an account used on one day, in one country, with one operator, or with one tag."""

    key: str
    """The day as 2026-01-31, the country, the operator or the tag; "" for none."""
    messages: int
    segments: int
    priced_micros: int
    voided_micros: int
    refunded_micros: int

    @property
    def net_micros(self) -> int:
        """What it comes to: spent, or still reserved."""
        return self.priced_micros - self.voided_micros - self.refunded_micros


class AccountUsage(msgspec.Struct, frozen=True):
    """An account's statement."""

    lines: list[UsageLine]
    complete: bool
    """False when there are more than LINES_MAX lines."""
    added_micros: int
    """Deposited within these days."""
    taken_micros: int
    """Taken back within these days; 0 or less."""


class Counter:
    """Counts messages up, span by span; nodes may do it together."""

    def __init__(self, database: Database, *, lag_s: float = LAG_S) -> None:
        self._database = database
        self._lag_s = lag_s
        self._span_s = SPAN_MIN_S

    async def count_up(self, now: float, believed: float = math.inf) -> int:
        """Count everything that is old enough; return how many spans that took.

        Past `believed` the clock may be ahead: no further than to the newest message, as what is
        accepted after it was set back would never be counted.

        Raises StoreUnavailable, also when not even the shortest span can be counted in time.
        """
        spans = 0
        while True:
            try:
                if not await self._count_span(await self._until(now - self._lag_s, believed)):
                    return spans
                spans += 1
            except StoreUnavailable as error:
                # A quiet time let the span grow, and then came more than can be counted at once.
                too_long = isinstance(error.__cause__, asyncpg.QueryCanceledError | TimeoutError)
                if not too_long or self._span_s == SPAN_MIN_S:
                    raise
                self._span_s = max(self._span_s / 16, SPAN_MIN_S)

    @unavailable_as_503()
    async def _until(self, until: float, believed: float) -> float:
        if until <= believed:
            return until
        async with self._database.acquire() as connection:
            newest: int | None = await connection.fetchval(_NEWEST)
        return min(until, max(believed, accepted_at(newest or 0)))

    @unavailable_as_503()
    async def _count_span(self, until: float) -> bool:
        """Count the next span; False when there is nothing left to count."""
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(PLAN_EACH_TIME)
            mark = await connection.fetchval(_LOCK_MARK)
            days = await partitions.fetch_days(connection)
            if not days:
                return False
            first_id = max(mark, partitions.ids_of(days[0])[0])
            start = accepted_at(first_id)
            day = datetime.fromtimestamp(start, UTC).date()
            end = min(start + self._span_s, until, partitions.midnight(day + timedelta(days=1)))
            end_id = id_at(end)
            if end_id <= first_id:
                return False
            rows = await connection.fetchval(_COUNT, first_id, end_id, day)
            self._span_s = _adapt(self._span_s, rows)
        return end < until


async def recount(connection: AnyConnection, old: Message, new: Message) -> None:
    """Note within a transaction that a message was replaced, if it was counted already."""
    mark = await connection.fetchval(_LOCK_MARK)
    await connection.execute(
        _RECOUNT,
        *(old.account_id, old.id, old.country, old.operator, old.tag, mark),
        *(new.segments - old.segments, new.price_micros - old.price_micros),
    )


@unavailable_as_503()
async def fetch_volumes(database: Database, since: date) -> Mapping[AccountId, int]:
    """Return the segments accepted of each account since a day began."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_VOLUMES, since, id_at(partitions.midnight(since)))
    return {AccountId(row["account_id"]): row["segments"] for row in rows}


@unavailable_as_503()
async def fetch_usage(
    database: Database, account_id: AccountId, first: date, last: date, by: str
) -> AccountUsage:
    """Return what an account used from one day to another, both included; `by` is one of
    DIMENSIONS.

    Tags are known for as long as messages are kept.
    """
    assert by in DIMENSIONS
    after = last + timedelta(days=1)
    ids = id_at(partitions.midnight(first)), id_at(partitions.midnight(after))
    async with (
        database.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(PLAN_EACH_TIME)
        rows = await connection.fetch(_STATEMENT, account_id, first, last, *ids, by, LINES_MAX + 1)
        deposited = await connection.fetchrow(
            _DEPOSITED, account_id, _moment(first), _moment(after)
        )
    assert deposited is not None
    return AccountUsage(
        [UsageLine(*row) for row in rows[:LINES_MAX]],
        len(rows) <= LINES_MAX,
        deposited["added"],
        deposited["taken"],
    )


@unavailable_as_503()
async def forget_usage(database: Database, before: date) -> None:
    """Forget what was used before a day."""
    async with database.acquire() as connection:
        for statement in _FORGET:
            await connection.execute(statement, before)


def total(lines: Sequence[UsageLine]) -> UsageLine:
    """Return the sum of all lines."""
    return UsageLine(
        "",
        sum(line.messages for line in lines),
        sum(line.segments for line in lines),
        sum(line.priced_micros for line in lines),
        sum(line.voided_micros for line in lines),
        sum(line.refunded_micros for line in lines),
    )


def _moment(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _adapt(span_s: float, rows: int) -> float:
    if rows < ROWS_LOW:
        return min(span_s * 2, SPAN_MAX_S)
    if rows > ROWS_HIGH:
        return max(span_s / 2, SPAN_MIN_S)
    return span_s
