from __future__ import annotations

from typing import Any

import pytest

from gateway.lifecycle import EventKind, Status
from gateway.store.message_views import format_time, summary_view, whole_message_view
from gateway.views import MessageView

NOW = 1_795_300_000.0
NAMES = {1: "north", 2: "south"}


def message(**columns: Any) -> dict[str, Any]:
    return {
        "id": 460_000_000_000_000_000,
        "carrier_id": 1,
        "lane": 0,
        "sender": "Shop",
        "recipient": "4917012345678",
        "country": "DE",
        "body": "Hello",
        "data": None,
        "udh": None,
        "encoding": 0,
        "segments": 1,
        "price_micros": 7_500,
        "client_ref": None,
        "tag": None,
        "send_at": None,
        "expires_at": NOW + 3_600,
        "tlvs": None,
    } | columns


def event(kind: EventKind, after: Status, at: float = NOW, **columns: Any) -> dict[str, Any]:
    return {
        "at": at,
        "kind": kind,
        "segment": 1,
        "segment_status": after,
        "status": after,
        "carrier_id": 1,
        "carrier_message_id": None,
        "code": None,
        "error": None,
        "posted_micros": 0,
        "voided_micros": 0,
        "refunded_micros": None,
    } | columns


def whole(row: dict[str, Any], *events: dict[str, Any]) -> MessageView:
    return whole_message_view(row, events, now=NOW, currency="EUR", names=NAMES)


def test_events_say_what_they_moved_and_a_refund_comes_after_its_receipt() -> None:
    view = whole(
        message(),
        event(EventKind.REFUND, Status.UNDELIVERED, NOW + 2, refunded_micros=7_500),
        event(EventKind.RECEIPT, Status.UNDELIVERED, NOW + 2, error="045"),
        event(EventKind.SUBMITTED, Status.SUBMITTED, posted_micros=7_500),
    )
    assert [(e.kind, e.posted, e.voided, e.refunded) for e in view.events] == [
        ("submitted", "0.0075", "", ""),
        ("receipt", "", "", ""),
        ("refund", "", "", "0.0075"),
    ]
    assert view.parts[0].error == "045"


def test_times_are_utc_with_milliseconds() -> None:
    assert format_time(1_795_300_000.1239) == "2026-11-21T22:26:40.123Z"
    assert format_time(0.0) == "1970-01-01T00:00:00.000Z"
    assert format_time(None) == ""


def test_a_message_is_shown_in_words() -> None:
    view = summary_view(
        message(client_ref="order-7", tag="codes"),
        Status.DELIVERED,
        2,
        now=NOW,
        currency="EUR",
        names=NAMES,
    )
    assert (view.status, view.carrier, view.priority) == ("delivered", "south", "otp")
    assert (view.price, view.currency, view.encoding) == ("0.0075", "EUR", "gsm7")
    assert (view.client_ref, view.tag, view.to) == ("order-7", "codes", "4917012345678")
    assert view.send_at == ""


def test_binary_content_is_shown_in_hex() -> None:
    view = whole(message(body="", data=b"\x00\xff", udh=b"\x05\x00", encoding=2))
    assert (view.text, view.data, view.udh, view.encoding) == ("", "00ff", "0500", "binary")


def test_tlvs_are_shown_in_hex_by_their_tags() -> None:
    view = whole(message(tlvs=b"\x14\x01\0\2ID\x00\x05\0\1\3"))
    assert view.tlvs == {"0x1401": "4944", "0x0005": "03"}
    assert whole(message()).tlvs == {}


def test_a_message_for_later_is_scheduled_until_its_hour() -> None:
    assert whole(message(send_at=NOW + 1)).status == "scheduled"
    assert whole(message(send_at=NOW)).status == "accepted"


def test_a_message_canceled_before_its_hour_is_canceled() -> None:
    view = whole(message(send_at=NOW + 60), event(EventKind.CANCELED, Status.CANCELED))
    assert view.status == "canceled"


def test_a_receipt_that_overtook_its_response_comes_last() -> None:
    view = whole(
        message(),
        event(EventKind.RECEIPT, Status.DELIVERED, NOW - 1, carrier_message_id="a", code=2),
        event(EventKind.SUBMITTED, Status.SUBMITTED, NOW, carrier_message_id="a", code=0),
    )
    assert view.status == "delivered"
    assert [e.kind for e in view.events] == ["submitted", "receipt"]
    assert view.parts[0].status == "delivered"
    assert view.parts[0].submitted_at == format_time(NOW)
    assert view.parts[0].receipt_at == format_time(NOW - 1)


