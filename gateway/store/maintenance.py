"""What is done to the store now and then: partitions, forgetting, sweeps, marks.

Deletes go in bounded steps, so that no transaction is long. Who calls these and when is
`gateway/app.py`'s.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from gateway.ids import id_at
from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, Lane, MessageId
from gateway.outcomes import Party
from gateway.references import Key
from gateway.settling import settle_segment
from gateway.store import partitions, texts
from gateway.store.account_texts import erase_account_texts
from gateway.store.partitions import Dropped
from gateway.store.postgres import PLAN_EACH_TIME, Database, unavailable_as_503
from gateway.store.queries import query
from gateway.store.recipient_index import index_recipients
from gateway.store.texts import TextsErased

if TYPE_CHECKING:
    from gateway.store.postgres import Row

DELETE_ROWS_MAX = 10_000
"""Rows a statement: some 20 ms, so that autovacuum and writers never wait long."""
SWEEP_SPAN_MIN_S = 1.0
SWEEP_SPAN_MAX_S = 86_400.0
SWEEP_SEEN_LOW = 20_000
SWEEP_SEEN_HIGH = 200_000
"""Messages that one query of a sweep looks at, about 1 µs each: its span of time is widened or
narrowed to stay between these two, for a quiet year and for a rush hour."""
SWEEP_SPANS_MAX = 50
"""Queries a call, so that a long sweep can be stopped between two."""
DAY_S = 86_400.0
CLOCKS_AGREE_S = 5.0
"""Nodes that share a mark differ by less; a mark that lies further ahead is of a clock that was."""
LOOK_BACK_S = 3_600.0
"""What a sweep sees again after the clock was put back: a node may have been away since then."""

_FORGET_IDEMPOTENCY = query("forget_idempotency")
_FORGET_PARKED = query("forget_parked")
_FORGET_INBOUND = query("forget_inbound")
_FORGET_INBOUND_PARTS = query("forget_inbound_parts")
_FORGET_DEAD = query("forget_dead_notices")
_FORGET_DELIVERIES = query("forget_deliveries")
_FORGET_FALLBACKS = query("forget_fallbacks")
_FORGET_EMAIL_CONTENTS = query("forget_email_contents")
_GIVE_UP_PARKED = query("give_up_parked")
_FIND_UNANSWERED = query("find_unanswered")
_FETCH_UNANSWERED = query("fetch_unanswered")
_SAVE_QUEUE_MARKS = query("save_queue_marks")
_LOAD_QUEUE_MARKS = query("load_queue_marks")
_SAVE_SWEEP_MARK = query("save_sweep_mark")
_LOAD_SWEEP_MARK = query("load_sweep_mark")


class Unanswered(msgspec.Struct, frozen=True):
    """A message whose carrier took it and never said what became of it."""

    message_id: MessageId
    account_id: AccountId
    states: list[Status]
    """One a segment; those that are SUBMITTED have no receipt."""
    carriers: list[CarrierId | None]
    """Who took each segment."""
    taken: dict[Key, list[int]]
    """By the ids of those that took them: the indexes of segments."""
    submitted_at: float
    party: Party


class Swept(msgspec.Struct, frozen=True):
    """One step of a sweep; the next one begins at `seen_to`."""

    found: list[Unanswered]
    seen_to: float
    complete: bool
    """Whether everything that is due was looked at."""


class Maintenance:
    """The store's housekeeping, on connections of the readers' pool."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._span_s = 60.0

    # ── partitions ───────────────────────────────────────────────────────────────────────────

    async def ensure_partitions(self, now: float, days_ahead: int = 7) -> list[date]:
        """See `partitions.ensure_partitions`."""
        return await partitions.ensure_partitions(self._database, now, days_ahead)

    async def drop_partitions(self, now: float, retention_days: int) -> Dropped:
        """See `partitions.drop_partitions`."""
        return await partitions.drop_partitions(self._database, now, retention_days)

    async def index_recipients(self, now: float) -> list[date]:
        """See `recipient_index.index_recipients`."""
        return await index_recipients(self._database, now)

    async def erase_texts(self, now: float, days: int) -> TextsErased:
        """See `texts.erase_texts`."""
        return await texts.erase_texts(self._database, now, days)

    async def erase_account_texts(self, now: float) -> dict[AccountId, int]:
        """See `account_texts.erase_account_texts`."""
        return await erase_account_texts(self._database, now)

    # ── forgetting ───────────────────────────────────────────────────────────────────────────

    async def forget_idempotency(self, now: float, seconds: float) -> int:
        """Free the keys of messages older than `seconds`; return how many."""
        return await self._delete(_FORGET_IDEMPOTENCY, id_at(now - seconds))

    async def forget_remains(self, now: float, retention_days: int) -> int:
        """Delete what is kept outside of the partitions, by the same retention; return how much.

        That is receipts that were given up, messages that were received, notices that no endpoint
        took, deliveries that no receiver fetched, and email fallbacks.
        """
        before = now - retention_days * DAY_S
        return (
            await self._delete(_FORGET_PARKED, before)
            + await self._delete(_FORGET_INBOUND, id_at(before))
            + await self._delete(_FORGET_INBOUND_PARTS, id_at(before))
            + await self._delete(_FORGET_DEAD, before)
            + await self._delete(_FORGET_DELIVERIES, id_at(before))
            + await self._delete(_FORGET_FALLBACKS, id_at(before))
        )

    async def forget_email_contents(self, now: float, unused_s: float) -> int:
        """Delete what emails said, `unused_s` after their day; return how much."""
        return await self._delete(_FORGET_EMAIL_CONTENTS, now - unused_s)

    @unavailable_as_503()
    async def give_up_parked(self, now: float, parked_s: float) -> int:
        """Set aside the receipts that have waited `parked_s` for their submission; return the
        number. They stay in the table for people to look at."""
        async with self._database.acquire() as connection:
            done = await connection.execute(_GIVE_UP_PARKED, now - parked_s)
        return _affected(done)

    async def _delete(self, statement: str, before: float) -> int:
        total = 0
        while True:
            async with self._database.acquire() as connection, connection.transaction():
                await connection.execute(PLAN_EACH_TIME)
                deleted = _affected(await connection.execute(statement, before, DELETE_ROWS_MAX))
            total += deleted
            if deleted < DELETE_ROWS_MAX:
                return total

    # ── receipts that never came ─────────────────────────────────────────────────────────────

    async def find_unanswered(
        self, now: float, timeout_s: float, limit: int, seen_to: float
    ) -> Swept:
        """Find messages that were closed since `seen_to`, at least `timeout_s` ago, and have no
        final status; at most `limit`, the longest waiting first.

        What is found must be committed as final before the next call, which goes on from the
        result's `seen_to`, until one is complete. Keep that value with `save_sweep_mark`; 0.0
        begins at the oldest day. A `seen_to` that can't have been reached yet was kept before the
        clock was put back: what has happened since is looked for before it.
        """
        until = now - timeout_s
        if seen_to > until + CLOCKS_AGREE_S:
            seen_to = until - LOOK_BACK_S
        start = max(seen_to, await self._first_second())
        for _ in range(SWEEP_SPANS_MAX):
            if start >= until:
                return Swept([], max(start, seen_to), complete=True)
            end = min(start + self._span_s, until)
            found, closed_at = await self._fetch_span(start, end, limit)
            if len(found) == limit:
                return Swept(found, closed_at, complete=False)
            if found:
                return Swept(found, end, complete=end >= until)
            start = end
        return Swept([], start, complete=False)

    @unavailable_as_503()
    async def _fetch_span(
        self, start: float, end: float, limit: int
    ) -> tuple[list[Unanswered], float]:
        """Return what one span holds, and when the last one of it was closed."""
        async with self._database.acquire() as connection:
            async with connection.transaction(readonly=True):
                await connection.execute(PLAN_EACH_TIME)
                keys = await connection.fetch(_FIND_UNANSWERED, start, end, limit)
            self._span_s = _adapt_span(self._span_s, keys[0]["seen"])
            if keys[0]["message_id"] is None:
                return [], start
            rows = await connection.fetch(
                _FETCH_UNANSWERED,
                [key["account_id"] for key in keys],
                [key["message_id"] for key in keys],
            )
        by_message: dict[int, list[Row]] = {}
        for row in rows:
            by_message.setdefault(row["id"], []).append(row)
        found = [_unanswered(by_message[key["message_id"]]) for key in keys]
        return found, keys[-1]["closed_at"]

    async def _first_second(self) -> float:
        """Return the beginning of the oldest day that is kept."""
        async with self._database.acquire() as connection:
            days = await partitions.fetch_days(connection)
        return partitions.midnight(days[0]) if days else 0.0

    # ── marks ────────────────────────────────────────────────────────────────────────────────

    async def save_queue_marks(
        self,
        marks: Mapping[tuple[CarrierId, Lane], int],
        claim: tuple[int, int] | None = None,
    ) -> None:
        """Keep, for each queue, the id below which every message is closed; nothing once the node's
        `claim`, its number and epoch, has ended."""
        async with self._database.acquire() as connection:
            await connection.execute(
                _SAVE_QUEUE_MARKS,
                [carrier for carrier, _ in marks],
                [lane for _, lane in marks],
                list(marks.values()),
                *(claim or (None, None)),
            )

    async def load_queue_marks(self) -> dict[tuple[CarrierId, Lane], int]:
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_LOAD_QUEUE_MARKS)
        return {(CarrierId(row["carrier_id"]), Lane(row["lane"])): row["open_from"] for row in rows}

    async def save_sweep_mark(self, name: str, seen_to: float) -> None:
        """Keep how far a sweep has come."""
        async with self._database.acquire() as connection:
            await connection.execute(_SAVE_SWEEP_MARK, name, seen_to)

    async def load_sweep_mark(self, name: str) -> float:
        """Return how far a sweep had come; 0.0 when it never ran."""
        async with self._database.acquire() as connection:
            return float(await connection.fetchval(_LOAD_SWEEP_MARK, name) or 0.0)


