"""Framing, PDUs, TLVs: whatever a peer's octets are, and both ways of reading the hot ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

from bench.fuzz.source import Source
from bench.fuzz.target import Target
from bench.fuzz.wellformed import COMMANDS, STATUSES, make_body
from gateway.record import asdict, replace
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import BrokenStream, InvalidField, MalformedPdu
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    build_frame,
    decode,
    decode_deliver_sm,
    decode_message_resp,
    decode_submit_sm,
    encode,
    encode_deliver_sm_resp,
    encode_header,
    encode_short_message,
    encode_submission,
    encode_submit_sm_resp,
)
from gateway.smpp.shapes import HEADER_SIZE, Frame, Pdu, ShortMessage, SubmitSm, SubmitTemplate
from gateway.smpp.specification import SHORT_MESSAGE_SIZE, TLVS, Kind
from gateway.smpp.tlvs import decode_tlv_value, encode_tlv_value, encode_tlvs

_REFUSALS = frozenset(
    {v.ESME_RINVCMDLEN, v.ESME_RINVMSGLEN, v.ESME_RINVOPTPARSTREAM, v.ESME_RINVDESTFLAG}
)
"""The statuses that a PDU which can't be read is refused with (docs/smpp.md)."""


# ── framing ──────────────────────────────────────────────────────────────────────────────────


def check_framing(case: bytes) -> None:
    """However a stream is cut into reads it gives the same frames and the same end, less than one
    PDU is ever held, and nothing is raised."""
    source = Source(case)
    ceiling = HEADER_SIZE + source.number()
    sizes = [source.number() % 40 + 1 for _ in range(3)]
    stream = source.rest()
    expected, broken_at = _cut_by_hand(stream, ceiling)
    for reads in ([stream], _cut_reads(stream, [1]), _cut_reads(stream, sizes)):
        framer = Framer(ceiling)
        frames: list[Frame] = []
        for read in reads:
            frames += framer.receive(read)
            assert framer.partial_bytes < ceiling
        assert frames == expected
        assert (framer.failure is None) == (broken_at is None)
        if framer.failure is not None and broken_at is not None:
            _check_failure(framer.failure, stream, broken_at)
            assert framer.receive(stream) == []
            assert framer.partial_bytes == 0


def _check_failure(failure: BrokenStream, stream: bytes, at: int) -> None:
    assert failure.sequence == int.from_bytes(stream[at + 12 : at + 16], "big")
    assert failure.status == v.ESME_RINVCMDLEN


def _cut_by_hand(stream: bytes, ceiling: int) -> tuple[list[Frame], int | None]:
    """Return the frames, and where the stream breaks, by the plainest reading of §3.2."""
    frames: list[Frame] = []
    at = 0
    while len(stream) - at >= HEADER_SIZE:
        length, *numbers = (int.from_bytes(stream[at + i : at + i + 4], "big") for i in _FOURS)
        if length < HEADER_SIZE or length > ceiling:
            return frames, at
        if at + length > len(stream):
            break
        command_id, status, sequence = numbers
        frames.append(
            build_frame(command_id, status, sequence, stream[at + HEADER_SIZE : at + length])
        )
        at += length
    return frames, None


_FOURS = (0, 4, 8, 12)


