"""What a batch of outcomes moves: posted, voided, refunded. The outcome writer adds it to its own.

Posting changes a row of its own, because what is available has changed with the reservation.
Voids and refunds change what is available.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.lifecycle import EventKind
from gateway.model import AccountId
from gateway.outcomes import Event

# An UPDATE locks rows as its plan finds them. Here they are locked first, in the order of accounts,
# as the intake does too: nobody waits for somebody who waits for him.
_POSTINGS = """UPDATE postings p SET posted_micros = p.posted_micros + d.micros
    FROM (
        SELECT account_id, micros
        FROM unnest({}::int[], {}::bigint[]) AS m(account_id, micros)
        JOIN postings held USING (account_id)
        ORDER BY account_id FOR NO KEY UPDATE OF held
    ) d
    WHERE p.account_id = d.account_id"""
_VOIDS = """UPDATE balances b SET available_micros = b.available_micros + d.micros
    FROM (
        SELECT account_id, micros
        FROM unnest({}::int[], {}::bigint[]) AS m(account_id, micros)
        JOIN balances held USING (account_id)
        ORDER BY account_id FOR NO KEY UPDATE OF held
    ) d
    WHERE b.account_id = d.account_id"""
# With refunds in the batch. A row is updated once by a statement, so what is given back by both
# goes together. The store knows the price, and whether it was given back already.
_REFUNDED = f"""INSERT INTO events (account_id, message_id, at, segment, segment_status, status,
        carrier_id, error, kind, closes, posted_micros, voided_micros, refunded_micros)
    SELECT r.*, {EventKind.REFUND:d}, false, 0, 0, m.price_micros / m.segments
    FROM unnest({{}}::int[], {{}}::bigint[], {{}}::float8[], {{}}::smallint[], {{}}::smallint[],
        {{}}::smallint[], {{}}::smallint[], {{}}::text[])
        AS r(account_id, message_id, at, segment, segment_status, status, carrier_id, error)
    JOIN messages m ON m.account_id = r.account_id AND m.id = r.message_id
    WHERE m.price_micros > 0
    ON CONFLICT DO NOTHING
    RETURNING account_id, message_id, refunded_micros"""  # noqa: S608 (our own number)
_POSTINGS_AND_REFUNDS = """UPDATE postings p SET
        posted_micros = p.posted_micros + d.posted, refunded_micros = p.refunded_micros + d.refunded
    FROM (
        SELECT account_id, posted, refunded
        FROM (
            SELECT account_id, sum(posted)::bigint AS posted, sum(refunded)::bigint AS refunded
            FROM (
                SELECT account_id, micros AS posted, 0 AS refunded
                FROM unnest({}::int[], {}::bigint[]) AS m(account_id, micros)
                UNION ALL SELECT account_id, 0, refunded_micros FROM refunded
            ) moved GROUP BY account_id
        ) summed
        JOIN postings held USING (account_id)
        ORDER BY account_id FOR NO KEY UPDATE OF held
    ) d
    WHERE p.account_id = d.account_id"""
_VOIDS_AND_REFUNDS = """UPDATE balances b SET available_micros = b.available_micros + d.micros
    FROM (
        SELECT account_id, micros
        FROM (
            SELECT account_id, sum(micros)::bigint AS micros
            FROM (
                SELECT * FROM unnest({}::int[], {}::bigint[]) AS m(account_id, micros)
                UNION ALL SELECT account_id, refunded_micros FROM refunded
            ) given_back GROUP BY account_id
        ) summed
        JOIN balances held USING (account_id)
        ORDER BY account_id FOR NO KEY UPDATE OF held
    ) d
    WHERE b.account_id = d.account_id"""
# For statements: by the day of acceptance, and where the message went.
_RETURNED = """INSERT INTO usage_returned AS u
    SELECT m.account_id, usage_day(m.id), m.country, coalesce(m.operator, ''), coalesce(m.tag, ''),
           count(*) FILTER (WHERE voided > 0), sum(voided),
           count(*) FILTER (WHERE refunded > 0), sum(refunded)
    FROM (
        SELECT account_id, message_id, voided, 0::bigint AS refunded
        FROM unnest({}::int[], {}::bigint[], {}::bigint[]) AS v(account_id, message_id, voided)
    ) r
    JOIN messages m ON m.account_id = r.account_id AND m.id = r.message_id
    GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
    ON CONFLICT (account_id, day, country, operator, tag) DO UPDATE SET
        voided_segments = u.voided_segments + excluded.voided_segments,
        voided_micros = u.voided_micros + excluded.voided_micros,
        refunded_segments = u.refunded_segments + excluded.refunded_segments,
        refunded_micros = u.refunded_micros + excluded.refunded_micros"""
_RETURNED_WITH_REFUNDS = _RETURNED.replace(
    "    ) r\n",
    "        UNION ALL SELECT account_id, message_id, 0, refunded_micros FROM refunded\n    ) r\n",
)
TELL_REFUNDED = """,
    ARRAY(SELECT account_id FROM refunded) AS refunded_accounts,
    ARRAY(SELECT refunded_micros FROM refunded) AS refunded_micros"""


def add_money(add: Callable[..., None], events: Sequence[Event], refunds: Sequence[Event]) -> None:
    """Add to a statement what its events and refunds move."""
    posted, voided = sum_moves(events)
    if refunds:
        add(_REFUNDED, *_refund_columns(refunds), name="refunded")
        add(_POSTINGS_AND_REFUNDS, list(posted), list(posted.values()))
        add(_VOIDS_AND_REFUNDS, list(voided), list(voided.values()))
        add(_RETURNED_WITH_REFUNDS, *_void_columns(events))
        return
    if posted:
        add(_POSTINGS, list(posted), list(posted.values()))
    if voided:
        add(_VOIDS, list(voided), list(voided.values()))
        add(_RETURNED, *_void_columns(events))


def _void_columns(events: Sequence[Event]) -> tuple[list[Any], ...]:
    voids = [e for e in events if e.voided_micros]
    return (
        [e.account_id for e in voids],
        [e.message_id for e in voids],
        [e.voided_micros for e in voids],
    )


def _refund_columns(refunds: Sequence[Event]) -> tuple[list[Any], ...]:
    return (
        [r.account_id for r in refunds],
        [r.message_id for r in refunds],
        [r.at for r in refunds],
        [r.segment for r in refunds],
        [r.segment_status for r in refunds],
        [r.status for r in refunds],
        [r.carrier_id for r in refunds],
        [r.error for r in refunds],
    )


def sum_moves(events: Iterable[Event]) -> tuple[dict[AccountId, int], dict[AccountId, int]]:
    """Return what events post and what they void, by account and in the order of accounts, so that
    two nodes lock rows the same way; an account of which nothing is moved is in neither.
    """
    posted: defaultdict[AccountId, int] = defaultdict(int)
    voided: defaultdict[AccountId, int] = defaultdict(int)
    # One plain loop: a generator for each sum took three times as long.
    for event in events:
        if event.posted_micros:
            posted[event.account_id] += event.posted_micros
        if event.voided_micros:
            voided[event.account_id] += event.voided_micros
    return dict(sorted(posted.items())), dict(sorted(voided.items()))
