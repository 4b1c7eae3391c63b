"""A demonstration that could not fail would show nothing: every way of going wrong is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.credit.prices import parse_micros
from gateway.demo.cases import CASES, Case, Outcome, Refusal, Replay
from gateway.demo.checks import (
    Check,
    check_audit,
    check_balance,
    check_carriers,
    check_journeys,
    check_stop,
)
from gateway.demo.journey import Answer, Journey
from gateway.store.audit import AccountAudit, AuditReport, Finding
from gateway.views import Balance, EventView, MessageView, SegmentView

SEND_AT = "2026-01-31T09:00:00.000Z"
SUBMITTED_AT = "2026-01-31T09:00:01.000Z"
RECEIPT_AT = "2026-01-31T09:00:02.500Z"


def journey_of(case: Case) -> Journey:
    """Return the journey that the case expects."""
    match case.expected:
        case Refusal(http_status=status, code=code, field=field):
            return Journey(case=case, answer=Answer(http_status=status, code=code, field=field))
        case Replay():
            answer = Answer(http_status=202, message_id=CASES[0].label, replayed=True)
            return Journey(case=case, answer=answer)
        case Outcome() as outcome:
            answer = Answer(http_status=202, message_id=case.label)
            return Journey(case=case, answer=answer, view=view_of(case, outcome))


def view_of(case: Case, outcome: Outcome) -> MessageView:
    taken = range(1, outcome.segments + 1) if outcome.charged else range(0)
    events = []
    if outcome.refusal:
        refuser = "north" if outcome.charged else outcome.carrier
        kind = "retry" if outcome.charged else "refused"
        events.append(event(kind, 1, carrier=refuser, command_status=outcome.refusal))
    events += [event("submitted", n, carrier=outcome.carrier) for n in taken]
    errors = outcome.receipt_error or "000"
    events += [event("receipt", n, carrier=outcome.carrier, error=errors) for n in taken]
    parts = [
        SegmentView(
            number=n,
            status=outcome.status,
            carrier_message_id=f"id-{n}" if n in taken else "",
            submitted_at=SUBMITTED_AT if n in taken else "",
            receipt_at=RECEIPT_AT if n in taken else "",
        )
        for n in range(1, outcome.segments + 1)
    ]
    return MessageView(
        id=case.label,
        status=outcome.status,
        to=case.to,
        sender="Demo",
        text=case.text,
        encoding=outcome.encoding,
        segments=outcome.segments,
        priority="transactional",
        price=outcome.price,
        currency="EUR",
        country="",
        carrier=outcome.carrier,
        client_ref="",
        tag="",
        accepted_at=SEND_AT,
        send_at=SEND_AT if case.send_in_s else "",
        expires_at=RECEIPT_AT,
        parts=parts,
        events=events,
    )


def event(kind: str, segment: int, **columns: str) -> EventView:
    return EventView(at=SUBMITTED_AT, kind=kind, segment=segment, status="", **columns)


def verdicts(label: str, **changes: Any) -> list[Check]:
    """Judge all journeys, one of which has another view than it should."""
    journeys = [journey_of(case) for case in CASES]
    (changed,) = [journey for journey in journeys if journey.case.label == label]
    assert changed.view is not None
    changed.view = replace(changed.view, **changes)
    return check_journeys(journeys)


def failed(checks: list[Check]) -> list[str]:
    return [check.label for check in checks if not check.holds]


def test_what_is_expected_holds() -> None:
    checks = check_journeys([journey_of(case) for case in CASES])
    assert failed(checks) == []
    assert [check.label for check in checks] == [case.label for case in CASES]


@pytest.mark.parametrize(
    ("label", "changes", "said"),
    [
        ("plain text", {"status": "undelivered"}, "status: undelivered instead of delivered"),
        ("plain text", {"status": "submitted"}, "status: submitted instead of delivered"),
        ("three segments", {"segments": 2}, "segments: 2 instead of 3"),
        ("emoji", {"encoding": "gsm7"}, "encoding: gsm7 instead of ucs2"),
        ("emoji", {"price": "0.08"}, "price: 0.08 instead of 0.04"),
        ("emoji", {"events": [event("submitted", 1, carrier="north")]}, "carrier: north instead"),
        ("refused", {"events": [event("refused", 1, carrier="north")]}, "refusal:  instead of"),
        (
            "undelivered",
            {"events": [event("receipt", 1, carrier="south", error="000")]},
            "receipt's error:  instead of 027",
        ),
        (
            "three segments",
            {
                "parts": [
                    SegmentView(
                        number=n,
                        status="delivered",
                        carrier_message_id="the same one",
                        submitted_at=SUBMITTED_AT,
                        receipt_at=RECEIPT_AT,
                    )
                    for n in (1, 2, 3)
                ]
            },
            "carrier's ids: 1 instead of 3",
        ),
        (
            "plain text",
            {
                "parts": [
                    SegmentView(
                        number=1,
                        status="delivered",
                        carrier_message_id="1",
                        submitted_at=SUBMITTED_AT,
                    )
                ]
            },
            "receipts: False instead of True",
        ),
        (
            "scheduled",
            {"send_at": "2026-01-31T09:00:01.001Z"},
            "left before its time: True instead of False",
        ),
        (
            "canceled",
            {
                "parts": [
                    SegmentView(
                        number=1, status="submitted", carrier_message_id="it left after all"
                    )
                ]
            },
            "carrier's ids: 1 instead of 0",
        ),
    ],
)
def test_a_message_that_went_another_way_is_found(
    label: str, changes: dict[str, Any], said: str
) -> None:
    checks = verdicts(label, **changes)
    assert failed(checks) == [label]
    (check,) = [check for check in checks if not check.holds]
    assert said in check.detail


def test_a_message_that_was_not_accepted_is_found() -> None:
    journeys = [journey_of(case) for case in CASES]
    journeys[3].view = None
    journeys[3].answer = Answer(http_status=402, code="no_credit")
    checks = check_journeys(journeys)
    assert failed(checks) == ["emoji"]
    assert checks[3].detail == "was not accepted: HTTP 402"


@pytest.mark.parametrize(
    ("label", "answer"),
    [
        ("sent twice", Answer(http_status=202, message_id="another", replayed=True)),
        ("sent twice", Answer(http_status=202, message_id=CASES[0].label, replayed=False)),
        ("impossible number", Answer(http_status=202, message_id="accepted after all")),
        (
            "impossible number",
            Answer(http_status=422, code="number_too_short", field="from"),
        ),
    ],
)
def test_a_wrong_answer_is_found(label: str, answer: Answer) -> None:
    journeys = [journey_of(case) for case in CASES]
    (changed,) = [journey for journey in journeys if journey.case.label == label]
    changed.answer = answer
    assert failed(check_journeys(journeys)) == [label]


BALANCE = Balance(
    account="demo",
    currency="EUR",
    available="9.35",
    spendable="9.35",
    reserved="0",
    posted="0.65",
    refunded="0",
    deposited="10",
    floor="0",
)


def test_the_arithmetic_of_the_balance_holds() -> None:
    assert check_balance(CASES, BALANCE).holds


@pytest.mark.parametrize(
    "changes",
    [{"available": "9.34"}, {"reserved": "0.01"}, {"posted": "0.66"}, {"deposited": "11"}],
)
def test_a_wrong_balance_is_found(changes: dict[str, str]) -> None:
    assert not check_balance(CASES, replace(BALANCE, **changes)).holds


REPORT = AuditReport(
    at=0.0,
    accounts=[
        AccountAudit(
            account="demo",
            messages=10,
            open_messages=0,
            deposited_micros=parse_micros("10"),
            posted_micros=parse_micros("0.65"),
            voided_micros=parse_micros("0.115"),
            refunded_micros=0,
            reserved_micros=0,
            available_micros=parse_micros("9.35"),
        )
    ],
    findings=[],
    bad_messages=0,
    parked_receipts=0,
    unmatched_receipts=0,
)


def test_an_audit_that_saw_everything_and_agrees_holds() -> None:
    assert check_audit(CASES, REPORT).holds


def test_what_the_audit_finds_is_said() -> None:
    finding = Finding(account="demo", what="available", stored="9350000", recomputed="9340000")
    check = check_audit(CASES, replace(REPORT, findings=[finding]))
    assert not check.holds
    assert "available: 9350000 instead of 9340000" in check.detail


@pytest.mark.parametrize(
    "changes",
    [
        {"messages": 9},
        {"open_messages": 1},
        {"posted_micros": 0},
        {"voided_micros": parse_micros("0.75")},
    ],
)
def test_an_audit_that_agrees_about_too_little_is_found(changes: dict[str, int]) -> None:
    accounts = [replace(REPORT.accounts[0], **changes)]
    assert not check_audit(CASES, replace(REPORT, accounts=accounts)).holds


def test_a_receipt_that_found_no_message_is_found() -> None:
    assert not check_audit(CASES, replace(REPORT, parked_receipts=1)).holds


def counts(taken: int) -> dict[str, Any]:
    return {
        "statuses": {"0x0": taken, "0xb": 1},
        "duplicates": 0,
        "receipts": {"acknowledged": taken},
        "malformed_pdus": 0,
        "binds": {"lost": 0},
    }


def test_what_the_carriers_counted_holds() -> None:
    assert check_carriers(CASES, {"north": counts(5), "south": counts(6)}).holds


@pytest.mark.parametrize(
    "change",
    [
        lambda north: north["statuses"].update({"0x0": 4}),
        lambda north: north.update(duplicates=1),
        lambda north: north["receipts"].update(acknowledged=4),
        lambda north: north.update(malformed_pdus=1),
        lambda north: north["binds"].update(lost=1),
    ],
)
def test_what_a_carrier_saw_otherwise_is_found(change: Callable[[dict[str, Any]], None]) -> None:
    north = counts(5)
    change(north)
    assert not check_carriers(CASES, {"north": north, "south": counts(6)}).holds


def test_a_gateway_that_did_not_stop_in_order_is_found() -> None:
    assert check_stop(0).holds
    assert not check_stop(-9).holds