def _cut_reads(stream: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(stream):
            return
        yield stream[at : at + size]
        at += size


# ── any PDU ──────────────────────────────────────────────────────────────────────────────────


def check_pdu(case: bytes) -> None:
    """Any body of any command is a Pdu or MalformedPdu with a status to refuse it; what was read
    is written as octets that read the same, or is InvalidField."""
    source = Source(case)
    command_id = source.pick(COMMANDS)
    frame = build_frame(command_id, source.pick(STATUSES), source.number(4), source.rest())
    try:
        pdu = decode(frame)
    except MalformedPdu as fault:
        assert fault.status in _REFUSALS
        return
    try:
        octets = encode(pdu)
    except InvalidField:
        return  # lenient in what is read, strict in what is sent
    again = decode(_frame_of(octets))
    assert again == pdu or not pdu.fields  # an answer without a body is written with an empty one
    assert encode(again) == octets


def check_wellformed(case: bytes) -> None:
    """Every PDU that the specification allows is read whole and written back octet by octet."""
    source = Source(case)
    command_id = source.pick(COMMANDS)
    body = make_body(source, command_id)
    pdu = decode(build_frame(command_id, 0, 1, body))
    written = encode(pdu)[HEADER_SIZE:]
    lacks_nul = command_id >= v.RESPONSE and written == body + b"\0"
    assert written == body or lacks_nul or not body


def _frame_of(octets: bytes) -> Frame:
    framer = Framer()
    (frame,) = framer.receive(octets)
    assert framer.partial_bytes == 0
    return frame


# ── the hot ones ─────────────────────────────────────────────────────────────────────────────


def check_hot_request(case: bytes) -> None:
    """The hot decoder and the generic one read the same of any submit_sm and deliver_sm or refuse
    it with the same status, and the hot encoders write what the generic one writes."""
    source = Source(case)
    command_id, hot_decode = source.pick(_HOT_DECODERS)
    body = make_body(source, command_id) if source.flag() else source.rest()
    try:
        hot: ShortMessage | int = hot_decode(body)
    except MalformedPdu as fault:
        hot = fault.status
    try:
        generic: Pdu | int = decode(build_frame(command_id, 0, 1, body))
    except MalformedPdu as fault:
        generic = fault.status
    if isinstance(hot, int) or isinstance(generic, int):
        assert hot == generic
        return
    for name, value in generic.fields.items():
        assert getattr(hot, name) == value, name
    assert dict(hot.tlvs) == dict(generic.tlvs)
    assert hot.content == (hot.short_message or generic.tlv(v.TAG_MESSAGE_PAYLOAD) or b"")
    _check_hot_encoders(hot, generic)


_HOT_DECODERS = ((v.SUBMIT_SM, decode_submit_sm), (v.DELIVER_SM, decode_deliver_sm))


def _check_hot_encoders(hot: ShortMessage, generic: Pdu) -> None:
    by_hand = _write(lambda: encode_short_message(hot))
    if by_hand is not None:
        assert _hot_decode(generic.command_id, by_hand).content == hot.content
    template = SubmitTemplate(
        service_type=hot.service_type,
        dest_addr_ton=hot.dest_addr_ton,
        dest_addr_npi=hot.dest_addr_npi,
        protocol_id=hot.protocol_id,
        replace_if_present_flag=hot.replace_if_present_flag,
        sm_default_msg_id=hot.sm_default_msg_id,
    )
    by_template = _write(
        lambda: encode_submission(
            template,
            hot.source_addr_ton,
            hot.source_addr_npi,
            hot.source_addr,
            hot.destination_addr,
            hot.short_message,
            esm_class=hot.esm_class,
            priority_flag=hot.priority_flag,
            schedule_delivery_time=hot.schedule_delivery_time,
            validity_period=hot.validity_period,
            registered_delivery=hot.registered_delivery,
            data_coding=hot.data_coding,
            tlvs=hot.tlvs,
        )
    )
    assert by_template == by_hand
    both_contents = bool(hot.short_message) and v.TAG_MESSAGE_PAYLOAD in hot.tlvs
    if both_contents or len(hot.short_message) > SHORT_MESSAGE_SIZE:
        return  # the hot one refuses the first (§4.4.1) and moves the second to message_payload
    same = replace(generic, tlvs=tuple(hot.tlvs.items()))
    assert by_hand == _write(lambda: encode(same)[HEADER_SIZE:])


def check_values(case: bytes) -> None:
    """Any values are written as a PDU that reads as those values, in the fields' own sizes, or are
    InvalidField: by the hot encoder and the generic one alike."""
    source = Source(case)
    message = SubmitSm(
        service_type=source.pick(_ODD_TEXTS),
        source_addr_ton=source.pick(_ODD_NUMBERS),
        source_addr=source.pick(_ODD_TEXTS) + source.some(3).decode("latin-1"),
        destination_addr=source.pick(_ODD_TEXTS),
        esm_class=source.pick(_ODD_NUMBERS),
        schedule_delivery_time=source.pick(_ODD_TEXTS),
        validity_period=source.pick(_ODD_TEXTS),
        data_coding=source.number(),
        tlvs={source.pick(_ODD_TAGS): source.some(4) for _ in range(source.number() % 3)},
        short_message=source.some() + source.some(),
    )
    hot = _write(lambda: encode_short_message(message))
    if hot is not None:
        read = decode_submit_sm(hot)
        assert read.content == message.content
        assert len(read.short_message) <= SHORT_MESSAGE_SIZE
        for name in _WRITTEN:
            assert getattr(read, name) == getattr(message, name), name
    if v.TAG_MESSAGE_PAYLOAD in message.tlvs or len(message.short_message) > SHORT_MESSAGE_SIZE:
        return  # the generic one leaves both to its caller
    fields = asdict(message)
    tlvs = tuple(fields.pop("tlvs").items())
    generic = _write(lambda: encode(Pdu(v.SUBMIT_SM, 1, 0, fields, tlvs))[HEADER_SIZE:])
    assert hot == generic


_ODD_TEXTS = (
    "",
    "1",
    "\0",
    "a\0b",
    "12345",
    "123456",
    "0" * 16,
    "0" * 17,
    "0" * 20,
    "0" * 21,
    "é",
    "€",
)
_ODD_NUMBERS = (0, 1, 255, 256, -1)
_ODD_TAGS = (0x0427, v.TAG_MESSAGE_PAYLOAD, 0x1401, 0xFFFF, 0x10000)
_WRITTEN = (
    *("service_type", "source_addr_ton", "source_addr", "destination_addr", "esm_class"),
    *("schedule_delivery_time", "validity_period", "data_coding"),
)


def _hot_decode(command_id: int, body: bytes) -> ShortMessage:
    return dict(_HOT_DECODERS)[command_id](body)


def _write(encoder: Callable[[], bytes]) -> bytes | None:
    try:
        return encoder()
    except InvalidField:
        return None


def check_hot_response(case: bytes) -> None:
    """The hot decoder reads any submit_sm_resp as the generic one does and never refuses it, and
    the hot encoders write what the generic one writes."""
    source = Source(case)
    status, sequence = source.pick(STATUSES), source.number(4)
    body = make_body(source, v.SUBMIT_SM_RESP) if source.flag() else source.rest()
    frame = build_frame(v.SUBMIT_SM_RESP, status, sequence, body)
    hot, generic = decode_message_resp(frame.octets), decode(frame)
    assert (hot.status, hot.sequence) == (generic.status, generic.sequence)
    assert hot.message_id == generic.text("message_id")
    assert dict(hot.tlvs) == dict(generic.tlvs)
    if status:
        assert encode_submit_sm_resp(sequence, status, "x") == encode(
            Pdu(v.SUBMIT_SM_RESP, sequence, status)
        )
    else:
        answer = Pdu(
            v.SUBMIT_SM_RESP,
            sequence,
            0,
            {"message_id": hot.message_id},
            tuple(hot.tlvs.items()),
        )
        by_hand = _write(lambda: encode_submit_sm_resp(sequence, 0, hot.message_id, hot.tlvs))
        assert by_hand == _write(lambda: encode(answer))
    assert encode_deliver_sm_resp(sequence, status) == encode(
        Pdu(v.DELIVER_SM_RESP, sequence, status, {"message_id": ""})
    )


# ── TLVs ─────────────────────────────────────────────────────────────────────────────────────


def check_tlv(case: bytes) -> None:
    """Any value of any tag has a reading of the tag's kind, what is written of it reads the same,
    and a row of TLVs is read whole or is MalformedPdu."""
    source = Source(case)
    tag = source.number(2)
    value = source.some()
    read = decode_tlv_value(tag, value)
    known = TLVS.get(tag)
    kind = known.kind if known else Kind.OCTETS
    assert isinstance(read, {Kind.INTEGER: int, Kind.TEXT: str}.get(kind, bytes))
    try:
        written = encode_tlv_value(tag, read)
    except InvalidField:
        assert kind is not Kind.OCTETS
    else:
        assert decode_tlv_value(tag, written) == read
    _check_row(source.rest())


def _check_row(row: bytes) -> None:
    try:
        pdu = decode(build_frame(v.UNBIND, 0, 1, row))
    except MalformedPdu as fault:
        assert fault.status == v.ESME_RINVOPTPARSTREAM
        lenient = decode(build_frame(v.UNBIND_RESP, 0, 1, row))
        assert row.startswith(encode_tlvs(lenient.tlvs))
        return
    written = encode_tlvs(pdu.tlvs)
    assert row.startswith(written)
    assert row[len(written) :] in (b"", b"\0", b"\0\0", b"\0\0\0")  # padding that some peers send
    assert decode(build_frame(v.UNBIND_RESP, 0, 1, row)).tlvs == pdu.tlvs


_PDU_WORDS = (
    *(encode_header(command, 1) for command in (v.SUBMIT_SM, v.DELIVER_SM_RESP, v.ENQUIRE_LINK)),
    b"\0\x01\x01447911123456\0",
    b"\0\0\0\x01\0\0\0\x05hello",
    *(tag.to_bytes(2, "big") + b"\0\x01\x02" for tag in (0x0427, 0x020E, 0x1401)),
    b"\x04\x24\0\x05hello",
    b"\0\x1e\0\x04abc\0",
)
_SUBMIT_BODY = b"\0\x05\0Shop\0\x01\x01447911123456\0" + b"\0\0\0\0\0\x01\0\0\0\x05hello"

TARGETS = (
    Target(
        "framing",
        check_framing,
        _PDU_WORDS,
        (b"\x40\x10\x03\x01" + encode_header(v.UNBIND, 7) + encode_header(v.SUBMIT_SM, 8, 0, 200),),
    ),
    Target("pdu", check_pdu, _PDU_WORDS, (b"\x05\0\0\0\0\x01" + _SUBMIT_BODY,)),
    Target("wellformed", check_wellformed, (), tuple(bytes((i,)) for i in range(len(COMMANDS)))),
    Target("hot_request", check_hot_request, _PDU_WORDS, (b"\0\0" + _SUBMIT_BODY,)),
    Target("values", check_values, (), (bytes(range(12)), bytes(9) + b"\xff" + bytes(300))),
    Target("hot_response", check_hot_response, _PDU_WORDS, (b"\0\0\0\0\x01\x000123456789\0",)),
    Target("tlv", check_tlv, _PDU_WORDS, (b"\x04\x27\x01\x02\0\x1e\0\x02a\0\0\0",)),
)
