"""What is to be sent: read, made plain where asked to, measured by the first carrier's style."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import Messages
from gateway.content import Content, measure_content, measure_order, one_of, read_content
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.intake import Intake, Tables
from gateway.message import Message, Order
from gateway.model import Account, AccountId, CarrierId, Encoding, SendRequest
from gateway.routing.table import Route, RouteTable
from gateway.text.national import Language
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle

GSM7, UCS2, LATIN1 = Encoding.GSM7, Encoding.UCS2, Encoding.LATIN1
TURKISH = TextStyle(national=(Language.TURKISH,))
SMART = TextStyle(smart=True)
LATIN1_STYLE = TextStyle(alphabet=DefaultAlphabet.LATIN1)
ACCOUNT = Account(id=AccountId(1), name="shop", default_sender="Shop")


def request(**fields: Any) -> SendRequest:
    return SendRequest(**({"to": "491701234567"} | fields))


def measured(style: TextStyle = PLAIN, **fields: Any) -> tuple[str, Encoding, int]:
    asked = request(**fields)
    content, size = measure_content(asked, read_content(asked, 1_000), style)
    return content.text, size.encoding, size.segments


def refusal(style: TextStyle = PLAIN, **fields: Any) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        measured(style, **fields)
    return caught.value.code, caught.value.field


@pytest.mark.parametrize(
    ("fields", "style", "expected"),
    [
        ({"text": "Hello"}, PLAIN, ("Hello", GSM7, 1)),
        ({"text": "ışık"}, PLAIN, ("ışık", UCS2, 1)),
        ({"text": "ışık"}, TURKISH, ("ışık", GSM7, 1)),
        ({"text": "ışık", "encoding": "gsm7"}, TURKISH, ("ışık", GSM7, 1)),
        ({"text": "á"}, LATIN1_STYLE, ("á", LATIN1, 1)),
        ({"text": "a" * 161}, LATIN1_STYLE, ("a" * 161, LATIN1, 2)),
        # typographic characters are replaced when the request or else the carrier says so …
        ({"text": "it’s"}, PLAIN, ("it’s", UCS2, 1)),
        ({"text": "it’s", "smart": True}, PLAIN, ("it's", GSM7, 1)),
        ({"text": "it’s"}, SMART, ("it's", GSM7, 1)),
        ({"text": "it’s", "smart": False}, SMART, ("it’s", UCS2, 1)),
        ({"text": "it’s", "smart": True, "encoding": "gsm7"}, PLAIN, ("it's", GSM7, 1)),
        # … and not in a text that is to be UCS-2
        ({"text": "it’s", "smart": True, "encoding": "ucs2"}, PLAIN, ("it’s", UCS2, 1)),
        ({"text": "it’s ш", "smart": True}, PLAIN, ("it’s ш", UCS2, 1)),
        ({"data": "dead", "smart": True}, SMART, ("", Encoding.BINARY, 1)),
    ],
)
def test_a_text_becomes_what_the_style_makes_of_it(
    fields: dict[str, Any], style: TextStyle, expected: tuple[str, Encoding, int]
) -> None:
    assert measured(style, **fields) == expected


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"text": "a", "message_class": 4}, ("message_class_unknown", "message_class")),
        ({"text": "a", "message_class": -1}, ("message_class_unknown", "message_class")),
        ({"text": "a", "encoding": "latin1"}, ("encoding_unknown", "encoding")),
        ({"text": "a", "encoding": "binary"}, ("encoding_unknown", "encoding")),
        ({"data": "00", "encoding": "gsm7"}, ("encoding_unknown", "encoding")),
        ({}, ("text_missing", "text")),
        ({"text": ""}, ("text_empty", "text")),
        ({"text": "a\0"}, ("text_not_encodable", "text")),
        ({"text": "a" * 1_001}, ("text_too_long", "text")),
        ({"text": "ş", "encoding": "gsm7"}, ("text_not_encodable", "text")),
        ({"text": "\ud83d"}, ("text_not_encodable", "text")),
        ({"text": "a", "data": "00"}, ("text_and_data", "data")),
        ({"text": "a", "udh": "00"}, ("udh_without_data", "udh")),
        ({"data": ""}, ("data_empty", "data")),
        ({"data": "zz"}, ("data_not_hex", "data")),
        ({"data": "00", "udh": "05"}, ("data_not_sendable", "udh")),
        ({"data": "00", "udh": "00" * 141}, ("udh_too_long", "udh")),
    ],
)
def test_what_cannot_be_sent_is_refused_by_its_field(
    fields: dict[str, Any], refused: tuple[str, str]
) -> None:
    assert refusal(**fields) == refused


def test_a_text_that_needs_more_than_255_segments_is_refused() -> None:
    asked = request(text="ш" * (255 * 67 + 1))
    with pytest.raises(Rejected) as caught:
        measure_content(asked, read_content(asked, 40_000), PLAIN)
    assert (caught.value.code, caught.value.field) == ("too_many_segments", "text")


@pytest.mark.parametrize(
    ("text", "encoding", "style", "expected"),
    [
        # GSM7 says how the customer wrote it, not how it has to go
        ("€", GSM7, LATIN1_STYLE, ("€", UCS2)),
        ("à", GSM7, LATIN1_STYLE, ("à", LATIN1)),
        # UCS-2 stays, unless only typography asked for it
        ("Hi", UCS2, PLAIN, ("Hi", UCS2)),
        ("Hi", UCS2, SMART, ("Hi", UCS2)),
        ("it’s", UCS2, SMART, ("it's", GSM7)),
        ("it’s ш", UCS2, SMART, ("it’s ш", UCS2)),
        ("it’s", None, PLAIN, ("it’s", UCS2)),
    ],
)
def test_an_orders_text_becomes_what_the_style_makes_of_it(
    text: str, encoding: Encoding | None, style: TextStyle, expected: tuple[str, Encoding]
) -> None:
    order = Order(to="1", text=text, encoding=encoding)
    content, size = measure_order(order, Content(text), style)
    assert (content.text, size.encoding) == expected


def test_choices_are_written_as_a_person_would() -> None:
    assert one_of(["auto", "gsm7", "ucs2"]) == "auto, gsm7 or ucs2"


# ── the message that becomes of it ───────────────────────────────────────────────────────────


def decide(styles: dict[int, TextStyle], **fields: Any) -> Message:
    carriers = tuple(CarrierId(number) for number in styles)
    tables = Tables(
        routes=RouteTable([Route(carriers=carriers)]),
        prices=None,
        styles={CarrierId(number): style for number, style in styles.items()},
    )
    intake = Intake(Messages(), tables, IdGenerator(0), text_chars_max=1_000)
    decided = intake.decide(ACCOUNT, request(**fields), 1_800_000_000.0)
    assert isinstance(decided, Message), decided
    return decided


def test_the_text_that_is_kept_is_the_text_that_is_sent() -> None:
    assert decide({1: PLAIN}, text="“Hi”", smart=True).text == '"Hi"'


@pytest.mark.parametrize(
    ("fields", "data_coding"),
    [
        ({"text": "a"}, None),
        ({"text": "a", "message_class": 0}, 0x10),
        ({"text": "a", "message_class": 2}, 0x12),
        ({"text": "ш", "message_class": 0}, 0x18),
        ({"data": "00", "message_class": 1}, 0x15),
    ],
)
def test_a_message_class_is_kept_as_a_data_coding(
    fields: dict[str, Any], data_coding: int | None
) -> None:
    assert decide({1: PLAIN}, **fields).data_coding == data_coding


@pytest.mark.parametrize(
    ("text", "styles", "routes"),
    [
        ("Hello", {1: PLAIN, 2: LATIN1_STYLE, 3: TURKISH}, (1, 2, 3)),
        # one segment with tables, three in UCS-2
        ("ş" * 150, {1: TURKISH, 2: PLAIN, 3: TURKISH}, (1, 3)),
        # one in septets, two in Latin-1's octets
        ("a" * 141, {1: PLAIN, 2: LATIN1_STYLE}, (1,)),
        # another way round it fits
        ("a" * 141, {1: LATIN1_STYLE, 2: PLAIN}, (1, 2)),
        # two parts numbered with 8 bits; with 16 there would be three, so it gets 8 there too
        ("a" * 306, {1: PLAIN, 2: TextStyle(wide_reference=True)}, (1, 2)),
        ("a" * 306, {1: PLAIN, 2: TextStyle(long=LongForm.SAR)}, (1, 2)),
    ],
)
def test_carriers_that_would_need_more_segments_than_are_paid_for_leave_the_route(
    text: str, styles: dict[int, TextStyle], routes: tuple[int, ...]
) -> None:
    assert decide(styles, text=text).routes == routes
