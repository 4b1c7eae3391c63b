"""Messages that one node has committed for another: told by the same commit, read, forgotten.

A row of `arrivals` is a hint and no more: whose a message is, its own row says. It stays until the
node that has the carrier knows the message, so that whoever has the carrier next finds it, also
where its id is below the mark from which a start reads (`maintenance.py`).

Not here: which messages move and when (`gateway/dispatch.py`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final

import msgspec

from gateway.message import Message
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Move
from gateway.store.postgres import Database

CHANNEL: Final = "gateway_arrivals"
"""Told the carriers that messages have come for."""
ROWS_MAX: Final = 200
MESSAGES_MAX: Final = 2_000
"""Taken in at once: 20 ms of PostgreSQL's time, as at a start. A row may hold a batch of 5,000."""

# Behind the messages that an intake's statement stores.
_STORED_ELSEWHERE: Final = """,
arrived AS (
    INSERT INTO arrivals (carrier_id, account_ids, message_ids)
    SELECT carrier_id, array_agg(account_id ORDER BY id), array_agg(id ORDER BY id) FROM taken
    WHERE carrier_id = ANY(${}::smallint[]) GROUP BY carrier_id RETURNING carrier_id
)
"""
TELL_ARRIVED: Final = (
    ", (SELECT count(pg_notify('gateway_arrivals', carrier_id::text)) FROM arrived) AS told"
)
"""What a statement returns besides, when it holds arrivals."""

# The bounds keep other days' partitions out of it.
_MOVED: Final = """UPDATE messages m SET carrier_id = k.routes[1], routes = k.routes
    FROM (SELECT account_id, message_id, routes::smallint[] AS routes
          FROM unnest({}::int[], {}::bigint[], {}::text[]) AS u(account_id, message_id, routes)) k
    WHERE m.account_id = k.account_id AND m.id = k.message_id AND m.id BETWEEN {} AND {}
    RETURNING m.account_id, m.id, m.carrier_id"""
_MOVED_ARRIVE: Final = """INSERT INTO arrivals (carrier_id, account_ids, message_ids)
    SELECT carrier_id, array_agg(account_id ORDER BY id), array_agg(id ORDER BY id)
    FROM moved GROUP BY carrier_id RETURNING carrier_id"""

_FETCH: Final = """SELECT id, carrier_id, account_ids, message_ids FROM arrivals
WHERE carrier_id = ANY($1::smallint[]) ORDER BY id LIMIT $2"""
# Not by a node whose claim has ended while it was frozen: it knows what others don't.
_FORGET: Final = """WITH forgotten AS (
    DELETE FROM arrivals WHERE id = ANY($1::bigint[]) AND ($5::int IS NULL OR EXISTS (
        SELECT FROM node_leases WHERE node = $5 AND epoch = $6 AND claimed))
)
UPDATE queue_marks q SET open_from = k.open_from
FROM unnest($2::smallint[], $3::smallint[], $4::bigint[]) AS k(carrier_id, lane, open_from)
WHERE q.carrier_id = k.carrier_id AND q.lane = k.lane AND q.open_from > k.open_from"""


class Arrivals(msgspec.Struct, frozen=True):
    """Rows of `arrivals`, and the messages that they name."""

    ids: list[int]
    account_ids: list[AccountId]
    message_ids: list[MessageId]


def add_moves(add: Callable[..., None], moves: Sequence[Move]) -> None:
    """Add to a statement what moves, and tell the nodes that it goes to."""
    if not moves:
        return
    last = {(move.account_id, move.message_id): move for move in moves}  # a row changes once
    ids = [message_id for _, message_id in last]
    add(
        _MOVED,
        [account_id for account_id, _ in last],
        ids,
        ["{" + ",".join(map(str, move.routes)) + "}" for move in last.values()],
        min(ids),
        max(ids),
        name="moved",
    )
    add(_MOVED_ARRIVE, name="arrived")


@functools.cache
def with_arrivals(statement: str, parameters: int) -> str:
    """Return an intake's statement that has so many parameters, with one behind them: the carriers
    whose messages other nodes are told of."""
    head, select, tail = statement.rpartition("\nSELECT advance_writer")
    assert select, "the statement ends by advancing its writer"
    arrived = _STORED_ELSEWHERE.format(parameters + 1)
    return f"{head.rstrip()}{arrived}{select.lstrip()}{tail}{TELL_ARRIVED}"


async def fetch_arrivals(database: Database, carriers: Collection[CarrierId]) -> Arrivals:
    """Return the earliest that wait for these carriers: some rows, as long as they name few."""
    found = Arrivals([], [], [])
    async with database.acquire() as connection:
        for row in await connection.fetch(_FETCH, list(carriers), ROWS_MAX):
            if found.ids and len(found.message_ids) + len(row["message_ids"]) > MESSAGES_MAX:
                break
            found.ids.append(row["id"])
            found.account_ids.extend(row["account_ids"])
            found.message_ids.extend(row["message_ids"])
    return found


async def forget_arrivals(
    database: Database,
    ids: Sequence[int],
    messages: Iterable[Message],
    claim: tuple[int, int] | None,
) -> None:
    """Forget rows whose messages are known; from then on a start finds those by the marks of their
    queues, which are lowered to them. `claim` is the node's, with its epoch; None: of nobody."""
    oldest: dict[tuple[int, int], int] = {}
    for message in messages:
        if message.send_at is None:
            key = (message.routes[0], message.lane)
            oldest[key] = min(oldest.get(key, message.id), message.id)
    async with database.acquire() as connection:
        await connection.execute(
            _FORGET,
            list(ids),
            [carrier_id for carrier_id, _ in oldest],
            [lane for _, lane in oldest],
            list(oldest.values()),
            *(claim or (None, None)),
        )
