"""Reads what is still open: the backlog at a start, a shelf's next page, what falls due; and
writes what replaces one of them.

Not here: which of it is taken into memory (`gateway/dispatch.py`, `gateway/shelves.py`).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.arrived import Found
from gateway.errors import Rejected
from gateway.jobs import Job, new_job, rebuild_job
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Lane, MessageId
from gateway.outcomes import Event, ParkedReceipt, Party
from gateway.receipts import PARKED_KEYS_MAX
from gateway.references import Key
from gateway.settling import settle_segment
from gateway.shelves import Progress, Wanted
from gateway.store.postgres import UNLIMITED_S, Database, going_by_indexes
from gateway.store.queries import query
from gateway.store.rows import read_event, read_message
from gateway.store.unmatched import read_parked
from gateway.store.usage import recount

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

Rows = list[asyncpg.Record]

AT_ONCE_MAX = 1_000
"""Messages that are brought back in one go, 3 ms of the loop's time; it turns in between."""
PROMPT_S = 60
"""What is submitted within so long after its acceptance counts as submitted in the order of ids."""

# OFFSET 0 keeps this a look at the index for each message. As a join, PostgreSQL plans it over all
# events of a partition that it has not analysed yet: 400 messages of a new day's flood took 0.8 s
# and take 1 ms.
_STILL_OPEN = """NOT EXISTS (
    SELECT FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id AND e.closes OFFSET 0)"""

# By the same look at the index. Of a flood hardly any message has events: to learn that here
# saves a page the query for them.
_EVENTFUL = """EXISTS (
    SELECT FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id OFFSET 0) AS eventful"""

# In the order of ids, from one shelf's cursor on; ended messages in between are stepped over.
_SHELF_PAGE = f"""
SELECT m.*, {_EVENTFUL} FROM messages m
WHERE m.carrier_id = $1 AND m.lane = $2 AND m.send_at IS NULL AND m.id > $3 AND {_STILL_OPEN}
ORDER BY m.id LIMIT $4"""  # noqa: S608

_COUNT_BEHIND = """
SELECT account_id, count(*) AS messages FROM messages
WHERE carrier_id = $1 AND lane = $2 AND send_at IS NULL AND id > $3 GROUP BY account_id"""

# From each account's own cursor on. Sums keep the queue's index out of it: that would walk past
# all of a flood's messages to find one of an account that has few.
_WANTED_PAGE = f"""
SELECT m.* FROM unnest($3::int[], $4::bigint[], $5::int[]) AS w(account_id, after_id, at_most)
CROSS JOIN LATERAL (
    SELECT m.*, {_EVENTFUL} FROM messages m
    WHERE m.account_id = w.account_id AND m.id > w.after_id
      AND m.carrier_id + 0 = $1 AND m.lane + 0 = $2 AND m.send_at IS NULL AND {_STILL_OPEN}
    ORDER BY m.id LIMIT w.at_most
) m"""  # noqa: S608

_DUE_PAGE = f"""
SELECT m.*, {_EVENTFUL} FROM messages m
WHERE m.send_at IS NOT NULL AND (m.send_at, m.id) > ($1, $2) AND m.send_at <= $3
  AND m.carrier_id = ANY($5::smallint[]) AND {_STILL_OPEN}
ORDER BY m.send_at, m.id LIMIT $4"""  # noqa: S608

_OPEN_OF = f"""
SELECT m.* FROM unnest($1::int[], $2::bigint[]) WITH ORDINALITY AS k(account_id, id, place)
CROSS JOIN LATERAL (
    SELECT m.*, {_EVENTFUL} FROM messages m
    WHERE m.account_id = k.account_id AND m.id = k.id AND {_STILL_OPEN} OFFSET 0
) m
ORDER BY k.place"""  # noqa: S608

_EVENTS_OF = """
SELECT e.* FROM unnest($1::int[], $2::bigint[]) AS k(account_id, message_id)
CROSS JOIN LATERAL (
    SELECT * FROM events e
    WHERE e.account_id = k.account_id AND e.message_id = k.message_id OFFSET 0
) e
ORDER BY e.at"""

# A carrier may use an id again, when it has begun anew: the latest submission is meant. Ids of
# messages grow although clocks are put back, times of events don't; so the id says which is later,
# unless a message left long after it was accepted.
_SUBMISSIONS = f"""
SELECT k.carrier_id, k.id, e.account_id, e.message_id, e.segment, e.at,
       m.sender, m.recipient, m.client_ref, m.tag, m.callback_url, m.segments,
       m.registered_delivery, m.group_id, m.tlvs
FROM unnest($1::smallint[], $2::text[]) AS k(carrier_id, id)
JOIN LATERAL (
    SELECT * FROM events e
    WHERE e.kind = 1 AND e.carrier_id = k.carrier_id AND e.carrier_message_id = k.id
      AND e.message_id >= $3
    ORDER BY greatest(extract(epoch FROM accepted_at(e.message_id)), e.at - {PROMPT_S}) DESC,
        e.message_id DESC, e.at DESC LIMIT 1
) e ON true
CROSS JOIN LATERAL (
    SELECT * FROM messages m WHERE m.account_id = e.account_id AND m.id = e.message_id OFFSET 0
) m"""  # noqa: S608


