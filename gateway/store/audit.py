"""The audit: read every row in one snapshot and say what does not agree.

It may run beside a gateway at work: what it sees is one moment, in which open messages hold
their reservations. The comparison of money is `gateway/credit/audit.py`'s; here rows are added
up, and checked for what no balance shows: an event without its message, a state that does not
follow from the segments, a reference that leads nowhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING

import msgspec

from gateway.credit.audit import (
    Disagreement,
    MessageTotals,
    RowTotals,
    StoredBalance,
    verdict,
)
from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, MessageId, Micros
from gateway.settling import aggregate
from gateway.store import partitions
from gateway.store.postgres import PLAN_EACH_TIME, UNLIMITED_S, Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Row

SUSPECTS_MAX = 100
"""Messages named for each account and day; `bad_messages` counts all of them."""
WORK_MEM = "256MB"
"""A day of ten million messages is grouped in memory or close to it."""

_ACCOUNTS = query("audit_accounts")
_USAGE = query("audit_usage")
_USAGE_MARK = query("fetch_usage_mark")
_RANGE = query("audit_range")
_MESSAGES = query("audit_messages")
_REFERENCES = query("audit_references")
_PARKED = query("audit_parked")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not agree. Money is in micro-units."""

    account: str
    message_id: MessageId | None = None
    what: str
    stored: str
    recomputed: str


class AccountAudit(msgspec.Struct, frozen=True, kw_only=True):
    """One account's money as its rows add it up, in micro-units."""

    account: str
    messages: int
    """Those that are kept; dropped ones are in the sums only."""
    open_messages: int
    deposited_micros: int
    posted_micros: int
    voided_micros: int
    refunded_micros: int
    reserved_micros: int
    available_micros: int


