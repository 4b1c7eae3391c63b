"""What a request becomes, and every reason for which it becomes nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.config import Messages
from gateway.credit.prices import PriceBook
from gateway.credit.rates import Rate, RateTable
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.intake import Intake, Tables, hash_request
from gateway.message import Message, Order
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, Micros, SendRequest
from gateway.record import replace
from gateway.routing.table import Route, RouteTable
from gateway.text.style import DefaultAlphabet, TextStyle

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
UK, FRENCH = "+447400123456", "+33612345678"
PLAIN, WIDE, LATIN = CarrierId(1), CarrierId(2), CarrierId(3)
ACCOUNT = Account(id=AccountId(7), name="shop", default_sender="Shop", segments_max=3)
SETTINGS = Messages(validity_s=1_000, validity_max_s=5_000, schedule_max_s=86_400)
STYLES = {
    WIDE: TextStyle(wide_reference=True),
    LATIN: TextStyle(alphabet=DefaultAlphabet.LATIN1),
}


def book(prices: dict[str, int]) -> PriceBook:
    return PriceBook(
        RateTable(Rate(micros=Micros(each), prefix=prefix) for prefix, each in prices.items())
    )


def intake(
    *,
    routes: tuple[CarrierId, ...] = (PLAIN, WIDE),
    prices: PriceBook | None = None,
    settings: Messages = SETTINGS,
) -> Intake:
    table = RouteTable([Route(carriers=routes, countries=("GB",))])
    return Intake(settings, Tables(table, prices, STYLES), IdGenerator(0), text_chars_max=2_000)


def request(**fields: Any) -> SendRequest:
    if "data" not in fields and "text" not in fields:
        fields["text"] = "Hello"
    return SendRequest(**{"to": UK} | fields)


def decide(by: Intake | None = None, account: Account = ACCOUNT, **fields: Any) -> Message:
    decided = (by or intake()).decide(account, request(**fields), NOW)
    assert isinstance(decided, Message), decided
    return decided


def refuse(by: Intake | None = None, account: Account = ACCOUNT, **fields: Any) -> Rejected:
    decided = (by or intake()).decide(account, request(**fields), NOW)
    assert isinstance(decided, Rejected), decided
    return decided


# ── what it becomes ──────────────────────────────────────────────────────────────────────────


def test_a_request_becomes_the_message_that_it_says() -> None:
    message = decide(
        text="Hello €",
        sender="Shop 24",
        client_ref="order 17",
        tag="spring",
        callback_url="https://shop.example/sms",
        priority="otp",
        validity_s=60,
    )
    assert message == Message(
        id=message.id,
        account_id=AccountId(7),
        accepted_at=NOW,
        sender="Shop 24",
        recipient="447400123456",
        country="GB",
        text="Hello €",
        encoding=Encoding.GSM7,
        segments=1,
        lane=Lane.OTP,
        price_micros=Micros(0),
        routes=(PLAIN, WIDE),
        client_ref="order 17",
        tag="spring",
        callback_url="https://shop.example/sms",
        expires_at=NOW + 60,
    )


def test_what_is_not_said_has_its_usual_value() -> None:
    message = decide()
    assert (message.sender, message.lane) == ("Shop", Lane.TRANSACTIONAL)
    assert (message.client_ref, message.tag, message.callback_url) == ("", "", "")
    assert (message.send_at, message.expires_at) == (None, NOW + 1_000)
    assert message.data_coding is None


def test_tlvs_are_kept_as_they_go_out() -> None:
    message = decide(tlvs={"0x1401": "1107", "dest_addr_subunit": "3", "5122": "0x0a00"})
    assert message.tlvs == b"\x14\x01\0\x041107\x00\x05\0\1\3\x14\x02\0\2\x0a\0"
    assert decide(tlvs={}).tlvs == b""


def test_ids_grow_and_a_refusal_uses_none() -> None:
    by = intake()
    first = decide(by)
    refuse(by, text="")
    assert decide(by).id == first.id + 1


@pytest.mark.parametrize(
    ("text", "encoding", "expected", "segments"),
    [
        ("x" * 160, "auto", Encoding.GSM7, 1),
        ("x" * 161, "auto", Encoding.GSM7, 2),
        ("я" * 70, "auto", Encoding.UCS2, 1),
        ("я" * 71, "auto", Encoding.UCS2, 2),
        ("Hello", "ucs2", Encoding.UCS2, 1),
        ("Hello", "gsm7", Encoding.GSM7, 1),
    ],
)
def test_a_text_is_measured_exactly(
    text: str, encoding: str, expected: Encoding, segments: int
) -> None:
    message = decide(text=text, encoding=encoding)
    assert (message.encoding, message.segments) == (expected, segments)


@pytest.mark.parametrize(("routes", "segments"), [((PLAIN, WIDE), 2), ((WIDE, PLAIN), 3)])
def test_parts_are_counted_with_the_references_of_the_first_carrier(
    routes: tuple[CarrierId, ...], segments: int
) -> None:
    # 306 septets are two parts beside 8 bits of reference and three beside 16.
    message = decide(intake(routes=routes), text="x" * 306)
    assert (message.segments, message.routes) == (segments, routes)


def test_binary_content_is_hex() -> None:
    message = decide(data="DEAD beef", udh="0605040b8423f0")
    assert (message.data, message.udh) == (b"\xde\xad\xbe\xef", bytes.fromhex("0605040b8423f0"))
    assert (message.text, message.encoding, message.segments) == ("", Encoding.BINARY, 1)


@pytest.mark.parametrize(("wanted", "coding"), [(None, None), (0, 0x10), (2, 0x12)])
def test_a_message_class_becomes_a_data_coding(wanted: int | None, coding: int | None) -> None:
    assert decide(message_class=wanted).data_coding == coding


# ── money ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "price"), [("x", 7_500), ("x" * 161, 15_000), ("я" * 200, 22_500)]
)
def test_the_price_is_that_of_one_segment_times_their_number(text: str, price: int) -> None:
    prices = book({"44": 7_500, "33": 1, "": 9})
    message = decide(intake(prices=prices), text=text)
    assert message.price_micros == price
    assert message.price_micros % message.segments == 0


def test_without_a_price_list_every_message_is_free() -> None:
    assert decide(intake(prices=None)).price_micros == 0


def test_a_quote_is_what_the_message_will_cost_and_makes_none() -> None:
    by = intake(prices=book({"": 5}))
    assessed = by.assess(ACCOUNT, request(text="x" * 400), NOW)
    message = decide(by, text="x" * 400)
    assert not isinstance(assessed, Rejected)
    assert (assessed.price_micros, assessed.measured.segments) == (15, 3)
    assert (assessed.recipient, assessed.country) == (message.recipient, message.country)
    assert message.id == decide(by).id - 1


def test_a_quote_says_why_not_as_a_submission_does() -> None:
    assessed = intake().assess(ACCOUNT, request(to="12"), NOW)
    assert isinstance(assessed, Rejected)
    assert (assessed.code, assessed.field) == (refuse(to="12").code, "to")


# ── times ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fields", "send_at", "expires_at"),
    [
        ({"validity_s": 1}, None, NOW + 1),
        ({"validity_s": 5_000}, None, NOW + 5_000),
        ({"send_at": "2027-01-15T08:01:00Z"}, NOW + 60, NOW + 1_060),
        ({"send_at": "2027-01-15t08:01:00z"}, NOW + 60, NOW + 1_060),
        ({"send_at": "2027-01-15T09:01:00+01:00"}, NOW + 60, NOW + 1_060),
        ({"send_at": "2027-01-15T08:00:00.5Z"}, NOW + 0.5, NOW + 1_000.5),
        # Validity begins when it may leave.
        ({"send_at": "2027-01-15T08:01:00Z", "validity_s": 10}, NOW + 60, NOW + 70),
        # As far ahead as it may be.
        ({"send_at": "2027-01-16T08:00:00Z"}, NOW + 86_400, NOW + 87_400),
        # What is past leaves at once, and its validity does not begin in the past.
        ({"send_at": "2027-01-15T08:00:00Z"}, None, NOW + 1_000),
        ({"send_at": "2027-01-15T07:45:00Z"}, None, NOW + 1_000),
    ],
)
def test_times_are_read_and_bounded(
    fields: dict[str, Any], send_at: float | None, expires_at: float
) -> None:
    message = decide(**fields)
    assert (message.send_at, message.expires_at) == (send_at, expires_at)


# ── every reason why not ─────────────────────────────────────────────────────────────────────

REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"to": ""}, "number_empty", "to"),
    ({"to": "12"}, "number_too_short", "to"),
    ({"to": "+44740012345x"}, "number_not_digits", "to"),
    ({"to": "+447400123456789012"}, "number_too_long", "to"),
    ({"to": "+999123456789"}, "number_unknown_calling_code", "to"),
    ({"to": "+4474001234"}, "number_impossible_length", "to"),
    ({"to": "+442222222222"}, "number_not_valid", "to"),
    ({"to": FRENCH}, "no_route", "to"),
    ({"sender": ""}, "sender_empty", "from"),
    ({"sender": "A name too long"}, "sender_too_long", "from"),
    ({"sender": "12"}, "sender_too_short", "from"),
    ({"sender": "a@b"}, "sender_at_sign", "from"),
    ({"sender": "汉字"}, "sender_alphabet", "from"),
    ({"text": None}, "text_missing", "text"),
    ({"text": ""}, "text_empty", "text"),
    ({"text": "x" * 2_001}, "text_too_long", "text"),
    ({"text": "a\0b"}, "text_not_encodable", "text"),
    ({"text": "\ud800"}, "text_not_encodable", "text"),
    ({"text": "я", "encoding": "gsm7"}, "text_not_encodable", "text"),
    ({"text": "x" * 460}, "too_many_segments", "text"),
    ({"text": "x", "data": "00"}, "text_and_data", "data"),
    ({"text": "x", "udh": ""}, "udh_without_data", "udh"),
    ({"text": "x", "encoding": "binary"}, "encoding_unknown", "encoding"),
    ({"encoding": "latin1"}, "encoding_unknown", "encoding"),
    ({"encoding": "GSM7"}, "encoding_unknown", "encoding"),
    ({"data": "00", "encoding": "ucs2"}, "encoding_unknown", "encoding"),
    ({"data": ""}, "data_empty", "data"),
    ({"data": "0g"}, "data_not_hex", "data"),
    ({"data": "0"}, "data_not_hex", "data"),
    ({"data": "00" * 35_701}, "data_too_long", "data"),
    ({"data": "00" * 500}, "too_many_segments", "data"),
    ({"data": "00" * 35_000}, "too_many_segments", "data"),
    ({"data": "00", "udh": "zz"}, "udh_not_hex", "udh"),
    ({"data": "00", "udh": "00" * 141}, "udh_too_long", "udh"),
    ({"data": "00", "udh": "0501"}, "data_not_sendable", "udh"),
    ({"data": "00" * 140, "udh": "0500032a0201"}, "data_not_sendable", "udh"),
    ({"message_class": 4}, "message_class_unknown", "message_class"),
    ({"priority": "urgent"}, "priority_unknown", "priority"),
    ({"validity_s": 0}, "validity_out_of_range", "validity_s"),
    ({"validity_s": -5}, "validity_out_of_range", "validity_s"),
    ({"validity_s": 5_001}, "validity_out_of_range", "validity_s"),
    ({"send_at": ""}, "send_at_not_a_time", "send_at"),
    ({"send_at": "tomorrow"}, "send_at_not_a_time", "send_at"),
    ({"send_at": "2027-01-15T08:01:00"}, "send_at_not_a_time", "send_at"),
    ({"send_at": "2027-01-15"}, "send_at_not_a_time", "send_at"),
    ({"send_at": "2027-02-30T08:00:00Z"}, "send_at_not_a_time", "send_at"),
    ({"send_at": "２０２７-01-15T08:01:00Z"}, "send_at_not_a_time", "send_at"),
    ({"send_at": "\ud800"}, "send_at_not_a_time", "send_at"),
    ({"send_at": "2027-01-16T08:00:01Z"}, "send_at_too_far", "send_at"),
    ({"send_at": "2027-01-15T07:44:59Z"}, "send_at_past", "send_at"),
    ({"send_at": "2020-01-01T00:00:00Z"}, "send_at_past", "send_at"),
    ({"send_at": "0001-01-01T00:00:00+14:00"}, "send_at_past", "send_at"),
    ({"send_at": "9999-12-31T23:59:59-14:00"}, "send_at_too_far", "send_at"),
    ({"client_ref": ""}, "client_ref_not_usable", "client_ref"),
    ({"client_ref": "x" * 129}, "client_ref_not_usable", "client_ref"),
    ({"client_ref": "a\nb"}, "client_ref_not_usable", "client_ref"),
    ({"client_ref": "a\0b"}, "client_ref_not_usable", "client_ref"),
    ({"tag": ""}, "tag_not_usable", "tag"),
    ({"tag": "x" * 65}, "tag_not_usable", "tag"),
    ({"tag": "\ud800"}, "tag_not_usable", "tag"),
    ({"tlvs": {"PE_ID": "1"}}, "tlv_not_usable", "tlvs.PE_ID"),
    ({"tlvs": {"0x1401": "0x123"}}, "tlv_not_usable", "tlvs.0x1401"),
    ({"tlvs": {"0x0005": "256"}}, "tlv_not_usable", "tlvs.0x0005"),
    ({"tlvs": {"message_payload": "Hi"}}, "tlv_not_allowed", "tlvs.message_payload"),
    ({"tlvs": {"0x020c": "1"}}, "tlv_not_allowed", "tlvs.0x020c"),
    ({"tlvs": {"0x1401": "x" * 1021}}, "tlvs_too_long", "tlvs"),
    ({"callback_url": ""}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "shop.example"}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "ftp://shop.example"}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "https://"}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "https:///path"}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "https://a b"}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "https://bücher.example"}, "callback_url_not_usable", "callback_url"),
    ({"callback_url": "https://x/" + "y" * 2_048}, "callback_url_not_usable", "callback_url"),
]


@pytest.mark.parametrize(("fields", "code", "field"), REFUSALS)
def test_every_refusal_has_its_code_and_names_the_field(
    fields: dict[str, Any], code: str, field: str
) -> None:
    rejected = refuse(**fields)
    assert (rejected.code, rejected.field, rejected.status) == (code, field, 422)
    assert rejected.detail


def test_a_longest_url_in_its_usual_forms_is_taken() -> None:
    for url in ("http://shop.example:8080/a?b=c", "https://[::1]/", "https://x/" + "y" * 2_038):
        assert decide(callback_url=url).callback_url == url


def test_labels_may_be_as_long_as_they_may() -> None:
    message = decide(client_ref="x" * 128, tag="ы" * 64)
    assert (len(message.client_ref), len(message.tag)) == (128, 64)


def test_an_account_without_a_sender_has_to_name_one() -> None:
    nameless = Account(id=AccountId(1), name="nameless")
    rejected = refuse(account=nameless)
    assert (rejected.code, rejected.field) == ("sender_missing", "from")
    assert decide(account=nameless, sender="Shop").sender == "Shop"


def test_a_destination_without_a_price_is_not_sold() -> None:
    rejected = refuse(intake(prices=book({"33": 1})))
    assert (rejected.code, rejected.field) == ("no_price", "to")


def test_a_text_is_refused_at_the_accounts_ceiling_and_not_cut() -> None:
    assert decide(text="x" * 459).segments == ACCOUNT.segments_max
    assert refuse(text="x" * 460).code == "too_many_segments"
    assert "this account may send 3" in refuse(text="x" * 460).detail


def test_national_numbers_are_read_by_the_country_that_is_set() -> None:
    assert refuse(to="07400 123456").field == "to"
    british = Messages(default_country="GB")
    assert decide(intake(settings=british), to="07400 123456").recipient == "447400123456"


# ── idempotency ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("to", "code"),
    [
        ("+44 20 7183 8750", "number_fixed_line"),
        ("+44 9012 345678", "number_premium_rate"),
        ("+44 800 123 4567", "number_toll_free"),
        ("+44 70 1234 5678", "number_personal_number"),
    ],
)
def test_a_number_that_no_text_is_sent_to_is_refused_by_its_type(to: str, code: str) -> None:
    rejected = refuse(to=to)
    assert (rejected.code, rejected.field) == (code, "to")


def test_which_types_are_refused_is_a_setting() -> None:
    everything = msgspec.structs.replace(SETTINGS, refuse_types=())
    assert decide(intake(settings=everything), to="+44 20 7183 8750").recipient == "442071838750"
    no_mobiles = msgspec.structs.replace(SETTINGS, refuse_types=("mobile",))
    assert refuse(intake(settings=no_mobiles), to=UK).code == "number_mobile"


def test_the_same_request_has_the_same_hash() -> None:
    assert hash_request(request(tag="a")) == hash_request(request(tag="a"))
    assert len(hash_request(request())) == 16


@pytest.mark.parametrize(
    "fields",
    [
        {"to": FRENCH},
        {"sender": "Other"},
        {"text": "Hello!"},
        {"text": None, "data": "00"},
        {"encoding": "gsm7"},
        {"message_class": 0},
        {"smart": True},
        {"client_ref": "a"},
        {"tag": "a"},
        {"send_at": "2027-01-15T08:01:00Z"},
        {"validity_s": 60},
        {"priority": "otp"},
        {"callback_url": "https://shop.example"},
    ],
)
def test_whatever_is_asked_for_in_other_words_has_another_hash(fields: dict[str, Any]) -> None:
    assert hash_request(request(**fields)) != hash_request(request())


# ── routes that have changed since ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(("text", "carriers"), [("x" * 140, (PLAIN, LATIN)), ("x" * 141, (PLAIN,))])
def test_what_has_lost_its_carriers_gets_those_that_need_no_more_segments(
    text: str, carriers: tuple[CarrierId, ...]
) -> None:
    gone = decide(intake(routes=(CarrierId(9),)), text=text)
    assert gone.routes == (CarrierId(9),)
    assert intake(routes=(PLAIN, LATIN)).reroute(gone) == carriers


def test_what_has_lost_its_carriers_waits_where_no_route_is() -> None:
    gone = replace(decide(), country="FR", recipient="33612345678")
    assert intake().reroute(gone) == ()


# ── what is too much for one number ──────────────────────────────────────────────────────────


def fenced(per_hour: int = 1) -> Intake:
    return intake(settings=msgspec.structs.replace(SETTINGS, recipient_per_hour=per_hour))


def test_what_is_too_much_for_one_number_is_refused_and_told_when_it_is_not() -> None:
    by = fenced(2)
    decide(by)
    decide(by)
    rejected = refuse(by)
    assert (rejected.code, rejected.field) == ("recipient_rate_exceeded", "to")
    assert (rejected.status, rejected.retry_after_s) == (429, 3_600.0)
    decide(by, to="+447400123457")


def test_what_is_refused_for_anything_else_does_not_count() -> None:
    by = fenced()
    for _ in range(3):
        refuse(by, text="x" * 1_000)
    decide(by)


def test_what_was_decided_and_not_stored_does_not_count() -> None:
    by = fenced()
    by.take_back(decide(by))
    decide(by)
    refuse(by)


def test_what_stands_in_the_place_of_another_message_does_not_count() -> None:
    by = fenced()
    decide(by)
    order = Order(to=UK, sender="Shop", text="Hello")
    assert isinstance(by.decide_replacement(ACCOUNT, order, NOW), Message)
    assert isinstance(by.decide_order(ACCOUNT, order, NOW), Rejected)


def test_other_settings_raise_the_fence_at_once() -> None:
    by = fenced()
    decide(by)
    by.use(SETTINGS, by.tables)
    decide(by)


def test_a_full_queue_is_told_with_the_time_at_which_it_has_room() -> None:
    table = RouteTable([Route(carriers=(PLAIN,), countries=("GB",))])
    by = Intake(
        msgspec.structs.replace(SETTINGS, recipient_per_hour=1),
        Tables(table, None, STYLES),
        IdGenerator(0),
        text_chars_max=2_000,
        queue_wait_s=lambda message: 7.5 if message.lane is Lane.MARKETING else 0.0,
    )
    rejected = refuse(by, priority="marketing")
    assert (rejected.code, rejected.status, rejected.retry_after_s) == ("queue_full", 503, 7.5)
    decide(by, priority="otp")  # what was refused is not counted for its number
