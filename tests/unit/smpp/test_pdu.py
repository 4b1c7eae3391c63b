"""PDUs to bytes and back: by the specification, by hand, and both alike."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField, MalformedPdu
from gateway.smpp.fields import DistributionList, SmeAddress, UnsuccessfulSme, Value
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    build_frame,
    decode,
    decode_deliver_sm,
    decode_message_resp,
    decode_submit_sm,
    encode,
    encode_deliver_sm,
    encode_deliver_sm_resp,
    encode_header,
    encode_short_message,
    encode_submission,
    encode_submit_sm,
    encode_submit_sm_resp,
    message_from_data_sm,
)
from gateway.smpp.shapes import (
    HEADER_SIZE,
    NO_TLVS,
    DeliverSm,
    Frame,
    MessageResp,
    Pdu,
    ShortMessage,
    SubmitSm,
    SubmitTemplate,
)
from gateway.smpp.specification import PDUS, Field, Kind
from gateway.smpp.tlvs import encode_tlvs

relaxed = settings(deadline=None)

octet = st.integers(0, 255)
sequences = st.integers(1, 0x7FFFFFFF)
tlv_pairs = st.lists(
    st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=4, unique_by=lambda t: t[0]
)


def texts(size: int) -> st.SearchStrategy[str]:
    """Text of at most `size` octets with its NUL."""
    alphabet = st.characters(min_codepoint=1, max_codepoint=255)
    return st.text(alphabet, max_size=size - 1)


addresses = st.builds(SmeAddress, octet, octet, texts(21))
lists = st.builds(DistributionList, texts(21))
failures = st.builds(UnsuccessfulSme, octet, octet, texts(21), st.integers(0, 0xFFFFFFFF))


def values(field: Field) -> st.SearchStrategy[Value]:
    match field.kind:
        case Kind.INTEGER:
            return st.integers(0, 256**field.size - 1)
        case Kind.TEXT:
            return texts(field.size)
        case Kind.OCTETS:
            return st.binary(max_size=field.size)
        case Kind.DESTINATIONS:
            return st.lists(addresses | lists, max_size=3).map(tuple)
        case Kind.FAILURES:
            return st.lists(failures, max_size=3).map(tuple)


@st.composite
def pdus(draw: st.DrawFn) -> Pdu:
    command_id = draw(st.sampled_from(sorted(PDUS)))
    fields = {field.name: draw(values(field)) for field in PDUS[command_id]}
    status = draw(st.integers(0, 0xFFFFFFFF)) if command_id >= v.RESPONSE else 0
    return Pdu(command_id, draw(sequences), status, fields, tuple(draw(tlv_pairs)))


def messages(kind: type[SubmitSm] | type[DeliverSm]) -> st.SearchStrategy[SubmitSm | DeliverSm]:
    return st.builds(
        kind,
        texts(6),
        octet,
        octet,
        texts(21),
        octet,
        octet,
        texts(21),
        octet,
        octet,
        octet,
        texts(17),
        texts(17),
        octet,
        octet,
        octet,
        octet,
        st.binary(max_size=254),
        tlv_pairs.map(lambda pairs: {t: x for t, x in pairs if t != v.TAG_MESSAGE_PAYLOAD}),
    )


def frame_of(wire: bytes) -> Frame:
    (frame,) = Framer().receive(wire)
    return frame


def as_fields(message: ShortMessage) -> dict[str, Value]:
    return {field.name: getattr(message, field.name) for field in PDUS[v.SUBMIT_SM]}


MESSAGE = SubmitSm(
    "",
    5,
    0,
    "Sender",
    1,
    1,
    "447700900123",
    validity_period="000001000000000R",
    registered_delivery=1,
    short_message=b"Hello",
    tlvs={0x0204: b"\0\7"},
)
BODY = encode_short_message(MESSAGE)


# ── any PDU ──────────────────────────────────────────────────────────────────────────────────


@relaxed
@given(pdus())
def test_every_pdu_reads_back_as_it_was_written(pdu: Pdu) -> None:
    read = decode(frame_of(encode(pdu)))
    assert read == pdu


@relaxed
@given(pdus(), st.data())
def test_a_pdu_cut_anywhere_reads_or_is_malformed(pdu: Pdu, data: st.DataObject) -> None:
    body = encode(pdu)[HEADER_SIZE:]
    cut = data.draw(st.integers(0, len(body)))
    try:
        decode(build_frame(pdu.command_id, pdu.status, pdu.sequence, body[:cut]))
    except MalformedPdu as malformed:
        assert malformed.status
        assert cut < len(body)


@relaxed
@given(st.sampled_from(sorted(PDUS)), st.binary(max_size=200))
def test_garbage_in_a_body_reads_or_is_malformed(command_id: int, body: bytes) -> None:
    try:
        pdu = decode(build_frame(command_id, 0, 1, body))
    except MalformedPdu:
        return
    assert pdu.command_id == command_id


def test_an_unknown_command_keeps_its_body() -> None:
    frame = build_frame(0x00010200, 0, 3, b"\1\2\3")
    pdu = decode(frame)
    assert pdu == Pdu(0x00010200, 3, body=b"\1\2\3")
    assert frame_of(encode(pdu)) == frame


def test_tlvs_keep_the_order_of_the_wire_and_repeat() -> None:
    tlvs = ((0x1401, b"b"), (0x0381, b"1"), (0x0381, b"2"), (0x001E, b"a\0"))
    pdu = decode(frame_of(encode(Pdu(v.DATA_SM, 1, tlvs=tlvs))))
    assert pdu.tlvs == tlvs
    assert pdu.tlv(0x0381) == b"2"
    assert pdu.tlv(0x9999) is None


@pytest.mark.parametrize(
    "command_id", [c for c in PDUS if c >= v.RESPONSE], ids=lambda c: v.command_name(c)
)
@pytest.mark.parametrize("status", [0, 0x58, 0x412])
def test_a_response_may_come_without_a_body(command_id: int, status: int) -> None:
    pdu = decode(build_frame(command_id, status, 1, b""))
    assert (pdu.status, pdu.fields, pdu.text("message_id")) == (status, {}, "")


def test_a_refusing_response_is_written_without_a_body() -> None:
    assert encode(Pdu(v.BIND_TRANSCEIVER_RESP, 1, v.ESME_RINVPASWD)) == encode_header(
        v.BIND_TRANSCEIVER_RESP, 1, v.ESME_RINVPASWD
    )


def test_a_longer_password_than_the_specification_s_is_read_and_written() -> None:
    fields: dict[str, Value] = {"system_id": "us", "password": "longer than eight"}
    pdu = decode(frame_of(encode(Pdu(v.BIND_TRANSCEIVER, 1, fields=fields))))
    assert pdu.text("password") == "longer than eight"
    body = b"us\0" + b"x" * 200 + b"\0\0\x34\0\0\0"
    assert decode(build_frame(v.BIND_TRANSCEIVER, 0, 1, body)).text("password") == "x" * 200


def test_a_bind_without_its_last_nul_is_read() -> None:
    pdu = decode(build_frame(v.BIND_RECEIVER, 0, 1, b"us\0pw\0\0\x34\0\0"))
    assert pdu.number("interface_version") == 0x34
    assert pdu.text("address_range") == ""


def test_a_field_that_the_pdu_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidField) as refused:
        encode(Pdu(v.SUBMIT_SM, 1, fields={"shortmessage": b""}))
    assert refused.value.field == "shortmessage"


def test_padding_behind_the_last_tlv_is_taken_and_anything_else_is_not() -> None:
    assert decode(build_frame(v.DELIVER_SM, 0, 1, BODY + b"\0\0\0")).tlvs == ((0x0204, b"\0\7"),)
    with pytest.raises(MalformedPdu) as malformed:
        decode(build_frame(v.DELIVER_SM, 0, 1, BODY + b"\0\1"))
    assert malformed.value.status == v.ESME_RINVOPTPARSTREAM


def test_a_response_is_read_without_its_damaged_tlvs() -> None:
    body = b"id\0" + encode_tlvs([(0x1401, b"kept")]) + b"\x14\x02\0\x09cut"
    frame = build_frame(v.SUBMIT_SM_RESP, 0, 1, body)
    assert decode(frame).tlvs == ((0x1401, b"kept"),)
    assert decode_message_resp(frame.octets) == MessageResp(1, 0, "id", {0x1401: b"kept"})


# ── the hot PDUs against the specification's tables ──────────────────────────────────────────


@relaxed
@given(sequences, messages(SubmitSm))
def test_submit_sm_by_hand_equals_submit_sm_by_the_tables(sequence: int, message: SubmitSm) -> None:
    by_hand = encode_submit_sm(sequence, message)
    pdu = Pdu(v.SUBMIT_SM, sequence, 0, as_fields(message), tuple(message.tlvs.items()))
    assert by_hand == encode(pdu)
    assert decode_submit_sm(by_hand[HEADER_SIZE:]) == message
    assert decode(frame_of(by_hand)) == pdu


@relaxed
@given(sequences, messages(DeliverSm))
def test_deliver_sm_by_hand_equals_deliver_sm_by_the_tables(
    sequence: int, message: DeliverSm
) -> None:
    by_hand = encode_deliver_sm(sequence, message)
    pdu = Pdu(v.DELIVER_SM, sequence, 0, as_fields(message), tuple(message.tlvs.items()))
    assert by_hand == encode(pdu)
    assert decode_deliver_sm(by_hand[HEADER_SIZE:]) == message


@relaxed
@given(sequences, st.integers(0, 0xFFFFFFFF), texts(65), tlv_pairs)
def test_submit_sm_resp_by_hand_equals_submit_sm_resp_by_the_tables(
    sequence: int, status: int, message_id: str, pairs: list[tuple[int, bytes]]
) -> None:
    by_hand = encode_submit_sm_resp(sequence, status, message_id, dict(pairs))
    fields: dict[str, Value] = {} if status else {"message_id": message_id}
    tlvs = () if status else tuple(pairs)
    assert by_hand == encode(Pdu(v.SUBMIT_SM_RESP, sequence, status, fields, tlvs))
    read = decode_message_resp(by_hand)
    assert read == MessageResp(sequence, status, "" if status else message_id, dict(tlvs))


def test_deliver_sm_resp_by_hand_equals_deliver_sm_resp_by_the_tables() -> None:
    fields: dict[str, Value] = {"message_id": ""}
    assert encode_deliver_sm_resp(7) == encode(Pdu(v.DELIVER_SM_RESP, 7, 0, fields))
    assert encode_deliver_sm_resp(7, 0x64) == encode(Pdu(v.DELIVER_SM_RESP, 7, 0x64, fields))


def read_by_tables(body: bytes) -> tuple[dict[str, Value], Mapping[int, bytes]] | int:
    try:
        pdu = decode(build_frame(v.DELIVER_SM, 0, 1, body))
    except MalformedPdu as malformed:
        return malformed.status
    return dict(pdu.fields), dict(pdu.tlvs)


def read_by_hand(body: bytes) -> tuple[dict[str, Value], Mapping[int, bytes]] | int:
    try:
        message = decode_deliver_sm(body)
    except MalformedPdu as malformed:
        return malformed.status
    return as_fields(message), dict(message.tlvs)


@pytest.mark.parametrize("cut", range(len(BODY) + 1))
def test_a_message_cut_anywhere_is_read_alike_by_hand_and_by_the_tables(cut: int) -> None:
    by_hand = read_by_hand(BODY[:cut])
    assert by_hand == read_by_tables(BODY[:cut])
    assert isinstance(by_hand, int) or cut in (len(BODY) - 6, len(BODY))


@relaxed
@given(st.binary(max_size=120) | st.binary(max_size=40).map(lambda tail: BODY + tail))
def test_garbage_is_read_alike_by_hand_and_by_the_tables(body: bytes) -> None:
    assert read_by_hand(body) == read_by_tables(body)


@relaxed
@given(st.binary(max_size=80))
def test_garbage_answers_are_read_alike_by_hand_and_by_the_tables(body: bytes) -> None:
    frame = build_frame(v.SUBMIT_SM_RESP, 0x58, 7, body)
    by_tables = decode(frame)
    assert decode_message_resp(frame.octets) == MessageResp(
        7, 0x58, by_tables.text("message_id"), dict(by_tables.tlvs)
    )


def test_an_answer_s_message_id_may_lack_its_nul() -> None:
    for body, message_id in ((b"abc", "abc"), (b"a", "a"), (b"", "")):
        octets = build_frame(v.SUBMIT_SM_RESP, 0, 1, body).octets
        assert decode_message_resp(octets) == MessageResp(1, 0, message_id)


def test_messages_without_tlvs_share_an_empty_mapping_that_can_t_be_changed() -> None:
    message = decode_submit_sm(encode_short_message(SubmitSm(short_message=b"x")))
    assert message.tlvs is NO_TLVS
    with pytest.raises(TypeError):
        message.tlvs[1] = b""  # type: ignore[index]  # that it refuses is what is tested


# ── content ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [0, 1, 254, 255, 0xFFFF])
def test_content_travels_in_short_message_or_in_message_payload(size: int) -> None:
    content = b"x" * size
    read = decode_submit_sm(encode_short_message(SubmitSm(short_message=content, tlvs={1: b"1"})))
    assert read.content == content
    assert (v.TAG_MESSAGE_PAYLOAD in read.tlvs) == (size > 254)
    assert len(read.short_message) == (size if size <= 254 else 0)
    assert read.tlvs[1] == b"1"


def test_short_message_goes_before_message_payload_when_a_peer_sends_both() -> None:
    both = DeliverSm(short_message=b"short", tlvs={v.TAG_MESSAGE_PAYLOAD: b"payload"})
    assert both.content == b"short"
    with pytest.raises(InvalidField) as refused:
        encode_deliver_sm(1, both)
    assert refused.value.field == "message_payload"


def test_content_above_a_tlv_s_length_is_refused() -> None:
    with pytest.raises(InvalidField) as refused:
        encode_submit_sm(1, SubmitSm(short_message=bytes(0x10000)))
    assert refused.value.field == "message_payload"


def test_data_sm_is_read_as_the_message_that_it_carries() -> None:
    fields: dict[str, Value] = {
        "source_addr_ton": 1,
        "source_addr": "4477",
        "dest_addr_npi": 9,
        "destination_addr": "Brand",
        "esm_class": 4,
        "data_coding": 8,
    }
    tlvs = ((v.TAG_MESSAGE_PAYLOAD, b"text"), (v.TAG_RECEIPTED_MESSAGE_ID, b"id\0"))
    message = message_from_data_sm(DeliverSm, Pdu(v.DATA_SM, 1, 0, fields, tlvs))
    assert message == DeliverSm(
        source_addr_ton=1,
        source_addr="4477",
        dest_addr_npi=9,
        destination_addr="Brand",
        esm_class=4,
        data_coding=8,
        tlvs=dict(tlvs),
    )
    assert message.content == b"text"


# ── strict in what is sent ───────────────────────────────────────────────────────────────────


def test_a_template_writes_the_same_as_its_message() -> None:
    template = SubmitTemplate(service_type="CMT", dest_addr_ton=1, dest_addr_npi=1, protocol_id=3)
    body = encode_submission(
        template,
        5,
        0,
        "Brand",
        "447700900123",
        b"hi",
        data_coding=8,
        validity_period="000001000000000R",
    )
    assert decode_submit_sm(body) == SubmitSm(
        "CMT",
        5,
        0,
        "Brand",
        1,
        1,
        "447700900123",
        protocol_id=3,
        validity_period="000001000000000R",
        registered_delivery=1,
        data_coding=8,
        short_message=b"hi",
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("service_type", "123456"),
        ("service_type", "a\0"),
        ("service_type", "€"),
        ("source_addr_ton", 256),
        ("source_addr_npi", -1),
        ("source_addr", "x" * 21),
        ("source_addr", "a\0b"),
        ("source_addr", "Бренд"),
        ("dest_addr_ton", 1000),
        ("dest_addr_npi", 256),
        ("destination_addr", "1" * 21),
        ("destination_addr", "44\0"),
        ("destination_addr", "٤٤"),
        ("esm_class", 256),
        ("protocol_id", 256),
        ("priority_flag", -1),
        ("schedule_delivery_time", "0" * 17),
        ("schedule_delivery_time", "0\0"),
        ("validity_period", "0" * 17),
        ("validity_period", "0\0"),
        ("registered_delivery", 256),
        ("replace_if_present_flag", 256),
        ("data_coding", 256),
        ("sm_default_msg_id", 256),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_its_field_s_name(
    field: str, value: int | str
) -> None:
    message = SubmitSm(**{field: value})  # type: ignore[arg-type]  # one field of either type
    with pytest.raises(InvalidField) as refused:
        encode_submit_sm(1, message)
    assert refused.value.field == field


def test_a_message_id_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidField):
        encode_submit_sm_resp(1, 0, "x" * 65)
