"""Accounts whose available credit falls below what they named: told once a crossing.

Balances are looked at every few seconds (`gateway/bookkeeping.py`), so that what spends credit need
not know of thresholds. A fall and rise between two looks is not seen.
"""

from __future__ import annotations

import msgspec

from gateway.credit.prices import format_micros
from gateway.errors import Rejected
from gateway.model import AccountId
from gateway.store.accounts import DEPOSIT_MICROS_MAX
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

_SET = query("set_low_balance")
_REMOVE = query("remove_low_balance")
_FETCH = query("fetch_low_balance")
_CROSS = query("cross_low_balances")
_TELL = query("tell_low_balance")
_COUNT = query("count_low_balances")


class Crossed(msgspec.Struct, frozen=True):
    """An account that has just fallen below its threshold, or risen to it."""

    account_id: AccountId
    account: str
    currency: str
    low: bool
    available_micros: int
    threshold_micros: int


class _Told(msgspec.Struct, frozen=True, kw_only=True):
    """The event as a customer's endpoint reads it."""

    id: str
    type: str
    account: str
    available: str
    threshold: str
    currency: str
    at: float


@unavailable_as_503()
async def set_low_balance(database: Database, account_id: AccountId, micros: int | None) -> None:
    """Have an account told when its available credit falls below this; None: no more.

    One that is below already is told with the next look. Raises Rejected.
    """
    if micros is not None and abs(micros) > DEPOSIT_MICROS_MAX:
        raise Rejected("out_of_range", "is beyond a billion units", field="low_balance")
    async with database.acquire() as connection:
        if micros is None:
            await connection.execute(_REMOVE, account_id)
        else:
            await connection.execute(_SET, account_id, micros)


async def fetch_low_balance(database: Database, account_id: AccountId) -> tuple[int, bool] | None:
    """Return an account's threshold and whether it was below it at the last look."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(_FETCH, account_id)
    return None if row is None else (row["threshold_micros"], row["low"])


@unavailable_as_503()
async def tell_low_balances(database: Database, wall: float) -> list[Crossed]:
    """Note who has crossed a threshold since the last look, and leave an event for each that fell.

    Both are one transaction, so that it is told once.
    """
    async with database.acquire() as connection, connection.transaction():
        crossed = [Crossed(*row) for row in await connection.fetch(_CROSS)]
        fallen = [each for each in crossed if each.low]
        if fallen:
            await connection.execute(
                _TELL,
                [each.account_id for each in fallen],
                [_body(each, wall) for each in fallen],
                wall,
            )
    return crossed


async def count_low_balances(database: Database) -> int:
    """Return how many accounts were below their threshold at the last look."""
    async with database.acquire() as connection:
        count: int = await connection.fetchval(_COUNT)
    return count


def _body(crossed: Crossed, wall: float) -> str:
    told = _Told(
        id=f"low-balance-{crossed.account_id}-{int(wall * 1000)}",
        type="account.low_balance",
        account=crossed.account,
        available=format_micros(crossed.available_micros),
        threshold=format_micros(crossed.threshold_micros),
        currency=crossed.currency,
        at=wall,
    )
    return msgspec.json.encode(told).decode()
