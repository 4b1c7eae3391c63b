"""What of email fallbacks goes into the writers' statements.

They are written with their messages (`intake_writer.py`) and made due with the event that causes
them (`outcome_writer.py`). Not here: what becomes of them (`fallbacks.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gateway.fallback.terms import TRIGGER_OF, EmailContent, EmailFallback, identify_content
from gateway.ids import accepted_at
from gateway.lifecycle import Status
from gateway.model import AccountId
from gateway.outcomes import Event

DAY_S = 86_400
_GOOD_MAX = int(Status.DELIVERED)
"""Statuses above it are bad ends. A plain number: every event is compared with it."""

# Set in front of the SELECT that ends the intake's statement, for batches that hold fallbacks.
_STORED_WITH_MESSAGES = """,
contents AS (
    INSERT INTO email_contents SELECT * FROM unnest(
        ${}::int[], ${}::bytea[], ${}::text[], ${}::text[], ${}::text[], ${}::text[], ${}::float8[])
    ON CONFLICT DO NOTHING
),
fallbacks AS (
    INSERT INTO email_fallbacks (account_id, message_id, content_id, address, triggers, due_at)
    SELECT * FROM unnest(
        ${}::int[], ${}::bigint[], ${}::bytea[], ${}::text[], ${}::smallint[], ${}::float8[]
    ) AS f(account_id, message_id, content_id, address, triggers, due_at)
    WHERE f.message_id IN (SELECT id FROM taken)
)
"""
_COLUMNS = 13

# A part of the outcomes' statement, for batches in which messages ended badly. A fallback that
# somebody has begun to send is left alone: its time is its lease.
_MAKE_DUE = """UPDATE email_fallbacks f SET due_at = least(f.due_at, d.at)
    FROM unnest({}::int[], {}::bigint[], {}::float8[], {}::smallint[])
        AS d(account_id, message_id, at, cause)
    WHERE f.account_id = d.account_id AND f.message_id = d.message_id
      AND f.state = 0 AND f.claimed_at IS NULL AND f.triggers & d.cause <> 0"""


def with_fallbacks(statement: str, parameters: int) -> str:
    """Return an intake's statement that has so many parameters, with `fallback_columns` behind
    them."""
    numbers = range(parameters + 1, parameters + 1 + _COLUMNS)
    head, select, tail = statement.rpartition("\nSELECT advance_writer")
    assert select, "the statement ends by advancing its writer"
    return f"{head}{_STORED_WITH_MESSAGES.format(*numbers)}{select.lstrip()}{tail}"


def add_due(add: Callable[..., None], events: Sequence[Event]) -> None:
    """Make due, in the outcomes' statement, what the events of its batch cause."""
    failures = [event for event in events if event.status > _GOOD_MAX]
    if not failures:
        return
    add(
        _MAKE_DUE,
        [e.account_id for e in failures],
        [e.message_id for e in failures],
        [e.at for e in failures],
        [int(TRIGGER_OF.get(e.status, 0)) for e in failures],
    )


def fallback_columns(fallbacks: Sequence[EmailFallback]) -> tuple[list[Any], ...]:
    """Turn fallbacks into one array a column: five of contents, each once, and six of rows."""
    contents: dict[tuple[AccountId, bytes], tuple[EmailContent, float]] = {}
    ids = []
    for fallback in fallbacks:
        at = accepted_at(fallback.message_id)
        content_id = identify_content(fallback.content, int(at // DAY_S))
        contents.setdefault((fallback.account_id, content_id), (fallback.content, at))
        ids.append(content_id)
    # In one order, so that two nodes that bring the same contents wait for each other one way.
    ordered = sorted(contents.items(), key=lambda item: item[0])
    return (
        [account_id for (account_id, _), _ in ordered],
        [content_id for (_, content_id), _ in ordered],
        [content.subject for _, (content, _) in ordered],
        [content.text for _, (content, _) in ordered],
        [content.html for _, (content, _) in ordered],
        [content.reply_to for _, (content, _) in ordered],
        [at for _, (_, at) in ordered],
        [fallback.account_id for fallback in fallbacks],
        [fallback.message_id for fallback in fallbacks],
        ids,
        [fallback.address for fallback in fallbacks],
        [int(fallback.triggers) for fallback in fallbacks],
        [fallback.due_at for fallback in fallbacks],
    )
