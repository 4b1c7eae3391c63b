"""What an order becomes: the same decision as a request's, with everything read off the wire."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.config import Messages
from gateway.credit.prices import PriceBook
from gateway.credit.rates import Rate, RateTable
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.intake import Intake, Tables
from gateway.message import Message, Order
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, Micros
from gateway.outgoing import build_cut
from gateway.routing.table import Route, RouteTable
from gateway.text.style import PLAIN, LongForm, TextStyle

NOW = 1_800_000_000.0
UDH = bytes.fromhex("0500032a0201")
ACCOUNT = Account(id=AccountId(7), name="shop", default_sender="Shop", segments_max=3)
SETTINGS = Messages(validity_s=1_000, validity_max_s=5_000, schedule_max_s=9_000)


@pytest.fixture
def intake() -> Intake:
    tables = Tables(
        routes=RouteTable([Route(carriers=(CarrierId(1),), countries=("GB",))]),
        prices=PriceBook(RateTable([Rate(micros=Micros(10))])),
    )
    return Intake(SETTINGS, tables, IdGenerator(0), text_chars_max=1_000)


def decide(intake: Intake, **fields: Any) -> Message:
    decided = intake.decide_order(ACCOUNT, Order(to="447400123456", **fields), NOW)
    assert isinstance(decided, Message), decided
    return decided


def refuse(intake: Intake, **fields: Any) -> str:
    order = Order(**({"to": "447400123456", "text": "Hello"} | fields))
    decided = intake.decide_order(ACCOUNT, order, NOW)
    assert isinstance(decided, Rejected), decided
    return decided.code


def test_a_text_is_measured_and_priced(intake: Intake) -> None:
    message = decide(intake, text="x" * 161, sender="447700900123", lane=Lane.OTP)
    assert (message.encoding, message.segments, message.price_micros) == (Encoding.GSM7, 2, 20)
    assert (message.sender, message.lane) == ("447700900123", Lane.OTP)
    assert (message.send_at, message.expires_at) == (None, NOW + 1_000)


def test_without_a_sender_it_is_the_accounts(intake: Intake) -> None:
    assert decide(intake, text="Hello").sender == "Shop"


def test_a_text_travels_in_the_encoding_that_was_asked_for(intake: Intake) -> None:
    assert decide(intake, text="Hello", encoding=Encoding.UCS2).encoding is Encoding.UCS2


def test_a_segment_of_the_client_goes_out_as_it_came(intake: Intake) -> None:
    septets = b"\x00" * 153
    message = decide(intake, data=septets, udh=UDH, encoding=Encoding.GSM7, data_coding=0xF0)
    assert (message.segments, message.price_micros, message.data_coding) == (1, 10, 0xF0)
    for style in (PLAIN, TextStyle(wide_reference=True), TextStyle(long=LongForm.SAR)):
        assert build_cut(message, style).payloads == [UDH + septets]


def test_a_segment_that_holds_too_much_is_refused(intake: Intake) -> None:
    too_long = {"data": b"a" * 154, "text": "", "udh": UDH, "encoding": Encoding.GSM7}
    assert refuse(intake, **too_long) == "data_not_sendable"


def test_binary_content_is_cut_like_everybodys(intake: Intake) -> None:
    message = decide(intake, data=bytes(141), encoding=Encoding.BINARY)
    assert message.segments == 2
    assert len(build_cut(message, PLAIN).payloads) == 2


def test_what_the_customer_wants_to_hear_is_kept(intake: Intake) -> None:
    message = decide(intake, text="Hello", registered_delivery=0x11)
    grouped = decide(intake, text="Hello", group_id=message.id)
    assert (message.registered_delivery, message.group_id) == (0x11, None)
    assert (grouped.registered_delivery, grouped.group_id) == (0, message.id)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"to": "12"}, "number_too_short"),
        ({"to": "4915112345678"}, "no_route"),
        ({"sender": "much too long a name"}, "sender_too_long"),
        ({"text": ""}, "text_empty"),
        ({"text": "x" * 1_001}, "text_too_long"),
        ({"text": "x" * 600}, "too_many_segments"),
        ({"text": "\ud800"}, "text_not_encodable"),
        ({"send_at": NOW + 9_001}, "send_at_too_far"),
        ({"send_at": NOW - 901}, "send_at_past"),
        ({"expires_at": NOW}, "validity_out_of_range"),
        ({"send_at": NOW + 500, "expires_at": NOW + 500}, "validity_out_of_range"),
    ],
)
def test_what_cannot_be_sent_is_refused(intake: Intake, fields: dict[str, Any], code: str) -> None:
    assert refuse(intake, **fields) == code


def test_an_account_without_a_sender_must_name_one(intake: Intake) -> None:
    nameless = msgspec.structs.replace(ACCOUNT, default_sender="")
    decided = intake.decide_order(nameless, Order(to="447400123456", text="Hello"), NOW)
    assert isinstance(decided, Rejected)
    assert decided.code == "sender_missing"


def test_times_are_kept_and_a_validity_is_cut_to_what_is_allowed(intake: Intake) -> None:
    scheduled = decide(intake, text="Hello", send_at=NOW + 100, expires_at=NOW + 300)
    assert (scheduled.send_at, scheduled.expires_at) == (NOW + 100, NOW + 300)
    usual = decide(intake, text="Hello", send_at=NOW + 100)
    assert usual.expires_at == NOW + 1_100
    long = decide(intake, text="Hello", expires_at=NOW + 100_000)
    assert long.expires_at == NOW + 5_000


def test_a_schedule_that_is_past_means_at_once(intake: Intake) -> None:
    message = decide(intake, text="Hello", send_at=NOW - 60)
    assert (message.send_at, message.expires_at) == (None, NOW + 1_000)
