"""Values that are handed on must stay what they were when they were decided."""

from __future__ import annotations

import pytest

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


def test_an_event_can_not_be_changed_while_it_waits_to_be_written() -> None:
    with pytest.raises(AttributeError):
        event().closes = True  # type: ignore[misc]  # what this is about
