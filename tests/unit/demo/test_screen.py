"""The table fits every terminal from 80 columns on and tells each journey's state."""

from __future__ import annotations

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from gateway.demo.cases import CASES
from gateway.demo.journey import Answer, Journey
from gateway.demo.screen import build_table
from gateway.views import EventView, MessageView, SegmentView


def render(journeys: list[Journey], width: int) -> list[str]:
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None, force_terminal=False)
    console.print(build_table(journeys, width))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def travelled() -> Journey:
    event = EventView(at="", kind="submitted", segment=1, status="", carrier="north")
    other = EventView(at="", kind="submitted", segment=1, status="", carrier="south")
    parts = [
        SegmentView(
            number=n,
            status="delivered",
            carrier_message_id="180617217",
            submitted_at="2026-01-31T09:00:00.000Z",
            receipt_at=f"2026-01-31T09:00:1{n}.250Z",
        )
        for n in (1, 2, 3)
    ]
    view = MessageView(
        id="1",
        status="undelivered",
        to="491713920011",
        sender="Demo",
        text="",
        encoding="gsm7",
        segments=3,
        priority="otp",
        price="12.345",
        currency="EUR",
        country="DE",
        carrier="south",
        client_ref="",
        tag="",
        accepted_at="",
        expires_at="",
        parts=parts,
        events=[event, other],
    )
    answer = Answer(http_status=202, message_id="1")
    return Journey(case=CASES[-1], answer=answer, view=view)


@pytest.mark.parametrize("width", [80, 100, 110, 120, 200])
def test_a_row_is_one_line_of_the_terminal(width: int) -> None:
    lines = render([travelled(), *(Journey(case=case) for case in CASES)], width)
    assert len(lines) == 2 + 1 + len(CASES)
    assert max(map(len, lines)) <= width
    row = lines[2]
    for cell in ("undelivered", "gsm7", "north→south", "180617217 +2", "13.25 s", "12.345"):
        assert cell in row


def test_what_has_not_begun_is_a_dot() -> None:
    (*_, row) = render([Journey(case=CASES[0])], 80)
    assert row.split() == ["plain", "text", "·"]


def test_a_refused_request_says_why_where_there_is_room() -> None:
    answer = Answer(http_status=422, code="number_too_short", field="to")
    journey = Journey(case=CASES[-1], answer=answer)
    assert "HTTP 422" in render([journey], 80)[-1]
    assert "number_too_short: to" in render([journey], 120)[-1]


def test_a_price_that_is_given_back_costs_nothing() -> None:
    journey = travelled()
    assert journey.view is not None
    assert journey.cost == "12.345"
    journey.view = replace(journey.view, status="rejected")
    assert journey.cost == "0"