def _adapt_span(span_s: float, seen: int) -> float:
    if seen < SWEEP_SEEN_LOW:
        return min(span_s * 2, SWEEP_SPAN_MAX_S)
    if seen > SWEEP_SEEN_HIGH:
        return max(span_s / 2, SWEEP_SPAN_MIN_S)
    return span_s


def _unanswered(rows: list[Row]) -> Unanswered:
    """Fold a message's events into what is known of each of its segments."""
    first = rows[0]
    states = [Status.ACCEPTED] * first["segments"]
    carriers: list[CarrierId | None] = [None] * first["segments"]
    taken: dict[Key, list[int]] = {}
    submitted_at = 0.0
    for row in rows:
        index = row["segment"] - 1
        states[index] = settle_segment(states[index], Status(row["segment_status"]))
        if row["kind"] == EventKind.SUBMITTED and row["carrier_message_id"] is not None:
            submitted_at = row["at"]
            key = (CarrierId(row["carrier_id"]), row["carrier_message_id"])
            insort(taken.setdefault(key, []), index)
        if states[index] is Status.SUBMITTED and row["carrier_id"] is not None:
            carriers[index] = CarrierId(row["carrier_id"])
    return Unanswered(
        MessageId(first["id"]),
        AccountId(first["account_id"]),
        states,
        carriers,
        taken,
        submitted_at,
        Party(
            first["sender"],
            first["recipient"],
            first["client_ref"] or "",
            first["tag"] or "",
            first["callback_url"] or "",
            first["segments"],
            first["registered_delivery"] or 0,
            first["group_id"],
            first["tlvs"] or b"",
        ),
    )


def _affected(status: str) -> int:
    """Return the number of rows in a command's tag: "DELETE 42"."""
    return int(status.rsplit(" ", 1)[1])