def test_codes_are_named_by_what_brought_them() -> None:
    view = whole(
        message(),
        event(EventKind.RETRY, Status.ACCEPTED, NOW, code=0x58),
        event(EventKind.RETRY, Status.ACCEPTED, NOW + 1, code=0x1234, error="full"),
        event(EventKind.RETRY, Status.ACCEPTED, NOW + 2, error="bind lost"),
        event(EventKind.SUBMITTED, Status.SUBMITTED, NOW + 3),
        event(EventKind.RECEIPT, Status.UNDELIVERED, NOW + 4, code=5, error="011"),
        event(EventKind.RECEIPT, Status.UNDELIVERED, NOW + 5, code=77),
    )
    said = [(e.command_status, e.receipt_state, e.error) for e in view.events]
    assert said == [
        ("ESME_RTHROTTLED", "", ""),
        ("0x00001234", "", "full"),
        ("", "", "bind lost"),
        ("", "", ""),
        ("", "undeliverable", "011"),
        ("", "77", ""),
    ]


def test_each_part_keeps_its_own_way() -> None:
    view = whole(
        message(segments=3),
        event(EventKind.SUBMITTED, Status.SUBMITTED, NOW, carrier_message_id="a"),
        event(EventKind.SUBMITTED, Status.SUBMITTED, NOW + 1, segment=2, carrier_message_id="b"),
        event(EventKind.RECEIPT, Status.DELIVERED, NOW + 2, status=Status.SENDING),
    )
    assert [(p.number, p.status, p.carrier_message_id) for p in view.parts] == [
        (1, "delivered", "a"),
        (2, "submitted", "b"),
        (3, "accepted", ""),
    ]


def test_a_part_taken_after_trouble_shows_the_carrier_that_took_it_and_no_error() -> None:
    view = whole(
        message(),
        event(EventKind.RETRY, Status.ACCEPTED, NOW, error="bind lost"),
        event(EventKind.SUBMITTED, Status.SUBMITTED, NOW + 1, carrier_id=2),
    )
    assert (view.carrier, view.parts[0].carrier, view.parts[0].error) == ("south", "south", "")


def test_a_carrier_without_a_name_is_shown_by_its_number() -> None:
    assert whole(message(carrier_id=9)).carrier == "9"


@pytest.mark.parametrize("segment", [0, 2, 99])
def test_a_broken_segment_number_hides_nothing(segment: int) -> None:
    view = whole(message(), event(EventKind.SUBMITTED, Status.SUBMITTED, segment=segment))
    assert len(view.events) == len(view.parts) == 1


def fallback(state: int, **columns: Any) -> dict[str, Any]:
    return {
        "address": "anna@example.com",
        "triggers": 9,
        "due_at": None,
        "attempts": 0,
        "state": state,
        "reason": None,
        "settled_at": None,
        "reply": "",
    } | columns


def test_a_fallback_that_waits_is_shown_and_makes_no_event() -> None:
    row = fallback(0, due_at=NOW)
    view = whole_message_view(message(), [], now=NOW, currency="EUR", names=NAMES, fallback=row)
    assert view.fallback is not None
    assert (view.fallback.to, view.fallback.state) == ("anna@example.com", "waiting")
    assert view.fallback.on == ["undelivered", "no_receipt"]
    assert view.fallback.due_at == format_time(NOW)
    assert view.events == []


@pytest.mark.parametrize(("state", "kind"), [(1, "email_sent"), (2, "email_failed"), (3, None)])
def test_the_end_of_an_email_stands_among_the_events_at_its_time(
    state: int, kind: str | None
) -> None:
    events = [
        event(EventKind.SUBMITTED, Status.SUBMITTED),
        event(EventKind.RECEIPT, Status.DELIVERED, NOW + 20),
    ]
    row = fallback(state, reason=8, settled_at=NOW + 10, reply="250 ok")
    view = whole_message_view(message(), events, now=NOW, currency="EUR", names=NAMES, fallback=row)
    kinds = [each.kind for each in view.events]
    assert view.status == "delivered"
    if kind is None:
        assert kinds == ["submitted", "receipt"]
        return
    assert kinds == ["submitted", kind, "receipt"]
    email = view.events[1]
    assert (email.segment, email.status, email.error) == (0, "submitted", "250 ok")
