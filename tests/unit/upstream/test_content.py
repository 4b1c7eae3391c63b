"""What a customer's octets say, by data_coding, header and TLVs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Encoding
from gateway.smpp import vocabulary as v
from gateway.smpp.shapes import SubmitSm
from gateway.text.style import DefaultAlphabet
from gateway.upstream.content import Content, Unusable, read_content, read_text

GSM7, LATIN1, ASCII, UTF8 = DefaultAlphabet
UDH = bytes.fromhex("0500032a0201")


def read(
    octets: bytes,
    data_coding: int = 0,
    alphabet: DefaultAlphabet = GSM7,
    *,
    ia5: DefaultAlphabet = ASCII,
    esm_class: int = 0,
    tlvs: dict[int, bytes] | None = None,
) -> Content | Unusable:
    pdu = SubmitSm(
        short_message=octets, data_coding=data_coding, esm_class=esm_class, tlvs=tlvs or {}
    )
    return read_content(pdu, alphabet, ia5)


def sar(reference: int, total: int, sequence: int) -> dict[int, bytes]:
    return {
        v.TAG_SAR_MSG_REF_NUM: reference.to_bytes(2, "big"),
        v.TAG_SAR_TOTAL_SEGMENTS: bytes((total,)),
        v.TAG_SAR_SEGMENT_SEQNUM: bytes((sequence,)),
    }


@pytest.mark.parametrize(
    ("octets", "data_coding", "alphabet", "text", "encoding", "explicit"),
    [
        (b"\x00\x02 {1b\x1be", 0, GSM7, "@$ ä1b€", Encoding.GSM7, None),
        (b"caf\xe9", 0, LATIN1, "café", None, None),
        (b"plain @", 0, ASCII, "plain @", None, None),
        ("schön €".encode(), 0, UTF8, "schön €", None, None),
        (b"a@b", 1, GSM7, "a@b", None, None),
        (b"\xe1\xe9", 3, GSM7, "áé", None, None),
        ("Привет 😀".encode("utf-16-be"), 8, GSM7, "Привет 😀", Encoding.UCS2, None),
        (b"now\x00", 0x10, LATIN1, "now@", Encoding.GSM7, 0x10),
        (b"now", 0xF0, GSM7, "now", Encoding.GSM7, 0xF0),
        (b"wait", 0xC8, GSM7, "wait", Encoding.GSM7, 0xC8),
        ("щ".encode("utf-16-be"), 0x18, GSM7, "щ", Encoding.UCS2, 0x18),
        ("щ".encode("utf-16-be"), 0xE8, GSM7, "щ", Encoding.UCS2, 0xE8),
    ],
)
def test_a_plain_message_becomes_text(
    octets: bytes,
    data_coding: int,
    alphabet: DefaultAlphabet,
    text: str,
    encoding: Encoding | None,
    explicit: int | None,
) -> None:
    assert read(octets, data_coding, alphabet) == Content(text, b"", b"", encoding, explicit)


@pytest.mark.parametrize(
    ("octets", "data_coding", "encoding", "explicit"),
    [
        (b"\x01\xff", 4, Encoding.BINARY, None),
        (b"\x01\xff", 2, Encoding.BINARY, 2),
        (b"\x01\xff", 0xF5, Encoding.BINARY, 0xF5),
        (b"\x01\xff", 0x14, Encoding.BINARY, 0x14),
        (b"\xd0\xd1", 6, Encoding.BINARY, 6),
        (b"caf\xe9", 0, Encoding.GSM7, None),  # no septets: an alphabet of the customer's own
        (b"\xd8\x00", 8, Encoding.UCS2, None),  # half of a surrogate pair
        (b"\x00A\x00", 8, Encoding.UCS2, None),
        (b"a\x00b", 3, Encoding.BINARY, 3),  # the store holds no NUL in a text
        (b"caf\xe9", 1, Encoding.BINARY, 1),
    ],
)
def test_what_is_no_text_is_passed_on_as_it_came(
    octets: bytes, data_coding: int, encoding: Encoding, explicit: int | None
) -> None:
    assert read(octets, data_coding) == Content("", octets, b"", encoding, explicit)


@pytest.mark.parametrize(
    ("octets", "data_coding", "alphabet", "encoding", "explicit"),
    [
        (b"part", 0, GSM7, Encoding.GSM7, None),
        (b"part", 0xF0, GSM7, Encoding.GSM7, 0xF0),
        (b"\x04\x1f", 8, GSM7, Encoding.UCS2, None),
        (b"\x01\x02", 4, GSM7, Encoding.BINARY, None),
        (b"caf\xe9", 3, GSM7, Encoding.BINARY, 3),
        (b"caf\xe9", 0, LATIN1, Encoding.BINARY, 3),
        (b"part", 0, ASCII, Encoding.BINARY, 1),
        (b"part", 0, UTF8, Encoding.BINARY, 1),
    ],
)
def test_a_segment_with_a_header_stays_what_it_is(
    octets: bytes,
    data_coding: int,
    alphabet: DefaultAlphabet,
    encoding: Encoding,
    explicit: int | None,
) -> None:
    content = read(UDH + octets, data_coding, alphabet, esm_class=0x43)
    assert content == Content("", octets, UDH, encoding, explicit)


@pytest.mark.parametrize(
    ("octets", "ia5", "text", "encoding"),
    [
        (b"{}@$", ASCII, "{}@$", None),
        (b"tab\tline\r\n", ASCII, "tab\tline\r\n", None),
        (b"{}@$", GSM7, "äñ¡¤", Encoding.GSM7),
        (b"user\x00example.com", GSM7, "user@example.com", Encoding.GSM7),
        (b"caf\xe9", LATIN1, "café", None),
        ("schön".encode(), UTF8, "schön", None),
    ],
)
def test_data_coding_1_is_what_the_account_means_by_it(
    octets: bytes, ia5: DefaultAlphabet, text: str, encoding: Encoding | None
) -> None:
    for default in DefaultAlphabet:
        assert read(octets, 1, default, ia5=ia5) == Content(text, b"", b"", encoding, None)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"user\x00example.com", "user@example.com"),
        (b"\x02 5", "$ 5"),
        (b"\x1be 5", "€ 5"),
        (b"voil\x7f", "voilà"),
    ],
)
def test_what_cannot_be_ia5_is_read_as_the_gsm_alphabet_that_its_sender_means(
    octets: bytes, text: str
) -> None:
    assert read(octets, 1) == Content(text, b"", b"", Encoding.GSM7, None)


def test_a_segment_of_data_coding_1_in_the_gsm_alphabet_is_called_so_to_the_carrier() -> None:
    content = read(UDH + b"a\x00b", 1, ia5=GSM7, esm_class=0x40)
    assert content == Content("", b"a\x00b", UDH, Encoding.GSM7, None)
    as_specified = read(UDH + b"a@b", 1, esm_class=0x40)
    assert as_specified == Content("", b"a@b", UDH, Encoding.BINARY, 1)


def test_sar_parameters_become_the_header_that_an_smsc_makes_of_them() -> None:
    content = read(b"part", tlvs=sar(0x1234, 3, 2))
    header = bytes.fromhex("050003340302")
    assert content == Content("", b"part", header, Encoding.GSM7, None)


def test_a_header_outranks_sar_parameters() -> None:
    content = read(UDH + b"part", esm_class=0x40, tlvs=sar(7, 3, 2))
    assert isinstance(content, Content)
    assert content.udh == UDH


def test_one_sar_part_of_one_is_a_plain_message() -> None:
    assert read(b"Hello", tlvs=sar(7, 1, 1)) == Content("Hello", b"", b"", Encoding.GSM7, None)


def test_a_message_payload_is_read_like_a_short_message() -> None:
    payload = {v.TAG_MESSAGE_PAYLOAD: b"x" * 500}
    content = read(b"", tlvs=payload)
    assert isinstance(content, Content)
    assert content.text == "x" * 500


@pytest.mark.parametrize(
    ("octets", "esm_class", "tlvs", "status"),
    [
        (b"", 0, {}, v.ESME_RINVMSGLEN),
        (UDH, 0x40, {}, v.ESME_RINVMSGLEN),
        (b"", 0x40, {}, v.ESME_RSUBMITFAIL),
        (b"\x05\x00\x03", 0x40, {}, v.ESME_RSUBMITFAIL),
        (b"\x03\x00\x09\x01part", 0x40, {}, v.ESME_RSUBMITFAIL),
        (b"part", 0, sar(1, 2, 3), v.ESME_RINVOPTPARAMVAL),
        (b"part", 0, sar(1, 2, 0), v.ESME_RINVOPTPARAMVAL),
        (b"part", 0, sar(1, 0, 1), v.ESME_RINVOPTPARAMVAL),
        (b"part", 0, {v.TAG_SAR_TOTAL_SEGMENTS: b"\x02"}, v.ESME_RINVOPTPARAMVAL),
    ],
)
def test_what_cannot_be_sent_is_refused(
    octets: bytes, esm_class: int, tlvs: dict[int, bytes], status: int
) -> None:
    content = read(octets, esm_class=esm_class, tlvs=tlvs)
    assert isinstance(content, Unusable)
    assert content.status == status


def test_a_segment_in_utf_8_has_no_data_coding() -> None:
    content = read(UDH + "schön".encode(), 0, UTF8, esm_class=0x40)
    assert isinstance(content, Unusable)


def test_a_replacement_reads_by_the_first_messages_encoding() -> None:
    assert read_text("щ".encode("utf-16-be"), Encoding.UCS2, GSM7) == "щ"
    assert read_text(b"\x00", Encoding.GSM7, GSM7) == "@"
    assert read_text(b"\xe9", Encoding.GSM7, LATIN1) == "é"
    assert read_text(b"\xe9", Encoding.GSM7, GSM7) is None


@given(
    st.binary(max_size=200),
    st.integers(0, 255),
    st.sampled_from(DefaultAlphabet),
    st.sampled_from(DefaultAlphabet),
    st.sampled_from([0, 0x40]),
    st.dictionaries(st.sampled_from([0x20C, 0x20E, 0x20F, 0x424]), st.binary(max_size=4)),
)
def test_garbage_yields_content_or_a_status(
    octets: bytes,
    data_coding: int,
    alphabet: DefaultAlphabet,
    ia5: DefaultAlphabet,
    esm_class: int,
    tlvs: dict[int, bytes],
) -> None:
    content = read(octets, data_coding, alphabet, ia5=ia5, esm_class=esm_class, tlvs=tlvs)
    if isinstance(content, Content):
        assert bool(content.text) != bool(content.data)
        assert "\0" not in content.text
        assert content.data_coding is None or 0 <= content.data_coding <= 255
    else:
        assert content.status
