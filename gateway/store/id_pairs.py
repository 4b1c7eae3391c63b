"""Ids that a carrier gave in a response and in a receipt, of what seems to be one message.

Paired by number and time, since the ids are what does not agree.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gateway.dlr.ids import IdRule
from gateway.ids import id_at
from gateway.model import CarrierId
from gateway.store.id_rules import fetch_id_rules
from gateway.store.postgres import PLAN_EACH_TIME, Database
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Row

PAIRS_MAX = 200
"""Receipts that are looked at: enough to tell one rule from another."""
PAIR_S = 900.0
"""A receipt is paired with what was submitted to its number within so long before it."""
DIGITS = 9
"""Numbers are compared by their last digits: carriers write them with prefixes and without."""

_RECEIPTS = query("fetch_receipts_to_pair")
_SUBMISSIONS = query("fetch_submissions_to_pair")


async def fetch_id_pairs(database: Database, carrier_id: CarrierId) -> list[tuple[str, str]]:
    """Return (response id, receipt id) pairs of the latest receipts without a submission.

    A receipt beside several submissions, or several beside one, tell nothing and are left out.
    """
    history = await fetch_id_rules(database, carrier_id)
    async with database.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(PLAN_EACH_TIME)
        receipts = await connection.fetch(_RECEIPTS, carrier_id, PAIRS_MAX)
        if not receipts:
            return []
        times = [row["received_at"] for row in receipts]
        submissions = await connection.fetch(
            _SUBMISSIONS,
            carrier_id,
            list({_last_digits(row["recipient"]) for row in receipts}),
            id_at(min(times) - PAIR_S),
            id_at(max(times)),
            DIGITS,
        )
    return [
        (rule_at(history, at).restore_response(stored), raw)
        for stored, at, raw in _pair(receipts, submissions)
    ]


def _pair(receipts: Sequence[Row], submissions: Sequence[Row]) -> list[tuple[str, float, str]]:
    """Return (stored id, submitted at, receipt id) of those that have no other beside them."""
    by_number: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for row in submissions:
        by_number[_last_digits(row["recipient"])].append((row["carrier_message_id"], row["at"]))
    found = []
    for row in receipts:
        until = row["received_at"]
        before = [
            (stored, at)
            for stored, at in by_number[_last_digits(row["recipient"])]
            if until - PAIR_S <= at <= until
        ]
        if len(before) == 1:
            found.append((*before[0], row["raw_id"]))
    receipts_of = Counter(stored for stored, _, _ in found)
    return [pair for pair in found if receipts_of[pair[0]] == 1]


def _last_digits(number: str) -> str:
    return "".join(character for character in number if character.isdigit())[-DIGITS:]


def rule_at(history: Sequence[tuple[float, IdRule]], at: float) -> IdRule:
    """Return the rule that held at a time; the plain one when none is known."""
    held = [rule for since, rule in history if since <= at]
    return held[-1] if held else IdRule()
