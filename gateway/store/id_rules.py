"""Which rule for a carrier's ids held when: submissions are stored under the one of their time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from gateway.dlr.ids import FormerRule, IdForm, IdRule
from gateway.model import CarrierId
from gateway.store.postgres import Database
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Row

FORMER_MAX = 4
"""How many changes of a rule are looked back over."""

_LOCK = query("lock_id_rules")
_FETCH = query("fetch_id_rules")
_ADD = query("add_id_rule")


async def adopt_id_rules(
    database: Database, rules: Mapping[CarrierId, IdRule], now: float
) -> dict[CarrierId, tuple[FormerRule, ...]]:
    """Note the rules that hold from `now` (wall clock) on; return each carrier's former ones, the
    latest first.

    A carrier's first rule is taken for the one that has always held.
    """
    former = {}
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK)
        for carrier_id, rule in rules.items():
            history = _read(await connection.fetch(_FETCH, carrier_id))
            if not history or history[-1][1] != rule:
                since = now if history else 0.0
                history.append((since, rule))
                await connection.execute(
                    _ADD, carrier_id, since, rule.response, rule.receipt, rule.strip_zeros
                )
            former[carrier_id] = list_former(history)
    return former


async def fetch_id_rules(database: Database, carrier_id: CarrierId) -> list[tuple[float, IdRule]]:
    """Return the rules by which a carrier was served, each with since when, the latest last."""
    async with database.acquire() as connection:
        return _read(await connection.fetch(_FETCH, carrier_id))


def list_former(history: Sequence[tuple[float, IdRule]]) -> tuple[FormerRule, ...]:
    """Return the rules before the last one that stored ids in another form than it does."""
    present = history[-1][1]
    former = [
        FormerRule(rule, since, until)
        for (since, rule), (until, _) in pairwise(history)
        if (rule.response, rule.strip_zeros) != (present.response, present.strip_zeros)
    ]
    return tuple(reversed(former))[:FORMER_MAX]


def _read(rows: Sequence[Row]) -> list[tuple[float, IdRule]]:
    return [
        (
            row["since"],
            IdRule(IdForm(row["response"]), IdForm(row["receipt"]), row["strip_zeros"]),
        )
        for row in rows
    ]
