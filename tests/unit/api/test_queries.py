"""Ids, filters and cursors in URLs."""

from __future__ import annotations

import pytest

from gateway.api.queries import (
    MESSAGE_ID_MAX,
    build_inbound_search,
    build_search,
    check_parameters,
    open_cursor,
    parse_instant,
    parse_message_id,
    seal_cursor,
    seal_page,
)
from gateway.errors import Rejected
from gateway.model import MessageId
from gateway.views import InboundPage, InboundSearch, Page, Search

NOTHING = {
    "status": "",
    "to": "",
    "client_ref": "",
    "tag": "",
    "accepted_from": "",
    "accepted_until": "",
    "cursor": "",
}


def search(**given: str) -> Search:
    return build_search(**{**NOTHING, **given}, limit=50)


@pytest.mark.parametrize("text", ["1", "263546872340938752", str(MESSAGE_ID_MAX)])
def test_an_id_is_a_number(text: str) -> None:
    assert parse_message_id(text) == int(text)


@pytest.mark.parametrize(
    "text", ["", "0", "01", "-1", "+1", "1.0", "1 ", "abc", "١", "9" * 20, str(MESSAGE_ID_MAX + 1)]
)
def test_another_id_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_message_id(text)
    assert (caught.value.status, caught.value.code, caught.value.field) == (422, "invalid_id", "id")


@pytest.mark.parametrize("below", [0, 1, 263546872340938752, MESSAGE_ID_MAX])
def test_a_cursor_comes_back_as_the_id_it_was_made_of(below: int) -> None:
    assert open_cursor(seal_cursor(MessageId(below))) == below


def test_a_cursor_with_any_character_changed_is_refused() -> None:
    cursor = seal_cursor(MessageId(263546872340938752))
    for place in range(len(cursor)):
        other = "B" if cursor[place] == "A" else "A"
        with pytest.raises(Rejected) as caught:
            open_cursor(cursor[:place] + other + cursor[place + 1 :])
        assert (caught.value.code, caught.value.field) == ("invalid_cursor", "cursor")


@pytest.mark.parametrize("text", ["x", "1", "263546872340938752", "ä" * 16, "=" * 16, "*" * 16])
def test_what_was_never_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(Rejected):
        open_cursor(text)


def test_a_cursor_beyond_all_ids_is_refused() -> None:
    with pytest.raises(Rejected):
        open_cursor(seal_cursor(MessageId(MESSAGE_ID_MAX + 1)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-01-31T08:00:00+01:00", 1769842800.0),
        ("2026-01-31T07:00:00.250Z", 1769842800.25),
        ("2026-01-31T07:00:00.123456789Z", 1769842800.123456),
    ],
)
def test_an_instant_has_an_offset(text: str, seconds: float) -> None:
    assert parse_instant(text, "from") == seconds


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31",
        "2026-01-31T08:00:00",
        "2026-01-31T08:00:00 01:00",
        "2026-02-30T08:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T08:00:00+99:00",
        "0000-01-01T00:00:00Z",
        "20260131T080000Z",
        "1769842800",
        "now",
    ],
)
def test_another_date_is_refused_with_its_field(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_instant(text, "until")
    assert (caught.value.code, caught.value.field) == ("invalid_date", "until")


def test_no_parameter_is_any_message() -> None:
    assert search() == Search(limit=50)


def test_every_filter_arrives_in_the_search() -> None:
    assert search(
        status="delivered",
        to="+4917012345678",
        client_ref="r",
        tag="t",
        accepted_from="1970-01-01T00:00:01Z",
        accepted_until="1970-01-01T00:00:02Z",
        cursor=seal_cursor(MessageId(9)),
    ) == Search(
        status="delivered",
        to="4917012345678",
        client_ref="r",
        tag="t",
        accepted_from=1.0,
        accepted_until=2.0,
        before=MessageId(9),
        limit=50,
    )


def test_a_plus_that_arrives_as_a_space_is_still_a_number() -> None:
    assert search(to=" 4917012345678").to == "4917012345678"


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"status": "sent"}, "invalid_status", "status"),
        ({"to": "Shop"}, "invalid_number", "to"),
        ({"to": "1" * 16}, "invalid_number", "to"),
        ({"to": "\0"}, "invalid_number", "to"),
        ({"client_ref": "x" * 256}, "invalid_filter", "client_ref"),
        ({"tag": "a\0"}, "invalid_filter", "tag"),
        ({"accepted_from": "x"}, "invalid_date", "from"),
        ({"cursor": "x"}, "invalid_cursor", "cursor"),
        (
            {"accepted_from": "1970-01-01T00:00:02Z", "accepted_until": "1970-01-01T00:00:02Z"},
            "invalid_range",
            "until",
        ),
    ],
)
def test_a_wrong_filter_is_refused(given: dict[str, str], code: str, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        search(**given)
    assert (caught.value.status, caught.value.code, caught.value.field) == (422, code, field)


def test_a_scheduled_message_can_be_searched_for() -> None:
    assert search(status="scheduled").status == "scheduled"


def test_an_unknown_parameter_is_told_the_nearest() -> None:
    with pytest.raises(Rejected) as caught:
        check_parameters(b"stauts=delivered", ("status", "to"))
    assert (caught.value.code, caught.value.field) == ("unknown_parameter", "stauts")
    assert caught.value.detail == "no parameter 'stauts'; did you mean 'status'?"


def test_a_parameter_given_twice_is_refused() -> None:
    with pytest.raises(Rejected) as caught:
        check_parameters(b"to=1&status=&%74o=2", ("status", "to"))
    assert (caught.value.code, caught.value.field) == ("duplicate_parameter", "to")


def test_known_parameters_pass() -> None:
    check_parameters(b"", ("to",))
    check_parameters(b"to=1&&status", ("status", "to"))


NOTHING_INBOUND = {
    "to": "",
    "sender": "",
    "received_from": "",
    "received_until": "",
    "cursor": "",
}


def test_messages_from_phones_are_searched_by_both_ends_and_time() -> None:
    given = {
        "to": " 40404",  # an unescaped plus arrives as a space
        "sender": "+491511",
        "received_from": "2026-01-31T08:00:00Z",
        "cursor": seal_cursor(MessageId(7)),
    }
    assert build_inbound_search(**{**NOTHING_INBOUND, **given}, limit=5) == InboundSearch(
        to="40404", sender="+491511", received_from=1769846400.0, before=MessageId(7), limit=5
    )
    assert build_inbound_search(**NOTHING_INBOUND, limit=50) == InboundSearch()


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"sender": "x" * 256}, "invalid_filter", "sender"),
        ({"to": "\0"}, "invalid_filter", "to"),
        ({"received_from": "today"}, "invalid_date", "from"),
        ({"cursor": "x"}, "invalid_cursor", "cursor"),
        (
            {
                "received_from": "2026-01-31T08:00:00Z",
                "received_until": "2026-01-31T08:00:00Z",
            },
            "invalid_range",
            "until",
        ),
    ],
)
def test_a_wrong_search_for_messages_from_phones_is_refused(
    given: dict[str, str], code: str, field: str
) -> None:
    with pytest.raises(Rejected) as caught:
        build_inbound_search(**{**NOTHING_INBOUND, **given}, limit=50)
    assert (caught.value.code, caught.value.field) == (code, field)


def test_a_pages_cursor_is_sealed_unless_it_is_the_last() -> None:
    assert seal_page(Page(messages=[])) == Page(messages=[])
    sealed = seal_page(InboundPage(messages=[], next_cursor="41"))
    assert open_cursor(sealed.next_cursor) == 41
