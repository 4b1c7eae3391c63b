"""Whether everything came as it had to: one verdict a message, and those that hold for all. Pure.

Three accounts of the same run are held against the expectations: what the API says of each
message, what the balance says, and what the carriers counted at the other end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from gateway.credit.prices import format_micros, parse_micros
from gateway.demo.cases import CREDIT, Case, Outcome, Refusal, Replay
from gateway.demo.journey import Journey, seconds_between
from gateway.store.audit import AuditReport
from gateway.views import Balance

Found = Iterable[tuple[str, object, object]]
"""What was looked at, what it had to be, and what it was."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that had to be so."""

    label: str
    holds: bool
    detail: str


def check_journeys(journeys: Sequence[Journey]) -> list[Check]:
    """Compare what became of each request with what had to."""
    by_label = {journey.case.label: journey for journey in journeys}
    return [_check_journey(journey, by_label) for journey in journeys]


def check_balance(cases: Sequence[Case], balance: Balance) -> Check:
    """Compare the balance with the arithmetic of what the messages had to cost."""
    spent = sum(_price(o) for o in _outcomes(cases) if o.charged)
    left = parse_micros(CREDIT) - spent
    found = [
        ("available", format_micros(left), balance.available),
        ("posted", format_micros(spent), balance.posted),
        ("reserved", "0", balance.reserved),
        ("deposited", CREDIT, balance.deposited),
    ]
    detail = f"{CREDIT} − {format_micros(spent)} = {balance.available} {balance.currency}"
    return _check("balance", found, f"{detail}, nothing reserved")


def check_audit(cases: Sequence[Case], report: AuditReport) -> Check:
    """Say whether the audit agrees, and has seen all of it."""
    outcomes = _outcomes(cases)
    posted = sum(_price(o) for o in outcomes if o.charged)
    voided = sum(_price(o) for o in outcomes if not o.charged)
    found: list[tuple[str, object, object]] = [
        (f"{f.account} {f.message_id or ''} {f.what}", f.recomputed, f.stored)
        for f in report.findings
    ]
    totals = report.accounts
    found += [
        ("messages", len(outcomes), sum(account.messages for account in totals)),
        ("open messages", 0, sum(account.open_messages for account in totals)),
        ("posted", posted, sum(account.posted_micros for account in totals)),
        ("given back", voided, sum(account.voided_micros for account in totals)),
        ("receipts without a message", 0, report.parked_receipts + report.unmatched_receipts),
    ]
    detail = (
        f"agrees: {len(outcomes)} messages, {format_micros(posted)} posted,"
        f" {format_micros(voided)} given back"
    )
    return _check("audit", found, detail)


def check_carriers(cases: Sequence[Case], counts: Mapping[str, Mapping[str, Any]]) -> Check:
    """Compare what had to arrive with what each carrier, by name, counted at its end."""
    found: list[tuple[str, object, object]] = []
    total = 0
    for name, counted in counts.items():
        expected = sum(o.segments for o in _outcomes(cases) if o.charged and o.carrier == name)
        total += expected
        found += [
            (f"segments taken by {name}", expected, counted["statuses"].get("0x0", 0)),
            (f"segments twice at {name}", 0, counted["duplicates"]),
            (f"receipts acknowledged to {name}", expected, counted["receipts"]["acknowledged"]),
            (f"malformed PDUs at {name}", 0, counted["malformed_pdus"]),
            (f"binds lost by {name}", 0, counted["binds"]["lost"]),
        ]
    return _check("carriers", found, f"counted {total} segments, none twice, a receipt for each")


def check_stop(exit_status: int) -> Check:
    """Say whether the gateway stopped in order."""
    return _check("stop", [("exit status", 0, exit_status)], "the gateway stopped in order")


def _check_journey(journey: Journey, by_label: Mapping[str, Journey]) -> Check:
    match journey.case.expected:
        case Outcome() as outcome:
            return _check_outcome(journey, outcome)
        case Refusal() as refusal:
            return _check_refusal(journey, refusal)
        case Replay(of=label):
            return _check_replay(journey, by_label[label])


def _check_outcome(journey: Journey, expected: Outcome) -> Check:
    view, label = journey.view, journey.case.label
    if view is None:
        return Check(label=label, holds=False, detail=f"was not accepted: {journey.state}")
    delivered_or_not = ("delivered", "undelivered")
    found: list[tuple[str, object, object]] = [
        ("status", expected.status, view.status),
        ("segments", expected.segments, view.segments),
        ("encoding", expected.encoding, view.encoding),
        ("carrier", expected.carrier, journey.carriers[-1] if journey.carriers else ""),
        ("price", expected.price, view.price),
        ("refusal", expected.refusal, next(iter(journey.refusals), "")),
        ("receipt's error", expected.receipt_error, next(iter(journey.receipt_errors), "")),
        (
            "carrier's ids",
            expected.segments if expected.charged else 0,
            len(set(journey.carrier_ids)),
        ),
        ("receipts", expected.status in delivered_or_not, journey.receipt_s is not None),
    ]
    if view.send_at and expected.charged:
        times = [part.submitted_at for part in view.parts if part.submitted_at]
        early = any(seconds_between(view.send_at, time) < 0 for time in times)
        found.append(("left before its time", False, early))
    return _check(label, found, _summary(expected, view.currency))


def _summary(expected: Outcome, currency: str) -> str:
    words = expected.status
    if expected.carrier:
        words += f" by {expected.carrier}"
    if not expected.charged:
        why = f": {expected.refusal}" if expected.refusal else ""
        return f"{words}{why}, {expected.price} {currency} given back"
    if expected.refusal:
        words += f" after {expected.refusal}"
    return f"{words}, {expected.segments} × {expected.encoding}, {expected.price} {currency}"


def _check_refusal(journey: Journey, expected: Refusal) -> Check:
    answer = journey.answer
    assert answer is not None, "every request was answered"
    found = [
        ("HTTP status", expected.http_status, answer.http_status),
        ("code", expected.code, answer.code),
        ("field", expected.field, answer.field),
    ]
    detail = f"refused with {expected.http_status} {expected.code}, field “{expected.field}”"
    return _check(journey.case.label, found, detail)


def _check_replay(journey: Journey, first: Journey) -> Check:
    answer = journey.answer
    assert answer is not None and first.answer is not None, "every request was answered"
    found = [
        ("replayed", True, answer.replayed),
        ("message", first.answer.message_id, answer.message_id),
    ]
    return _check(journey.case.label, found, "one Idempotency-Key, one message, charged once")


def _check(label: str, found: Found, detail: str) -> Check:
    """Make one verdict of what was looked at; `detail` is what is said when all of it fits."""
    wrong = [f"{what}: {was} instead of {wanted}" for what, wanted, was in found if was != wanted]
    return Check(label=label, holds=not wrong, detail="; ".join(wrong) or detail)


def _outcomes(cases: Sequence[Case]) -> list[Outcome]:
    return [case.expected for case in cases if isinstance(case.expected, Outcome)]


def _price(outcome: Outcome) -> int:
    return parse_micros(outcome.price)
