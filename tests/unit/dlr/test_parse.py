"""Receipts as carriers write them, and as nobody should."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dlr.dialects import DEFAULT, DIALECTS, Dialect
from gateway.dlr.ids import ID_CHARACTERS_MAX
from gateway.dlr.parse import TEXT_CHARACTERS_MAX, parse_receipt
from gateway.dlr.receipt import Malformed, NotAReceipt, Receipt
from gateway.dlr.scan import ERROR_CHARACTERS_MAX
from gateway.lifecycle import Status
from gateway.smpp.shapes import DeliverSm

RECEIPTED_MESSAGE_ID, NETWORK_ERROR_CODE = 0x001E, 0x0423
MESSAGE_PAYLOAD, MESSAGE_STATE = 0x0424, 0x0427
RECEIPT, INTERMEDIATE = 0x04, 0x20

USUAL = (
    b"id:1234567890 sub:001 dlvrd:001 submit date:2611220915 done date:2611220916"
    b" stat:DELIVRD err:000 text:Hello"
)


def utc(*fields: int) -> float:
    return datetime(*fields, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]  # y, m, d, ...


SUBMITTED_AT, DONE_AT = utc(2026, 11, 22, 9, 15), utc(2026, 11, 22, 9, 16)


def parse(
    body: bytes,
    tlvs: Mapping[int, bytes] | None = None,
    *,
    esm_class: int = RECEIPT,
    data_coding: int = 0,
    dialect: Dialect = DEFAULT,
) -> Receipt | NotAReceipt | Malformed:
    deliver = DeliverSm(
        source_addr="491510000001",
        destination_addr="ACME",
        esm_class=esm_class,
        data_coding=data_coding,
        short_message=body,
        tlvs=tlvs or {},
    )
    return parse_receipt(deliver, dialect)


def read(
    body: bytes,
    tlvs: Mapping[int, bytes] | None = None,
    *,
    esm_class: int = RECEIPT,
    data_coding: int = 0,
    dialect: Dialect = DEFAULT,
) -> Receipt:
    parsed = parse(body, tlvs, esm_class=esm_class, data_coding=data_coding, dialect=dialect)
    assert isinstance(parsed, Receipt)
    return parsed


def test_the_usual_receipt_is_read_whole() -> None:
    assert read(USUAL) == Receipt(
        carrier_message_id="1234567890",
        status=Status.DELIVERED,
        code=2,
        error="000",
        network_error="",
        submitted_at=SUBMITTED_AT,
        done_at=DONE_AT,
        text="Hello",
        recipient="491510000001",
        sender="ACME",
    )


# Every one says the same as the usual one: id, state, error and both dates.
@pytest.mark.parametrize(
    "body",
    [
        USUAL,
        USUAL.replace(b"text:", b"Text:"),
        USUAL.replace(b" text:Hello", b""),
        USUAL.replace(b" text:Hello", b" "),
        USUAL + b"\0",
        b" " + USUAL,
        b"\r\n" + USUAL,
        USUAL.replace(b" sub:001 dlvrd:001", b""),
        USUAL.replace(b" dlvrd:001", b""),
        USUAL.replace(b"sub:001 dlvrd:001", b"sub:1 dlvrd:1"),
        USUAL.replace(b"sub:001", b"sub:0001"),
        USUAL.replace(b"2611220915", b"261122091500").replace(b"2611220916", b"261122091600"),
        USUAL.replace(b"2611220915", b"202611220915").replace(b"2611220916", b"202611220916"),
        USUAL.replace(b"26112209", b"2026112209")
        .replace(b"15 ", b"1500 ")
        .replace(b"16 ", b"1600 "),
        USUAL.replace(b"2611220915", b"2026-11-22 09:15:00").replace(
            b"2611220916", b"2026/11/22 09:16"
        ),
        USUAL.replace(b"stat:DELIVRD", b"DELIVRD"),
        USUAL.replace(b"stat:DELIVRD", b"stat: DELIVRD DELIVRD"),
        USUAL.replace(b"stat:DELIVRD", b"stat:delivrd"),
        USUAL.replace(b"stat:DELIVRD", b"Status:DELIVERED"),
        USUAL.replace(b"stat:", b"stat :"),
        USUAL.replace(b"id:", b"ID:").replace(b"err:", b"Err:").replace(b"stat:", b"STAT:"),
        USUAL.replace(b"submit date", b"submit_date").replace(b"done date", b"donedate"),
        USUAL.replace(b"id:", b"id: ").replace(b"err:", b"err: ").replace(b"date:", b"date: "),
        USUAL.replace(b" sub", b", sub").replace(b" stat", b"; stat").replace(b" text", b", text"),
        USUAL.replace(b" ", b"\n").replace(b"\ndate", b" date"),
        USUAL.replace(b"text:Hello", b"text:\x05\x00\x03\x2a\x02\x01Hello"),
        b"\x05\x00\x03\x2a\x02\x01" + USUAL,
        b"message received " + USUAL,
        b"stat:DELIVRD err:000 done date:2611220916 submit date:2611220915 id:1234567890",
        b"err:000 stat:DELIVRD dlvrd:001 text:Hello id:1234567890 sub:001"
        b" done date:2611220916 submit date:2611220915",
        # unknown keys in between
        USUAL.replace(b" stat", b" price:0.05 mccmnc:26201 stat"),
        USUAL.decode().encode("utf-16-be"),
    ],
)
def test_variants_that_say_the_same_are_read_the_same(body: bytes) -> None:
    receipt = read(body)
    assert receipt.carrier_message_id == "1234567890"
    assert (receipt.status, receipt.code) == (Status.DELIVERED, 2)
    assert receipt.error == "000"
    assert (receipt.submitted_at, receipt.done_at) == (SUBMITTED_AT, DONE_AT)


@pytest.mark.parametrize(
    "message_id",
    [
        "1",
        "7B3f",
        "0000001234",
        "550e8400-e29b-41d4-a716-446655440000",
        "SAR-1234-2-1",
        "a:b/c.d_e",
        "{0815}",
        "x" * 64,
        "x" * 65,
        "x" * ID_CHARACTERS_MAX,
    ],
)
def test_an_id_is_handed_out_as_it_came(message_id: str) -> None:
    body = USUAL.replace(b"1234567890", message_id.encode())
    assert read(body).carrier_message_id == message_id
    assert read(b"stat:DELIVRD id:" + message_id.encode()).carrier_message_id == message_id


@pytest.mark.parametrize(
    ("word", "status", "code"),
    [
        ("DELIVRD", Status.DELIVERED, 2),
        ("DELIVERED", Status.DELIVERED, 2),
        ("EXPIRED", Status.EXPIRED, 3),
        ("DELETED", Status.DELETED, 4),
        ("UNDELIV", Status.UNDELIVERED, 5),
        ("UNDELIVERABLE", Status.UNDELIVERED, 5),
        ("FAILED", Status.UNDELIVERED, 5),
        ("ACCEPTD", Status.SUBMITTED, 6),
        ("ACCEPTED", Status.SUBMITTED, 6),
        ("ENROUTE", Status.SUBMITTED, 1),
        ("SCHEDULED", Status.SUBMITTED, 0),
        ("UNKNOWN", Status.UNKNOWN, 7),
        ("REJECTD", Status.REJECTED, 8),
        ("SKIPPED", Status.UNDELIVERED, 9),
        ("BOGUS", Status.UNKNOWN, 7),
        ("42", Status.UNKNOWN, 7),
    ],
)
def test_a_word_becomes_a_status_and_an_unknown_one_is_no_reason_to_drop(
    word: str, status: Status, code: int
) -> None:
    receipt = read(USUAL.replace(b"DELIVRD", word.encode()))
    assert (receipt.status, receipt.code) == (status, code)


@pytest.mark.parametrize(
    ("err", "error"),
    [
        (b"0", "0"),
        (b"27", "27"),
        (b"027", "027"),
        (b"0027", "0027"),
        (b"00027", "00027"),
        (b"nul", "nul"),
        (b"NONE", "NONE"),
        (b"0x1F", "0x1F"),
        (b"-1", "-1"),
        (b"027 (absent)", "027"),
        (b"Absent subscriber", "Absent subscriber"),
        (b"", ""),
        (b"12\x0034", "1234"),
        (b"x" * 100, "x" * ERROR_CHARACTERS_MAX),
    ],
)
def test_an_error_is_a_code_or_words(err: bytes, error: str) -> None:
    receipt = read(USUAL.replace(b"err:000", b"err:" + err))
    assert receipt.error == error
    assert receipt.status is Status.DELIVERED
    assert receipt.text == "Hello"


def test_an_error_beside_a_delivery_does_not_undo_it() -> None:
    receipt = read(USUAL.replace(b"err:000", b"err:002"))
    assert (receipt.status, receipt.error) == (Status.DELIVERED, "002")


@pytest.mark.parametrize(
    ("digits", "at"),
    [
        (b"2611220915", utc(2026, 11, 22, 9, 15)),
        (b"261122091507", utc(2026, 11, 22, 9, 15, 7)),
        (b"260110091507", utc(2026, 1, 10, 9, 15, 7)),  # no 9th of October 2601
        (b"202611220915", utc(2026, 11, 22, 9, 15)),
        (b"20261122091507", utc(2026, 11, 22, 9, 15, 7)),
        (b"201301020304", utc(2013, 1, 2, 3, 4)),
        (b"200525102030", utc(2020, 5, 25, 10, 20, 30)),
        (b"2402290000", utc(2024, 2, 29, 0, 0)),
        (b"0000000000", None),
        (b"000000000000", None),
        (b"00000000000000", None),
        (b"2613220915", None),
        (b"2602300915", None),
        (b"2611222415", None),
        (b"261122091561", None),
        (b"19991122091507", None),
        (b"26112209151", None),
        (b"2611220915073", None),
        (b"261122091", None),
        (b"123456789012345678", None),
        (b"N/A", None),
        (b"", None),
        (b"\xb2\xb3\xb9\xb2\xb3\xb9\xb2\xb3\xb9\xb2", None),
    ],
)
def test_a_date_is_read_or_absent(digits: bytes, at: float | None) -> None:
    receipt = read(USUAL.replace(b"2611220916", digits))
    assert receipt.done_at == at
    assert receipt.submitted_at == SUBMITTED_AT
    assert receipt.status is Status.DELIVERED


def test_dates_are_in_the_carrier_s_clock() -> None:
    india = Dialect(name="india", utc_offset_minutes=330)
    receipt = read(USUAL, dialect=india)
    assert receipt.submitted_at == SUBMITTED_AT - 330 * 60
    assert receipt.done_at == DONE_AT - 330 * 60


@pytest.mark.parametrize(
    "body",
    [b"id:77", b"id:77 ", b"id:77 text:", b"id:77 sub: dlvrd: submit date: done date: stat: err:"],
)
def test_an_id_alone_is_a_receipt_of_unknown_state(body: bytes) -> None:
    assert read(body) == Receipt(
        "77", Status.UNKNOWN, 7, "", "", None, None, "", "491510000001", "ACME"
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"id:77 UNDELIV err:001", Status.UNDELIVERED),
        (b"id:77 done date:2611220916 EXPIRED err:001", Status.EXPIRED),
        (b"id:77 done date: REJECTD", Status.REJECTED),
        (b"FAILED id:77", Status.UNDELIVERED),
        (b"id:77 stat: err:001 DELETED", Status.DELETED),
        # an id or an error that looks like a state is none, nor is a word of the message
        (b"id:EXPIRED err:001", Status.UNKNOWN),
        (b"id:77 err:EXPIRED", Status.UNKNOWN),
        (b"id:77 err:001 text:EXPIRED", Status.UNKNOWN),
    ],
)
def test_a_state_without_its_key_is_found(body: bytes, status: Status) -> None:
    assert read(body).status is status


@pytest.mark.parametrize(
    "text",
    [
        b"id:999 stat:REJECTD err:666 done date:2001010101 text:id:5",
        b" stat:REJECTD",
        b"REJECTD",
        b"ID: 999",
    ],
)
def test_a_text_that_quotes_a_receipt_changes_nothing(text: bytes) -> None:
    # in the usual form, in the scanned one, with few fields, and with the id in a TLV only
    for body, tlvs in (
        (USUAL.replace(b"Hello", text), {}),
        (USUAL.replace(b"id:", b"ID:").replace(b"Hello", text), {}),
        (b"id:1234567890 stat:DELIVRD text:" + text, {}),
        (b"stat:DELIVRD text:" + text, {RECEIPTED_MESSAGE_ID: b"1234567890\0"}),
    ):
        receipt = read(body, tlvs)
        assert receipt.carrier_message_id == "1234567890"
        assert receipt.status is Status.DELIVERED
        assert receipt.error in ("000", "")
        assert receipt.text == text.decode().strip()


@pytest.mark.parametrize(
    ("quoted", "data_coding", "text"),
    [
        (b"", 0, ""),
        (b"Hello               ", 0, "Hello"),
        ("Grüße".encode(), 0, "Grüße"),
        ("Grüße".encode("latin-1"), 0, "Grüße"),
        ("Привет".encode("utf-16-be"), 8, "Привет"),
        ("Привет".encode("utf-16-be")[:-1], 8, "Приве\ufffd"),
        (b"\xd8\x00\x00a\x00b", 8, "\ufffdab"),
        (b"H\0i\0", 0, "Hi"),
        (b"\x05\x00\x03\x2a\x02\x01Hi", 0, "\x05\x03*\x02\x01Hi"),
        (b"x" * 500, 0, "x" * TEXT_CHARACTERS_MAX),
    ],
)
def test_the_quoted_text_is_read_in_whatever_encoding(
    quoted: bytes, data_coding: int, text: str
) -> None:
    receipt = read(USUAL.replace(b"Hello", quoted), data_coding=data_coding)
    assert receipt.text == text


def test_a_receipt_in_ucs2_is_read_with_its_quoted_text() -> None:
    body = USUAL.decode().replace("Hello", "Grüße 😀 中").encode("utf-16-be")
    assert read(body, data_coding=8).text == "Grüße 😀 中"
    assert read(body, data_coding=0).text == "Grüße 😀 中"


def test_what_a_tlv_says_goes_before_what_the_text_says() -> None:
    tlvs = {RECEIPTED_MESSAGE_ID: b"tlv-id\0", MESSAGE_STATE: b"\x05"}
    receipt = read(USUAL, tlvs)
    assert receipt.carrier_message_id == "tlv-id"
    assert (receipt.status, receipt.code) == (Status.UNDELIVERED, 5)
    assert (receipt.error, receipt.done_at) == ("000", DONE_AT)


@pytest.mark.parametrize("esm_class", [RECEIPT, 0x00, 0x44, 0x24])
def test_tlvs_alone_are_a_receipt(esm_class: int) -> None:
    tlvs = {RECEIPTED_MESSAGE_ID: b"7b\0", MESSAGE_STATE: b"\x02"}
    receipt = read(b"", tlvs, esm_class=esm_class)
    assert receipt.carrier_message_id == "7b"
    assert receipt.code == 2
    assert (receipt.error, receipt.submitted_at, receipt.done_at, receipt.text) == (
        "", None, None, "",
    )  # fmt: skip


@pytest.mark.parametrize("octets", [b"", b"\0", b"  \0", b"\0abc"])
def test_an_empty_id_in_a_tlv_leaves_the_text_s_id(octets: bytes) -> None:
    assert read(USUAL, {RECEIPTED_MESSAGE_ID: octets}).carrier_message_id == "1234567890"
    assert parse(USUAL, {RECEIPTED_MESSAGE_ID: octets}, esm_class=0) == NotAReceipt()


@pytest.mark.parametrize("octets", [b"7b", b"7b\0", b"7b\0\0garbage", b" 7b "])
def test_an_id_in_a_tlv_ends_at_its_zero_or_at_its_end(octets: bytes) -> None:
    assert read(b"", {RECEIPTED_MESSAGE_ID: octets}).carrier_message_id == "7b"


@pytest.mark.parametrize("octets", [b"", b"\x0a", b"\xff", b"2", b"\x00\x02"])
def test_a_message_state_that_does_not_exist_leaves_the_text_s_word(octets: bytes) -> None:
    assert read(USUAL, {MESSAGE_STATE: octets}).status is Status.DELIVERED


def test_a_receipt_in_message_payload_is_read() -> None:
    assert read(b"", {MESSAGE_PAYLOAD: USUAL}) == read(USUAL)


def test_only_the_beginning_of_a_long_payload_is_looked_at() -> None:
    assert parse(b"", {MESSAGE_PAYLOAD: b" " * 60_000 + USUAL}) == Malformed("no message id")


@pytest.mark.parametrize(
    ("octets", "ascii_digits", "network_error"),
    [
        (b"\x03\x00\x08", True, "3:8"),
        (b"\x03\x01\x0d", True, "3:269"),
        (b"034", True, "034"),
        (b"034", False, f"{0x30}:{0x3334}"),
        (b"\x03\x08", True, "0308"),
        (b"", True, ""),
        (bytes(60), True, "0" * ERROR_CHARACTERS_MAX),
    ],
)
def test_a_network_error_is_type_and_code_or_what_a_carrier_has_instead(
    octets: bytes, ascii_digits: bool, network_error: str
) -> None:
    dialect = Dialect(name="x", network_error_ascii=ascii_digits)
    receipt = read(USUAL, {NETWORK_ERROR_CODE: octets}, dialect=dialect)
    assert receipt.network_error == network_error


@pytest.mark.parametrize("body", [USUAL, USUAL.replace(b"DELIVRD", b"UNDELIV"), b"id:1234567890"])
@pytest.mark.parametrize("esm_class", [INTERMEDIATE, INTERMEDIATE | RECEIPT])
def test_an_intermediate_notification_is_never_final(body: bytes, esm_class: int) -> None:
    assert read(body, esm_class=esm_class).status is Status.SUBMITTED


def test_an_intermediate_notification_without_a_state_is_enroute() -> None:
    assert read(b"id:1", esm_class=INTERMEDIATE).code == 1
    assert read(b"id:1 stat:UNDELIV", esm_class=INTERMEDIATE).code == 5


@pytest.mark.parametrize("esm_class", [0x00, 0x03, 0x40, 0x80, 0x08, 0x10, 0x18])
def test_a_message_that_looks_like_a_receipt_is_none(esm_class: int) -> None:
    assert parse(USUAL, esm_class=esm_class) == NotAReceipt()


@pytest.mark.parametrize("esm_class", [0x04, 0x07, 0x44, 0x84, 0xC7])
def test_other_bits_of_esm_class_do_not_hide_a_receipt(esm_class: int) -> None:
    assert read(USUAL, esm_class=esm_class).status is Status.DELIVERED


def test_a_dialect_may_take_a_text_for_a_receipt() -> None:
    unmarked = DIALECTS["unmarked"]
    assert read(USUAL, esm_class=0, dialect=unmarked) == read(USUAL)
    assert read(b"", {MESSAGE_PAYLOAD: USUAL}, esm_class=0, dialect=unmarked) == read(USUAL)
    utf16 = USUAL.decode().encode("utf-16-be")
    assert read(utf16, esm_class=0, dialect=unmarked).carrier_message_id == "1234567890"
    for ordinary in (
        b"",
        b"Hello",
        b"id: what is that",
        b"my id:5 stat:DELIVRD",
        b"id:5",
        b"the receipt said " + USUAL,
    ):
        assert parse(ordinary, esm_class=0, dialect=unmarked) == NotAReceipt()


def test_a_dialect_s_own_words_go_before_everyone_s() -> None:
    dialect = Dialect(
        name="own", statuses={"ACCEPTD": Status.DELIVERED, "NOCREDIT": Status.REJECTED}
    )
    for word, status, code in (
        (b"ACCEPTD", Status.DELIVERED, 6),
        (b"ACCEPTED", Status.DELIVERED, 6),
        (b"NOCREDIT", Status.REJECTED, 8),
        (b"nocredit", Status.REJECTED, 8),
        (b"UNDELIV", Status.UNDELIVERED, 5),
        (b"BOGUS", Status.UNKNOWN, 7),
    ):
        receipt = read(USUAL.replace(b"DELIVRD", word), dialect=dialect)
        assert (receipt.status, receipt.code) == (status, code)
    assert read(b"id:7 NOCREDIT err:1", dialect=dialect).status is Status.REJECTED
    assert read(b"id:7", {MESSAGE_STATE: b"\x06"}, dialect=dialect).status is Status.DELIVERED


@pytest.mark.parametrize(
    "body", [b"", b"id:", b"id: sub:001", b"id:\0 stat:DELIVRD", b"stat:DELIVRD err:000", b"\xff"]
)
def test_a_receipt_that_does_not_say_of_what_is_malformed(body: bytes) -> None:
    assert parse(body) == Malformed("no message id")


def test_an_id_too_long_for_an_index_is_malformed() -> None:
    too_long = b"x" * (ID_CHARACTERS_MAX + 1)
    expected = Malformed(f"a message id of {ID_CHARACTERS_MAX + 1} characters")
    assert parse(b"id:" + too_long + b" stat:DELIVRD") == expected
    assert parse(USUAL, {RECEIPTED_MESSAGE_ID: too_long}) == expected


def test_a_receipt_cut_anywhere_is_read_as_far_as_it_goes_or_malformed() -> None:
    for size in range(len(USUAL)):
        parsed = parse(USUAL[:size])
        if size <= len(b"id:"):
            assert parsed == Malformed("no message id")
        else:
            assert isinstance(parsed, Receipt)
            assert b"1234567890".startswith(parsed.carrier_message_id.encode())


fragments = st.sampled_from(
    [b"id:", b"ID :", b" stat:", b"DELIVRD", b"err:", b"text:", b"Text:", b"submit date:", b" ",
     b"done date:", b"2611220915", b"0000000000", b"\0", b"\0:", b"\xff", b"a", b"5", b":", b"sub:"]
)  # fmt: skip
bodies = st.one_of(st.binary(max_size=300), st.lists(fragments, max_size=25).map(b"".join))
tlv_maps = st.dictionaries(
    st.sampled_from([RECEIPTED_MESSAGE_ID, NETWORK_ERROR_CODE, MESSAGE_PAYLOAD, MESSAGE_STATE]),
    st.one_of(st.binary(max_size=300), bodies),
)
dialects = st.sampled_from(
    [*DIALECTS.values(), Dialect(name="x", utc_offset_minutes=-720, statuses={"A": Status.EXPIRED})]
)


@given(bodies, tlv_maps, st.integers(0, 255), st.integers(0, 255), dialects)
def test_garbage_yields_a_receipt_or_says_why_not_and_nothing_else(
    body: bytes, tlvs: dict[int, bytes], esm_class: int, data_coding: int, dialect: Dialect
) -> None:
    parsed = parse(body, tlvs, esm_class=esm_class, data_coding=data_coding, dialect=dialect)
    match parsed:
        case Receipt():
            strings = (
                parsed.carrier_message_id, parsed.error, parsed.network_error, parsed.text
            )  # fmt: skip
            for string in strings:
                assert "\0" not in string
                string.encode("utf-8")
            assert 0 < len(parsed.carrier_message_id) <= ID_CHARACTERS_MAX
            assert len(parsed.error) <= ERROR_CHARACTERS_MAX
            assert len(parsed.network_error) <= ERROR_CHARACTERS_MAX
            assert len(parsed.text) <= TEXT_CHARACTERS_MAX
            assert parsed.status is Status.SUBMITTED or parsed.status.final
            assert 0 <= parsed.code <= 9
        case Malformed(reason=reason):
            assert reason
            assert esm_class & (RECEIPT | INTERMEDIATE) or tlvs or dialect.text_pattern
        case NotAReceipt():
            assert not esm_class & (RECEIPT | INTERMEDIATE)


@given(st.binary(max_size=200), st.sampled_from([0, 3, 8]))
def test_any_octets_in_the_quoted_text_leave_the_fields_before_it_as_they_are(
    quoted: bytes, data_coding: int
) -> None:
    receipt = read(USUAL.replace(b"Hello", quoted), data_coding=data_coding)
    expected = read(USUAL)
    for field in ("carrier_message_id", "status", "code", "error", "submitted_at", "done_at"):
        assert getattr(receipt, field) == getattr(expected, field)


@given(st.permutations(USUAL.removesuffix(b" text:Hello").replace(b" date", b"_date").split()))
def test_the_order_of_fields_does_not_matter(fields: list[bytes]) -> None:
    receipt = read(b" ".join(fields).replace(b"_date", b" date"))
    assert receipt == read(USUAL.removesuffix(b" text:Hello"))
