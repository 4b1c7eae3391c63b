"""What a carrier's style makes of a segment: the fields of its submit_sm, read back."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.jobs import new_job
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outgoing import build_cut, build_submission, reference_of
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField
from gateway.smpp.passing import build_tlv_rule
from gateway.smpp.pdu import decode_submit_sm
from gateway.smpp.shapes import SubmitSm, SubmitTemplate
from gateway.smpp.tlvs import encode_tlvs
from gateway.text.coding import ClassForm, class_coding
from gateway.text.national import Language
from gateway.text.segment import measure
from gateway.text.sender import SenderForm
from gateway.text.style import PLAIN, DefaultAlphabet, LongForm, TextStyle
from gateway.text.udh import Concatenation, concatenation
from gateway.writing import Writing

GSM7, UCS2, BINARY, LATIN1 = Encoding.GSM7, Encoding.UCS2, Encoding.BINARY, Encoding.LATIN1
ID = MessageId(0x1234_5678_9ABC)
SAR = TextStyle(long=LongForm.SAR)
PAYLOAD = TextStyle(long=LongForm.PAYLOAD)
TURKISH = TextStyle(national=(Language.TURKISH,))
LATIN1_STYLE = TextStyle(alphabet=DefaultAlphabet.LATIN1)
PORT = bytes.fromhex("06050423f00b84")


def message(text: str = "", *, counted_by: TextStyle = PLAIN, **fields: Any) -> Message:
    if text and "encoding" not in fields:
        measured = measure(text, style=counted_by)
        fields = {"encoding": measured.encoding, "segments": measured.segments} | fields
    usual: dict[str, Any] = {
        "id": ID,
        "account_id": AccountId(1),
        "accepted_at": 0.0,
        "sender": "Shop",
        "recipient": "491701234567",
        "country": "DE",
        "text": text,
        "lane": Lane.TRANSACTIONAL,
        "price_micros": Micros(0),
        "routes": (CarrierId(1),),
        "expires_at": 1_000.0,
        "segments": 1,
    }
    return Message(**usual | fields)


def submissions(sent: Message, **writing: Any) -> list[SubmitSm]:
    wanted = Writing(template=SubmitTemplate(), **writing)
    job = new_job(sent)
    first = build_submission(job, 0, wanted, 0.0)
    assert job.cut is not None
    rest = [build_submission(job, i, wanted, 0.0) for i in range(1, len(job.cut.payloads))]
    return [decode_submit_sm(body) for body in (first, *rest)]


def submission(sent: Message, **writing: Any) -> SubmitSm:
    [only] = submissions(sent, **writing)
    return only


def test_a_plain_text_is_its_septets() -> None:
    pdu = submission(message("Hello €"))
    assert (pdu.short_message, pdu.data_coding, pdu.esm_class) == (b"Hello \x1b\x65", 0, 0)
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == ("Shop", 5, 0)
    assert pdu.validity_period == "000000001640000R"
    assert not pdu.tlvs


OWN = encode_tlvs([(0x1401, b"own"), (0x0005, b"\1")])


@pytest.mark.parametrize("style", [PLAIN, SAR])
def test_tlvs_of_the_customer_go_with_every_part(style: TextStyle) -> None:
    for pdu in submissions(message("a" * 161, tlvs=OWN), style=style):
        assert {tag: pdu.tlvs[tag] for tag in (0x1401, 0x0005)} == {0x1401: b"own", 0x0005: b"\1"}
        assert (v.TAG_SAR_TOTAL_SEGMENTS in pdu.tlvs) is (style is SAR)


def test_tlvs_stand_beside_a_payload() -> None:
    pdu = submission(message("a" * 161, tlvs=OWN), style=PAYLOAD)
    assert pdu.tlvs[v.TAG_MESSAGE_PAYLOAD] == b"a" * 161
    assert pdu.tlvs[0x1401] == b"own"


def test_a_carrier_takes_all_tlvs_or_some_or_none() -> None:
    sent = message("Hello", tlvs=OWN)
    some = build_tlv_rule([0x0005], {})
    assert dict(submission(sent, tlvs=some).tlvs) == {0x0005: b"\1"}
    assert dict(submission(sent, tlvs=build_tlv_rule([], {})).tlvs) == {}


def test_the_contracts_tlvs_go_with_each_submission_that_does_not_bring_them() -> None:
    rule = build_tlv_rule(None, {0x1400: b"entity", 0x1401: b"template"})
    for pdu in submissions(message("a" * 161), tlvs=rule):
        assert dict(pdu.tlvs) == {0x1400: b"entity", 0x1401: b"template"}
    assert dict(submission(message("Hello", tlvs=OWN), tlvs=rule).tlvs) == {
        0x1400: b"entity",
        0x1401: b"own",
        0x0005: b"\1",
    }


def test_parts_are_numbered_by_headers() -> None:
    first, second = submissions(message("a" * 161))
    assert first.esm_class == second.esm_class == v.ESM_CLASS_UDHI
    assert concatenation(second.short_message) == Concatenation(reference_of(ID) & 0xFF, 2, 2)


def test_parts_numbered_by_tlvs_have_no_header() -> None:
    pdus = submissions(message("a" * 161), style=SAR)
    assert [pdu.short_message for pdu in pdus] == [b"a" * 153, b"a" * 8]
    for number, pdu in enumerate(pdus, start=1):
        assert pdu.esm_class == 0
        assert pdu.tlvs == {
            v.TAG_SAR_MSG_REF_NUM: reference_of(ID).to_bytes(2, "big"),
            v.TAG_SAR_TOTAL_SEGMENTS: b"\x02",
            v.TAG_SAR_SEGMENT_SEQNUM: bytes((number,)),
        }


def test_a_short_text_needs_no_tlvs() -> None:
    for style in (SAR, PAYLOAD):
        assert submission(message("a" * 160), style=style) == submission(message("a" * 160))


@pytest.mark.parametrize("size", [161, 254, 255, 1_000])
def test_a_long_text_in_one_pdu_is_a_message_payload_however_long(size: int) -> None:
    pdu = submission(message("a" * size), style=PAYLOAD)
    assert (pdu.short_message, pdu.esm_class) == (b"", 0)
    assert pdu.tlvs == {v.TAG_MESSAGE_PAYLOAD: b"a" * size}


@pytest.mark.parametrize("style", [SAR, PAYLOAD])
def test_a_header_of_the_client_is_never_mixed_with_tlvs_that_number_parts(
    style: TextStyle,
) -> None:
    data = message(data=bytes(134), udh=PORT, encoding=BINARY, segments=2)
    for pdu in submissions(data, style=style):
        assert pdu.esm_class == v.ESM_CLASS_UDHI
        assert not pdu.tlvs
    own = message(data=b"a" * 153, udh=bytes.fromhex("0500032a0201"), encoding=GSM7)
    assert submission(own, style=style).esm_class == v.ESM_CLASS_UDHI


def test_a_text_with_national_tables_has_a_header_and_the_default_data_coding() -> None:
    pdu = submission(message("ışık", counted_by=TURKISH), style=TURKISH)
    assert (pdu.esm_class, pdu.data_coding) == (v.ESM_CLASS_UDHI, 0)
    assert pdu.short_message == bytes.fromhex("03240101 1b69 1b73 1b69 6b")


def test_octets_above_a_short_message_travel_as_payload_with_their_header() -> None:
    style = TextStyle(alphabet=DefaultAlphabet.UTF8)
    first, _ = submissions(message("é" * 161, counted_by=style), style=style)
    assert (first.short_message, first.esm_class) == (b"", v.ESM_CLASS_UDHI)
    assert len(first.content) == 6 + 2 * 153


@pytest.mark.parametrize(
    ("text", "counted_by", "style", "content", "data_coding"),
    [
        # counted in one alphabet, carried in another
        ("é", PLAIN, LATIN1_STYLE, b"\xe9", 0),
        ("á", LATIN1_STYLE, LATIN1_STYLE, b"\xe1", 0),
        ("á", LATIN1_STYLE, PLAIN, b"\0\xe1", 8),
        ("ş", TURKISH, PLAIN, b"\x01\x5f", 8),
        ("Δ", PLAIN, LATIN1_STYLE, b"\x03\x94", 8),
        # UCS-2 stays UCS-2
        ("ş", PLAIN, TURKISH, b"\x01\x5f", 8),
    ],
)
def test_a_text_is_written_in_each_carriers_own_alphabet(
    text: str, counted_by: TextStyle, style: TextStyle, content: bytes, data_coding: int
) -> None:
    pdu = submission(message(text, counted_by=counted_by), style=style)
    assert (pdu.content, pdu.data_coding) == (content, data_coding)


def test_a_text_that_needs_more_segments_than_were_counted_is_refused() -> None:
    counted = message("ş" * 100, counted_by=TURKISH)
    assert counted.segments == 1
    with pytest.raises(InvalidField, match="2 segments needed, 1 are possible"):
        build_cut(counted, PLAIN)


def test_a_segment_that_the_carriers_alphabet_lacks_is_refused() -> None:
    greek = message(data=b"\x10", udh=bytes.fromhex("0500032a0201"), encoding=GSM7)
    with pytest.raises(InvalidField, match="latin-1"):
        build_cut(greek, LATIN1_STYLE)


def test_each_encoding_is_called_as_the_carrier_calls_it() -> None:
    codings = (1, 24, 2, 3)
    assert submission(message("a"), data_codings=codings).data_coding == 1
    assert submission(message("ш"), data_codings=codings).data_coding == 24
    data = message(data=b"\xde", encoding=BINARY)
    assert submission(data, data_codings=codings).data_coding == 2
    latin1 = message("á", counted_by=LATIN1_STYLE)
    assert submission(latin1, style=LATIN1_STYLE, data_codings=codings).data_coding == 3


@pytest.mark.parametrize(
    ("text", "form", "data_coding"),
    [
        ("a", ClassForm.GENERAL, 0x10),
        ("ш", ClassForm.GENERAL, 0x18),
        ("a", ClassForm.CLASS, 0xF0),
        ("ш", ClassForm.CLASS, 0x18),
    ],
)
def test_a_flash_message_is_told_in_the_carriers_form(
    text: str, form: ClassForm, data_coding: int
) -> None:
    encoding = measure(text).encoding
    flash = message(text, data_coding=class_coding(encoding, 0))
    assert submission(flash, class_form=form).data_coding == data_coding


def test_a_class_follows_the_text_into_another_encoding() -> None:
    flash = message("ş", counted_by=TURKISH, data_coding=class_coding(GSM7, 0))
    assert submission(flash, style=TURKISH).data_coding == 0x10
    assert submission(flash).data_coding == 0x18


def test_a_carriers_table_has_the_last_word_on_data_codings() -> None:
    table = {0x18: 0x08, 0x00: 0x01}
    flash = message("ш", data_coding=class_coding(UCS2, 0))
    assert submission(flash, other_codings=table).data_coding == 0x08
    assert submission(message("a"), other_codings=table).data_coding == 0x01
    assert submission(message("ш"), other_codings=table).data_coding == 0x08


@pytest.mark.parametrize(
    ("form", "address"),
    [
        (SenderForm.LATIN1, "Café_1"),
        (SenderForm.GSM7, "Caf\x05\x111"),
        (SenderForm.ASCII, "Cafe_1"),
    ],
)
def test_a_senders_name_is_written_in_the_carriers_way(form: SenderForm, address: str) -> None:
    pdu = submission(message("a", sender="Café_1"), sender_form=form)
    assert (pdu.source_addr, pdu.source_addr_ton) == (address, 5)


def test_a_name_that_latin_1_lacks_does_not_keep_a_message_from_leaving() -> None:
    assert submission(message("a", sender="ΔELTA")).source_addr == "DELTA"


def test_septets_are_packed_where_the_carrier_wants_it() -> None:
    packed = TextStyle(packed=True)
    assert submission(message("hellohello"), style=packed).short_message.hex() == (
        "e8329bfd4697d9ec37"
    )
    assert submission(message("ш"), style=packed).short_message == b"\x04\x48"


def test_references_of_neighbours_differ() -> None:
    references = {reference_of(MessageId((1 << 40) + i)) & 0xFF for i in range(64)}
    assert len(references) > 50


@pytest.mark.parametrize(
    ("sender", "ton", "npi"), [("Shop", 5, 0), ("12345", 3, 0), ("447700900123", 1, 1)]
)
def test_the_senders_form_says_its_type(sender: str, ton: int, npi: int) -> None:
    pdu = submission(message("a", sender=sender))
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (sender, ton, npi)


def test_a_carrier_may_want_other_types_of_sender() -> None:
    number = message("a", sender="447700900123")
    assert submission(number, source_ton=0).source_addr_ton == 0
    assert submission(number, source_ton=0).source_addr_npi == 1
    assert submission(number, source_npi=9).source_addr_npi == 9


def test_the_contracts_fields_are_the_templates_and_every_part_asks_for_a_receipt() -> None:
    template = SubmitTemplate(service_type="CMT", dest_addr_ton=2, dest_addr_npi=8, protocol_id=7)
    job = new_job(message("a" * 161))
    for index in (0, 1):
        body = build_submission(job, index, Writing(template=template), 0.0)
        pdu = decode_submit_sm(body)
        assert (pdu.service_type, pdu.protocol_id) == ("CMT", 7)
        assert (pdu.dest_addr_ton, pdu.dest_addr_npi) == (2, 8)
        assert (pdu.destination_addr, pdu.registered_delivery) == ("491701234567", 1)


@pytest.mark.parametrize(("counted", "wide"), [(2, False), (2, True), (3, False), (3, True)])
def test_as_many_parts_leave_as_were_paid_for_whoever_carries_them(
    counted: int, wide: bool
) -> None:
    # 306 septets are two parts beside 8 bits of reference and three beside 16.
    text = "a" * 153 + "b" * 153
    sent = message(text, encoding=GSM7, segments=counted)
    cut = build_cut(sent, TextStyle(wide_reference=wide))
    assert len(cut.payloads) == counted
    numbered = [found for part in cut.payloads if (found := concatenation(part)) is not None]
    assert [number.total for number in numbered] == [counted] * counted
    assert b"".join(part[part[0] + 1 :] for part in cut.payloads) == text.encode()


@pytest.mark.parametrize(
    ("asked", "wanted"), [(0x00, 0x01), (0x01, 0x01), (0x02, 0x01), (0x11, 0x11), (0x1F, 0x11)]
)
def test_news_from_the_way_is_asked_for_only_when_the_customer_wants_it(
    asked: int, wanted: int
) -> None:
    pdu = submission(message("Hello", registered_delivery=asked))
    assert pdu.registered_delivery == wanted


@pytest.mark.parametrize(
    ("left_s", "written"),
    [
        (3_600.0, "000000010000000R"),
        (59.9, "000000000059000R"),
        (0.2, "000000000001000R"),
        (-5.0, "000000000001000R"),
        (86_400.0, "000001000000000R"),
        (30 * 86_400.0, "000100000000000R"),
        (400 * 86_400.0 + 61, "010110000101000R"),
    ],
)
def test_the_rest_of_its_validity_goes_with_it(left_s: float, written: str) -> None:
    assert submission(message("a", expires_at=left_s)).validity_period == written


def test_a_carrier_may_be_spared_the_validity() -> None:
    assert submission(message("a"), send_validity=False).validity_period == ""


def test_what_does_not_fit_its_field_is_named() -> None:
    with pytest.raises(InvalidField, match="source_addr"):
        submission(message("a", sender="x" * 30))


# ── a carrier that is written to in another way from now on ──────────────────────────────────


def test_what_does_not_fit_the_new_style_goes_as_it_was_counted() -> None:
    before = Writing(template=SubmitTemplate())
    alone = Writing(template=SubmitTemplate(), style=LATIN1_STYLE)
    writing = alone.after(before)
    long, short = message("x" * 150), message("é")
    bodies = [build_submission(new_job(each), 0, writing, 0.0) for each in (long, short)]
    pdus = [decode_submit_sm(body) for body in bodies]
    assert pdus[0].short_message == b"x" * 150, "one segment of GSM 7-bit, two of Latin-1"
    assert pdus[1].short_message == b"\xe9"
    with pytest.raises(InvalidField):
        build_submission(
            new_job(long), 0, Writing(template=SubmitTemplate(), style=LATIN1_STYLE), 0
        )