class AuditReport(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    accounts: list[AccountAudit]
    findings: list[Finding]
    bad_messages: int
    """All messages whose rows contradict each other, named in `findings` or not."""
    parked_receipts: int
    """Receipts that still wait for their submission; no disagreement."""
    unmatched_receipts: int
    """Receipts given up: their carrier sent them for nothing of ours; no disagreement."""

    @property
    def agrees(self) -> bool:
        return not self.findings


class _Sums(msgspec.Struct):
    """One account's rows, added up day by day."""

    messages: int = 0
    open_messages: int = 0
    priced: int = 0
    posted: int = 0
    voided: int = 0
    refunded: int = 0
    open: int = 0


@unavailable_as_503()
async def audit(
    database: Database, now: float, on_progress: Callable[[int, int], None] = lambda done, of: None
) -> AuditReport:
    """Recompute everything from the rows; `on_progress` is told of days done, and of how many.

    Takes about 6 µs a message, and no lock that anyone waits for.
    """
    async with _snapshot(database) as connection:
        days = await partitions.fetch_days(connection)
        accounts = await connection.fetch(_ACCOUNTS)
        sums: dict[int, _Sums] = {row["id"]: _sums_of_retired(row) for row in accounts}
        mark = await connection.fetchval(_USAGE_MARK)
        suspects: list[tuple[int, int]] = []
        misstated: list[Disagreement] = []
        bad = 0
        for done, day in enumerate(days, start=1):
            rows = await connection.fetch(
                _RANGE, *partitions.ids_of(day), SUSPECTS_MAX, mark, timeout=UNLIMITED_S
            )
            misstated += _judge_usage(day, rows, await connection.fetch(_USAGE, day))
            for row in rows:
                _add(sums.setdefault(row["account_id"], _Sums()), row)
                bad += row["bad"]
                suspects += [(row["account_id"], id) for id in row["suspects"] or ()]
            on_progress(done, len(days))
        suspect_rows = await _fetch_suspects(connection, suspects)
        first_id = partitions.ids_of(days[0])[0] if days else 0
        lost = await connection.fetch(_REFERENCES, first_id, SUSPECTS_MAX, timeout=UNLIMITED_S)
        parked = await connection.fetchrow(_PARKED)
    assert parked is not None
    names = {row["id"]: row["name"] for row in accounts}
    findings = [
        *(_unbalanced(row) for row in accounts if row["unbalanced"]),
        *_judge_accounts(accounts, sums, names),
        *(_of_account(d, names) for d in misstated),
        *(f for rows in suspect_rows for f in judge_message(rows, names)),
        *(_lost_reference(row, names) for row in lost),
    ]
    return AuditReport(
        at=now,
        accounts=[_account_audit(row, sums[row["id"]]) for row in accounts],
        findings=findings,
        bad_messages=bad,
        parked_receipts=parked["waiting"],
        unmatched_receipts=parked["given_up"],
    )


def judge_message(rows: Sequence[Row], names: dict[int, str]) -> list[Finding]:
    """Name what is wrong with one message, from its row beside each of its events."""
    first = rows[0]
    account_id, message_id = AccountId(first["account_id"]), MessageId(first["message_id"])

    def finding(what: str, stored: object, recomputed: object) -> Finding:
        return Finding(
            account=names.get(account_id, str(account_id)),
            message_id=message_id,
            what=what,
            stored=str(stored),
            recomputed=str(recomputed),
        )

    if first["price"] is None:
        return [finding("events without their message", len(rows), 0)]
    events = [row for row in rows if row["kind"] is not None]
    closings = sum(event["closes"] for event in events)
    totals = MessageTotals(
        account_id=account_id,
        message_id=message_id,
        price_micros=Micros(first["price"]),
        posted_micros=Micros(sum(event["posted"] for event in events)),
        voided_micros=Micros(sum(event["voided"] for event in events)),
        refunded_micros=Micros(sum(event["refunded"] for event in events)),
        closed=closings > 0,
        segments_closed_twice=len(_moved_twice(events)),
        segments_refunded_wrongly=len(_refunded_wrongly(events)),
    )
    found = [
        finding(d.what.removeprefix(f"message {message_id}: "), d.stored, d.recomputed)
        for d in verdict([], [], [totals])
    ]
    if closings > 1:
        found.append(finding("closing events, at most", closings, 1))
    status, recomputed = _last(events, "status"), _recompute_status(first["segments"], events)
    if status is not recomputed:
        found.append(finding("status", status.wire, recomputed.wire))
    should_be_closed = status not in (Status.ACCEPTED, Status.SENDING)
    if should_be_closed != (closings > 0):
        found.append(finding(f"closed, being {status.wire}", bool(closings), should_be_closed))
    submitted = {e["segment"] for e in events if e["kind"] == EventKind.SUBMITTED}
    receipts = {e["segment"] for e in events if e["kind"] == EventKind.RECEIPT}
    for segment in sorted(receipts - submitted):
        found.append(finding(f"receipts of segment {segment}, never submitted", 1, 0))
    return found


@asynccontextmanager
async def _snapshot(database: Database) -> AsyncIterator[AnyConnection]:
    """Open one snapshot of everything, in which nothing can be written."""
    async with (
        database.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute(
            f"{PLAN_EACH_TIME}; SET LOCAL statement_timeout = 0; SET LOCAL work_mem = '{WORK_MEM}'"
        )
        yield connection


async def _fetch_suspects(
    connection: AnyConnection, suspects: Sequence[tuple[int, int]]
) -> list[list[Row]]:
    """Return the rows of each suspected message."""
    rows = await connection.fetch(
        _MESSAGES, [account for account, _ in suspects], [message for _, message in suspects]
    )
    by_message: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        by_message.setdefault((row["account_id"], row["message_id"]), []).append(row)
    return list(by_message.values())


def _sums_of_retired(row: Row) -> _Sums:
    return _Sums(
        priced=row["retired_priced"],
        posted=row["retired_posted"],
        voided=row["retired_voided"],
        refunded=row["retired_refunded"],
    )


def _add(sums: _Sums, row: Row) -> None:
    sums.messages += row["messages"]
    sums.open_messages += row["open_messages"]
    sums.priced += row["priced"]
    sums.posted += row["posted"]
    sums.voided += row["voided"]
    sums.refunded += row["refunded"]
    sums.open += row["open"]


def _judge_accounts(
    accounts: Iterable[Row], sums: dict[int, _Sums], names: dict[int, str]
) -> list[Finding]:
    deposits = {row["id"]: row["deposits"] for row in accounts}
    balances = [
        StoredBalance(
            account_id=AccountId(row["id"]),
            available_micros=row["available"],
            deposited_micros=row["deposited"],
            posted_micros=row["posted"],
            refunded_micros=row["refunded"],
            floor_micros=row["floor"],
        )
        for row in accounts
    ]
    totals = [
        RowTotals(
            account_id=AccountId(account_id),
            deposited_micros=deposits.get(account_id, Micros(0)),
            priced_micros=Micros(s.priced),
            posted_micros=Micros(s.posted),
            voided_micros=Micros(s.voided),
            refunded_micros=Micros(s.refunded),
            open_micros=Micros(s.open),
        )
        for account_id, s in sums.items()
    ]
    return [_of_account(d, names) for d in verdict(balances, totals)]


def _judge_usage(day: date, rows: Iterable[Row], stated: Iterable[Row]) -> Iterator[Disagreement]:
    """Compare what statements say of a day with its messages."""
    recomputed = {row["account_id"]: row for row in rows}
    by_account = {row["account_id"]: row for row in stated}
    for account_id in recomputed.keys() | by_account.keys():
        row, said = recomputed.get(account_id), by_account.get(account_id)
        for what, column in (
            ("messages", "counted_messages"),
            ("segments", "counted_segments"),
            ("priced", "counted_priced"),
            ("voided", "voided"),
            ("refunded", "refunded"),
        ):
            is_now = said[what] if said else 0
            should_be = row[column] if row else 0
            if is_now != should_be:
                name = f"{what} of {day} in statements"
                yield Disagreement(AccountId(account_id), name, is_now, should_be)


def _of_account(d: Disagreement, names: dict[int, str]) -> Finding:
    return Finding(
        account=names.get(d.account_id, str(d.account_id)),
        what=d.what,
        stored=str(d.stored),
        recomputed=str(d.recomputed),
    )


def _unbalanced(row: Row) -> Finding:
    return Finding(account=row["name"], what="rows of money", stored="missing", recomputed="2")


def _lost_reference(row: Row, names: dict[int, str]) -> Finding:
    return Finding(
        account=names.get(row["account_id"], str(row["account_id"])),
        message_id=MessageId(row["message_id"]),
        what=f"a row of {row['what']} for a message that is not there",
        stored="1",
        recomputed="0",
    )


def _account_audit(row: Row, sums: _Sums) -> AccountAudit:
    return AccountAudit(
        account=row["name"],
        messages=sums.messages,
        open_messages=sums.open_messages,
        deposited_micros=row["deposits"],
        posted_micros=sums.posted,
        voided_micros=sums.voided,
        refunded_micros=sums.refunded,
        reserved_micros=sums.open,
        available_micros=row["deposits"] - sums.priced + sums.voided + sums.refunded,
    )


def _moved_twice(events: Iterable[Row]) -> set[int]:
    once: set[int] = set()
    twice: set[int] = set()
    for event in events:
        if event["posted"] or event["voided"]:
            (twice if event["segment"] in once else once).add(event["segment"])
    return twice


def _refunded_wrongly(events: Sequence[Row]) -> set[int]:
    """Return the segments of which something else than what was posted once was refunded."""
    posted: Counter[int] = Counter()
    refunded: Counter[int] = Counter()
    for event in events:
        posted[event["segment"]] += event["posted"]
        refunded[event["segment"]] += event["refunded"]
    return {segment for segment, micros in refunded.items() if micros not in (0, posted[segment])}


def _last(events: Iterable[Row], column: str) -> Status:
    """Return the last state: a final one never goes back, so it outranks time."""
    return max(
        ((Status(e[column]).final, e["at"], Status(e[column])) for e in events),
        default=(False, 0.0, Status.ACCEPTED),
    )[2]


def _recompute_status(segments: int, events: Sequence[Row]) -> Status:
    return aggregate(
        _last((e for e in events if e["segment"] == number), "segment_status")
        for number in range(1, segments + 1)
    )
