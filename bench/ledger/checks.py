"""What must be so after a run: three accounts of the same money, and none of them the other's.

customers' books        what they were told of each message and each top-up
the gateway's audit     what its rows add up to, and its balances
the rows themselves     which segments had to be refunded, by the rules of the setting
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.ledger.books import Books, Sums
from gateway.credit.prices import parse_micros
from gateway.store.postgres import Database
from gateway.views import Statement

EXPECTED_REFUNDS = """
WITH segment AS (
    SELECT e.account_id, e.message_id, e.segment,
           sum(e.posted_micros) AS posted,
           bool_or(e.kind IN (4, 9) AND e.segment_status > 10) AS failed,
           bool_or(e.kind = 4 AND c.name = 'alpha' AND (e.segment_status = 13 OR e.error = '045'))
               AS not_billed
    FROM events e LEFT JOIN carriers c ON c.id = e.carrier_id
    GROUP BY 1, 2, 3
)
SELECT a.name, sum(s.posted)::bigint AS micros
FROM segment s JOIN accounts a ON a.id = s.account_id
WHERE s.not_billed OR (s.failed AND (a.bill = 'delivered' OR a.plan = 'delivered'))
GROUP BY a.name
"""
"""Of each account, by the receipts alone: what is not billed by the carrier's table, and what did
not arrive (or nobody knows) where that is agreed."""

HAPPENED = """
SELECT count(*) FILTER (WHERE kind = 2) AS refused, count(*) FILTER (WHERE kind = 3) AS retried,
       count(*) FILTER (WHERE kind = 5) AS expired, count(*) FILTER (WHERE kind = 6) AS canceled,
       count(*) FILTER (WHERE kind = 8) AS held, count(*) FILTER (WHERE kind = 9) AS no_receipt,
       count(*) FILTER (WHERE kind = 11) AS refunded
FROM events
"""


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    expected: object
    found: object

    @property
    def holds(self) -> bool:
        return self.expected == self.found


async def expected_refunds(database: Database) -> dict[str, int]:
    async with database.acquire() as connection:
        rows = await connection.fetch(EXPECTED_REFUNDS, timeout=120)
    return {row["name"]: row["micros"] for row in rows if row["micros"]}


async def fetch_happened(database: Database) -> dict[str, int]:
    """Return how many segments were refused, expired, refunded and so on."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(HAPPENED, timeout=120)
    return dict(row.items()) if row else {}


def check_audit(books: Books, audited: dict[str, Any], refunds: dict[str, int]) -> Iterator[Check]:
    """Compare what customers know, and the rules of refunds, with the audit."""
    report = audited["report"]
    yield Check("the audit's findings", [], report["findings"])
    yield Check("answers that contradict earlier ones", [], books.contradictions)
    told = books.by_account()
    nothing = Sums()
    for account in report["accounts"]:
        name = account["account"]
        sums, deposited = told.get(name, nothing), books.deposited[name]
        voided, refunded = account["voided_micros"], account["refunded_micros"]
        yield Check(f"{name}: messages", sums.messages, account["messages"])
        yield Check(f"{name}: open messages", 0, account["open_messages"])
        yield Check(f"{name}: reserved", 0, account["reserved_micros"])
        yield Check(f"{name}: deposited", deposited, account["deposited_micros"])
        yield Check(f"{name}: refunded", refunds.get(name, 0), refunded)
        yield Check(f"{name}: posted or voided", sums.priced, account["posted_micros"] + voided)
        yield Check(
            f"{name}: available",
            deposited - sums.priced + voided + refunded,
            account["available_micros"],
        )


def check_statement(
    books: Books, audited: dict[str, Any], statements: dict[str, Statement]
) -> Iterator[Check]:
    """Compare one account's statements with what it was told, and with its audit."""
    name = audited["account"]
    sums = books.by_account().get(name, Sums())
    for by, stated in statements.items():
        total = stated.total
        yield Check(f"{name} by {by}: messages", sums.messages, total.messages)
        yield Check(f"{name} by {by}: segments", sums.segments, total.segments)
        yield Check(f"{name} by {by}: price", sums.priced, parse_micros(total.price))
        yield Check(f"{name} by {by}: voided", audited["voided_micros"], parse_micros(total.voided))
        yield Check(
            f"{name} by {by}: refunded", audited["refunded_micros"], parse_micros(total.refunded)
        )
        if by in ("country", "tag"):
            yield Check(
                f"{name} by {by}: lines",
                {key: (s.messages, s.segments, s.priced) for key, s in books.by(name, by).items()},
                {
                    line.key: (line.messages, line.segments, parse_micros(line.price))
                    for line in stated.lines
                },
            )