_REPLACE = """
WITH replaced AS (
    UPDATE messages SET body = $3, data = $4, udh = $5, encoding = $6, data_coding = $7,
        segments = $8, price_micros = $9, send_at = $10, expires_at = $11,
        registered_delivery = $12
    WHERE account_id = $1 AND id = $2 AND NOT EXISTS (
        SELECT FROM events WHERE account_id = $1 AND message_id = $2)
    RETURNING id
),
paid AS (
    UPDATE balances SET available_micros = available_micros + $13::bigint
    WHERE account_id = $1 AND EXISTS (SELECT FROM replaced)
      AND ($13::bigint >= 0 OR available_micros + $13::bigint >= floor_micros)
    RETURNING account_id
)
SELECT EXISTS (SELECT FROM replaced) AS replaced, EXISTS (SELECT FROM paid) AS paid"""


_NEWEST = query("fetch_newest_message")


class Page(msgspec.Struct, frozen=True):
    """Open messages in order; `last` is the key after which the next page begins."""

    jobs: list[Job]
    last: tuple[float, int]
    complete: bool
    """Whether there was nothing more."""


class Backlog:
    """Pages of open messages, with what has happened to each so far."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AnyConnection]:
        """Borrow a connection whose statements go by indexes."""
        async with self.database.acquire() as connection, going_by_indexes(connection):
            yield connection

    async def fetch_shelf(
        self, carrier_id: CarrierId, lane: Lane, after_id: int, limit: int
    ) -> Page:
        """Return the next open messages of one carrier's lane that wait for no hour."""
        async with self._reading() as connection:
            rows = await connection.fetch(_SHELF_PAGE, carrier_id, lane, after_id, limit)
            jobs = await _jobs(connection, rows)
        last = (0.0, rows[-1]["id"] if rows else after_id)
        return Page(jobs, last, len(rows) < limit)

    async def count_behind(
        self, carrier_id: CarrierId, lane: Lane, after_id: int
    ) -> dict[AccountId, int]:
        """Return whose messages wait in one carrier's lane past an id; a few that have ended are
        counted with them. It reads all of them, however long that takes."""
        async with self.database.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = 0")
            rows = await connection.fetch(
                _COUNT_BEHIND, carrier_id, lane, after_id, timeout=UNLIMITED_S
            )
        return {AccountId(row["account_id"]): row["messages"] for row in rows}

    async def fetch_wanted(
        self, carrier_id: CarrierId, lane: Lane, wanted: Sequence[Wanted]
    ) -> tuple[list[Job], dict[AccountId, Progress]]:
        """Return the next open messages of some accounts in one carrier's lane, and how far that
        came for each of them."""
        async with self._reading() as connection:
            rows = await connection.fetch(
                _WANTED_PAGE,
                carrier_id,
                lane,
                [each.account_id for each in wanted],
                [each.after_id for each in wanted],
                [each.at_most for each in wanted],
            )
            jobs = await _jobs(connection, rows)
        ids: defaultdict[int, list[int]] = defaultdict(list)
        for row in rows:
            ids[row["account_id"]].append(row["id"])
        progress = {
            each.account_id: Progress(
                max(ids[each.account_id], default=each.after_id),
                len(ids[each.account_id]) < each.at_most,
            )
            for each in wanted
        }
        return jobs, progress

    async def fetch_due(
        self, carriers: Collection[CarrierId], after: tuple[float, int], until: float, limit: int
    ) -> Page:
        """Return the next open messages of some carriers whose hour comes by `until`, the earliest
        first."""
        async with self._reading() as connection:
            rows = await connection.fetch(_DUE_PAGE, *after, until, limit, list(carriers))
            jobs = await _jobs(connection, rows)
        last = (rows[-1]["send_at"], rows[-1]["id"]) if rows else after
        return Page(jobs, last, len(rows) < limit)

    async def fetch_open(
        self, account_ids: Sequence[AccountId], message_ids: Sequence[MessageId]
    ) -> list[Job]:
        """Return those of these messages that are still open, in their order."""
        async with self._reading() as connection:
            rows = await connection.fetch(_OPEN_OF, account_ids, message_ids)
            return await _jobs(connection, rows)

    async def fetch_one(self, account_id: AccountId, message_id: MessageId) -> Job | None:
        """Return one of the account's messages with what has happened to it; closed ones too."""
        async with self._reading() as connection:
            rows = await connection.fetch(
                "SELECT *, true AS eventful FROM messages WHERE account_id = $1 AND id = $2",
                account_id,
                message_id,
            )
            jobs = await _jobs(connection, rows)
        return jobs[0] if jobs else None

    async def replace(self, old: Message, new: Message) -> None:
        """Write what stands in a held message's place, and move the difference of their prices.

        Raises Rejected when something has happened to it, or when credit does not last.
        """
        async with self.database.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _REPLACE,
                new.account_id,
                new.id,
                new.text,
                new.data or None,
                new.udh or None,
                new.encoding,
                new.data_coding,
                new.segments,
                new.price_micros,
                new.send_at,
                new.expires_at,
                new.registered_delivery or None,
                old.price_micros - new.price_micros,
            )
            assert row is not None
            if not row["replaced"]:
                raise Rejected("too_late", "the message has begun to leave", status=409)
            if not row["paid"]:
                raise Rejected("no_credit", "the new text costs more than is left", status=402)
            await recount(connection, old, new)

    async def fetch_parked(
        self, carrier_id: CarrierId, limit: int = PARKED_KEYS_MAX
    ) -> list[ParkedReceipt]:
        """Return a carrier's receipts that still wait for their submission, the earliest first; at
        most `limit`, the latest of them, which is as many as memory keeps."""
        async with self.database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT * FROM parked_receipts WHERE NOT given_up AND carrier_id = $1"
                " ORDER BY received_at DESC LIMIT $2",
                carrier_id,
                limit,
            )
        return [read_parked(row) for row in reversed(rows)]

    async def fetch_last_id(self) -> int:
        """Return the greatest message id there is, 0 when there is none."""
        async with self.database.acquire() as connection:
            greatest: int | None = await connection.fetchval(_NEWEST)
        return greatest or 0


