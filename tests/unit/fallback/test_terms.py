"""Which ends of a message cause an email."""

from __future__ import annotations

import pytest

from gateway.fallback.terms import (
    ALL_TRIGGERS,
    TRIGGERS,
    EmailContent,
    NotNeeded,
    Trigger,
    decide_need,
    identify_content,
)
from gateway.lifecycle import Status


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (Status.ACCEPTED, Trigger.NO_RECEIPT),
        (Status.SENDING, Trigger.NO_RECEIPT),
        (Status.SUBMITTED, Trigger.NO_RECEIPT),
        (Status.DELIVERED, None),
        (Status.UNDELIVERED, Trigger.UNDELIVERED),
        (Status.EXPIRED, Trigger.EXPIRED),
        (Status.REJECTED, Trigger.REJECTED),
        (Status.DELETED, Trigger.UNDELIVERED),
        (Status.CANCELED, None),
        (Status.UNKNOWN, Trigger.NO_RECEIPT),
    ],
)
def test_every_status_has_its_reason_or_none(status: Status, reason: Trigger | None) -> None:
    need = decide_need(status, ALL_TRIGGERS)
    assert need == (NotNeeded() if reason is None else reason)
    if reason is not None:
        assert decide_need(status, reason) is reason
        assert decide_need(status, ALL_TRIGGERS & ~reason) == NotNeeded()


def test_every_status_is_in_the_table_above() -> None:
    marks = test_every_status_has_its_reason_or_none.pytestmark  # type: ignore[attr-defined]
    assert {status for status, _ in marks[0].args[1]} == set(Status)


def test_the_words_are_those_of_the_api() -> None:
    assert list(TRIGGERS) == ["undelivered", "expired", "rejected", "no_receipt"]
    assert Trigger(15) is ALL_TRIGGERS


def test_a_content_is_stored_once_a_day() -> None:
    content = EmailContent("s", "t")
    assert identify_content(content, 1) == identify_content(EmailContent("s", "t"), 1)
    others = {
        identify_content(EmailContent(*other), day)
        for other, day in [
            (("s", "t"), 1),
            (("s", "t"), 2),
            (("s", "", "t"), 1),
            (("st",), 1),
            (("s", "t", "", "r@x.example"), 1),
        ]
    }
    assert len(others) == 5
