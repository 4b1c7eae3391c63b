"""How many messages were refused for their number: counted by day, account, country and reason."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec

from gateway.model import Account, AccountId
from gateway.reports import IneligibleLine, IneligibleReport
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

_ADD = query("add_ineligible")
_FETCH = query("fetch_ineligible")
_SUM = query("sum_ineligible")
_FORGET = query("forget_ineligible")

Key = tuple[datetime.date, AccountId, str, str]
"""A day (UTC), an account, a country ("" for none), and the code of a reason."""


class IneligibleRow(msgspec.Struct, frozen=True, kw_only=True):
    """One count."""

    day: datetime.date
    account: str
    country: str
    reason: str
    count: int


@unavailable_as_503()
async def add_ineligible(database: Database, counts: Mapping[Key, int]) -> None:
    """Add to what is counted already."""
    days, accounts, countries, reasons = zip(*counts, strict=True)
    async with database.acquire() as connection:
        await connection.execute(_ADD, days, accounts, countries, reasons, list(counts.values()))


@unavailable_as_503()
async def fetch_ineligible(
    database: Database,
    since: datetime.date,
    before: datetime.date,
    account_id: AccountId | None = None,
) -> list[IneligibleRow]:
    """Return the counts of days from `since` to the day before `before`, oldest first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH, since, before, account_id)
    return [
        IneligibleRow(
            day=row["day"],
            account=row["account"],
            country=row["country"],
            reason=row["reason"],
            count=row["count"],
        )
        for row in rows
    ]


@unavailable_as_503()
async def sum_ineligible(
    database: Database, account: Account, first: datetime.date, last: datetime.date, by: str
) -> IneligibleReport:
    """Return an account's counts of these days, both included, by `day`, `country` or `reason`."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_SUM, account.id, first, last, by)
    return IneligibleReport(
        account=account.name,
        first=first.isoformat(),
        last=last.isoformat(),
        by=by,
        lines=[IneligibleLine(key=row["key"], count=row["count"]) for row in rows],
        total=sum(row["count"] for row in rows),
    )


@unavailable_as_503()
async def forget_ineligible(database: Database, before: datetime.date) -> None:
    """Delete the counts of days before this one."""
    async with database.acquire() as connection:
        await connection.execute(_FORGET, before)
