"""Messages and events as the gateway would have left them, written by PostgreSQL itself.

Through the parent tables, with all indexes, in the order of their ids; what carriers call them is
scattered, so that their index is as wide as in real life.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from gateway.ids import EPOCH_MS, NODE_SHIFT, TIME_SHIFT
from gateway.lifecycle import EventKind, Status
from gateway.store.postgres import Database, connect_single
from gateway.store.usage import Counter

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

CHUNK: Final = 250_000
"""Messages a transaction."""
UNDELIVERED_EVERY: Final = 25
TAGGED_EVERY: Final = 1_000
OTHER_ACCOUNTS_EVERY: Final = 5
"""One message in so many belongs to one of the other accounts; none of those is undelivered or
tagged."""
OTHER_ACCOUNTS: Final = 50
RECIPIENTS: Final = 2_000_000
"""Few get more than a handful a day."""
PRICE_MICROS: Final = 100
OTHER_NAME: Final = "other"
_NODE: Final = 1
"""Not the gateway's own, whose ids must stay free."""

_IDS: Final = f"""
    SELECT n, (($2::bigint + n * $3::bigint / $4::bigint - {EPOCH_MS}) << {TIME_SHIFT})
              | ({_NODE} << {NODE_SHIFT}) | (n & 4095) AS id,
           ($2::bigint + n * $3::bigint / $4::bigint) / 1000.0 AS at,
           CASE WHEN n % {OTHER_ACCOUNTS_EVERY} = 0
                THEN ($7::int[])[1 + n / {OTHER_ACCOUNTS_EVERY} % {OTHER_ACCOUNTS}]
                ELSE $1 END AS account_id
    FROM generate_series($5::bigint, $6::bigint) AS n"""  # noqa: S608 (constants of ours)

_MESSAGES: Final = f"""
INSERT INTO messages (account_id, id, carrier_id, lane, routes, sender, recipient, country, body,
                      encoding, segments, price_micros, tag, expires_at)
SELECT account_id, id, 1, 1, '{{1}}', 'Bench', '44740' || lpad((n % {RECIPIENTS})::text, 7, '0'),
       'GB',
       '#' || n || ' Your parcel is on its way and comes today before noon.', 0, 1, {PRICE_MICROS},
       CASE WHEN n % {TAGGED_EVERY} = 1 THEN 'spring' END, at + 172800
FROM ({_IDS}) AS i ORDER BY id"""  # noqa: S608 (constants of ours)

_EVENTS: Final = f"""
INSERT INTO events (account_id, message_id, at, kind, segment, segment_status, status, closes,
                    carrier_id, carrier_message_id, code, posted_micros, voided_micros)
SELECT account_id, id, at + delay, kind, 1, status, status, kind = {EventKind.SUBMITTED:d}, 1,
       CASE WHEN kind = {EventKind.SUBMITTED:d} THEN left(md5(n::text), 16) END, 0,
       CASE WHEN kind = {EventKind.SUBMITTED:d} THEN {PRICE_MICROS} ELSE 0 END, 0
FROM ({_IDS}) AS i
CROSS JOIN LATERAL (VALUES
    ({EventKind.SUBMITTED:d}, {Status.SUBMITTED:d}, 0.05),
    ({EventKind.RECEIPT:d},
     CASE WHEN n % {UNDELIVERED_EVERY} = 1 THEN {Status.UNDELIVERED:d}
          ELSE {Status.DELIVERED:d} END, 2.0)) AS e(kind, status, delay)
ORDER BY at, n"""  # noqa: S608 (constants of ours)

_MARKS: Final = """
INSERT INTO queue_marks SELECT 1, lane, $1 FROM generate_series(0, 2) AS lane
ON CONFLICT (carrier_id, lane) DO UPDATE SET open_from = excluded.open_from"""


@dataclass(frozen=True, slots=True)
class Day:
    """A day of messages: `total` of them, evenly from its midnight (UTC) on for `span_ms`."""

    day: date
    span_ms: int
    total: int

    @classmethod
    def until_now(cls, total: int) -> Day:
        """Return today, filled up to a minute ago."""
        now = datetime.now(UTC)
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC)
        span_ms = int((now - midnight).total_seconds() * 1000) - 60_000
        return cls(now.date(), max(span_ms, 60_000), total)

    @property
    def start_ms(self) -> int:
        return int(datetime(*self.day.timetuple()[:3], tzinfo=UTC).timestamp() * 1000)

    def id_at(self, number: int) -> int:
        """Return the id of a message, 1 to `total`, as `_IDS` makes it."""
        ms = self.start_ms + number * self.span_ms // self.total - EPOCH_MS
        return ms << TIME_SHIFT | _NODE << NODE_SHIFT | number & 4095


def number_of(message: int) -> str:
    """Return to whom a message of a day went."""
    return f"44740{message % RECIPIENTS:07}"


async def fill(
    connection: Connection,
    account_id: int,
    day: Day,
    first: int,
    last: int,
    *,
    ended: bool = True,
    on_progress: Callable[[int], None] = lambda done: None,
) -> float:
    """Write messages `first` to `last` of a day; return how many seconds that took.

    `ended` ones were submitted and have their receipt; the others wait.
    """
    started_s = time.monotonic()
    others = await _make_other_accounts(connection)
    for at in range(first, last + 1, CHUNK):
        end = min(at + CHUNK - 1, last)
        numbers = (account_id, day.start_ms, day.span_ms, day.total, at, end, others)
        async with connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = off")
            await connection.execute(_MESSAGES, *numbers, timeout=600)
            if ended:
                await connection.execute(_EVENTS, *numbers, timeout=600)
        on_progress(end)
    if ended:
        await connection.execute(_MARKS, (day.start_ms + day.span_ms - EPOCH_MS) << TIME_SHIFT)
    else:
        # A gateway that ran before had nothing open, and would look for none below its marks.
        await connection.execute("DELETE FROM queue_marks")
    return time.monotonic() - started_s


async def settle(database_url: str) -> None:
    """Do what the gateway's clockwork, autovacuum and a checkpoint would do meanwhile."""
    connection = await connect_single(database_url, "fill")
    try:
        # The gateway's own limit, 15 s, is too short for a vacuum of millions.
        await connection.execute("SET statement_timeout = 0")
        # What was written lies before what is counted up already.
        await connection.execute("DELETE FROM usage_days; UPDATE usage_mark SET counted_to = 0")
        for statement in ("VACUUM (ANALYZE) messages", "VACUUM (ANALYZE) events", "CHECKPOINT"):
            await connection.execute(statement, timeout=1_800)
    finally:
        await connection.close()
    database = await Database.open(database_url, connections=1)
    try:
        await Counter(database).count_up(time.time())
    finally:
        await database.close()


async def _make_other_accounts(connection: Connection) -> list[int]:
    """Return the ids of the other accounts, which are made at the first call."""
    for number in range(OTHER_ACCOUNTS):
        await connection.execute(
            "WITH made AS (INSERT INTO accounts (name) VALUES ($1) ON CONFLICT DO NOTHING"
            " RETURNING id), paid AS (INSERT INTO balances SELECT id FROM made)"
            " INSERT INTO postings SELECT id FROM made",
            f"{OTHER_NAME}-{number}",
        )
    rows = await connection.fetch(
        "SELECT id FROM accounts WHERE name LIKE $1 ORDER BY id", f"{OTHER_NAME}-%"
    )
    return [row["id"] for row in rows]