async def find_submissions(
    connection: AnyConnection, keys: Sequence[Key], since_id: int
) -> dict[Key, Found]:
    """Return what the store knows of segments that carriers name so; younger than `since_id`."""
    async with going_by_indexes(connection):
        rows = await connection.fetch(
            _SUBMISSIONS, [carrier for carrier, _ in keys], [name for _, name in keys], since_id
        )
        events = await _events(connection, [(row["account_id"], row["message_id"]) for row in rows])
    return {
        (CarrierId(row["carrier_id"]), row["id"]): Found(
            MessageId(row["message_id"]),
            AccountId(row["account_id"]),
            row["segment"] - 1,
            _fold(row["segments"], events[row["message_id"]]),
            Party(
                row["sender"],
                row["recipient"],
                row["client_ref"] or "",
                row["tag"] or "",
                row["callback_url"] or "",
                row["segments"],
                row["registered_delivery"] or 0,
                row["group_id"],
                row["tlvs"] or b"",
            ),
            row["at"],
            _others_named(row, events[row["message_id"]]),
        )
        for row in rows
    }


def _others_named(row: asyncpg.Record, events: Sequence[Event]) -> tuple[int, ...]:
    """Return the segments besides the row's own that its carrier gave the same id: they went in
    one PDU."""
    return tuple(
        event.segment - 1
        for event in events
        if event.kind is EventKind.SUBMITTED
        and event.segment != row["segment"]
        and (event.carrier_id, event.carrier_message_id) == (row["carrier_id"], row["id"])
    )


def _fold(segments: int, events: Sequence[Event]) -> list[Status]:
    states = [Status.ACCEPTED] * segments
    for event in events:
        index = event.segment - 1
        states[index] = settle_segment(states[index], event.segment_status)
    return states


async def _jobs(connection: AnyConnection, rows: Rows) -> list[Job]:
    """Return the rows' messages, each with what its events say of it."""
    eventful = [(row["account_id"], row["id"]) for row in rows if row["eventful"]]
    events = await _events(connection, eventful)
    jobs: list[Job] = []
    for begin in range(0, len(rows), AT_ONCE_MAX):
        if begin:
            await asyncio.sleep(0)
        jobs += [
            rebuild_job(read_message(row), events[row["id"]])
            if row["eventful"]
            else new_job(read_message(row))
            for row in rows[begin : begin + AT_ONCE_MAX]
        ]
    return jobs


async def _events(
    connection: AnyConnection, keys: Sequence[tuple[int, int]]
) -> defaultdict[int, list[Event]]:
    events: defaultdict[int, list[Event]] = defaultdict(list)
    if keys:
        rows = await connection.fetch(_EVENTS_OF, [a for a, _ in keys], [m for _, m in keys])
        for row in rows:
            events[row["message_id"]].append(read_event(row))
    return events
