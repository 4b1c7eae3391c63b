"""An account's statement, as people and programs read it."""

from __future__ import annotations

from datetime import date

from gateway.credit.prices import format_micros
from gateway.model import Account
from gateway.store.postgres import Database
from gateway.store.usage import UsageLine, fetch_usage, total
from gateway.views import Statement, StatementLine


async def fetch_statement(
    database: Database, account: Account, first: date, last: date, by: str
) -> Statement:
    """Return what the account used from one day to another, both included; see `fetch_usage`."""
    usage = await fetch_usage(database, account.id, first, last, by)
    return Statement(
        account=account.name,
        currency=account.currency,
        first=first.isoformat(),
        last=last.isoformat(),
        by=by,
        lines=[_line(line) for line in usage.lines],
        complete=usage.complete,
        total=_line(total(usage.lines)),
        deposited=format_micros(usage.added_micros),
        withdrawn=format_micros(usage.taken_micros),
    )


def _line(line: UsageLine) -> StatementLine:
    return StatementLine(
        key=line.key,
        messages=line.messages,
        segments=line.segments,
        price=format_micros(line.priced_micros),
        voided=format_micros(line.voided_micros),
        refunded=format_micros(line.refunded_micros),
        net=format_micros(line.net_micros),
    )
