"""What an event says when nobody says otherwise."""

from __future__ import annotations

from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Event


def event() -> Event:
    return Event(
        MessageId(1),
        AccountId(2),
        3.0,
        EventKind.RETRY,
        1,
        Status.ACCEPTED,
        Status.ACCEPTED,
        False,
    )


def test_an_event_moves_no_money_unless_it_says_so() -> None:
    assert (event().posted_micros, event().voided_micros) == (0, 0)
