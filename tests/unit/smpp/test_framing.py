"""Octets cut into PDUs: whole, byte by byte, merged, split, damaged."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import LengthTooLarge, LengthTooSmall
from gateway.smpp.framing import PDU_BYTES_MAX, Framer
from gateway.smpp.pdu import build_frame, encode_header
from gateway.smpp.shapes import Frame

relaxed = settings(deadline=None)

ENQUIRE = encode_header(v.ENQUIRE_LINK, 7)
WITH_BODY = encode_header(0x1234, 8, 0x58, 5) + b"hello"

frames_on_the_wire = st.lists(
    st.builds(
        build_frame,
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.integers(0, 0xFFFFFFFF),
        st.binary(max_size=300),
    ),
    max_size=8,
)


def write(frame: Frame) -> bytes:
    header = encode_header(frame.command_id, frame.sequence, frame.status, len(frame.body))
    return header + frame.body


def test_merged_pdus_come_out_one_by_one_in_order() -> None:
    framer = Framer()
    assert framer.receive(ENQUIRE + WITH_BODY + ENQUIRE) == [
        build_frame(v.ENQUIRE_LINK, 0, 7, b""),
        build_frame(0x1234, 0x58, 8, b"hello"),
        build_frame(v.ENQUIRE_LINK, 0, 7, b""),
    ]
    assert framer.partial_bytes == 0


def test_a_pdu_that_arrives_byte_by_byte_comes_out_with_its_last_byte() -> None:
    framer = Framer()
    for octet in WITH_BODY[:-1]:
        assert framer.receive(bytes((octet,))) == []
    assert framer.receive(WITH_BODY[-1:]) == [build_frame(0x1234, 0x58, 8, b"hello")]


@pytest.mark.parametrize("cut", range(len(ENQUIRE + WITH_BODY)))
def test_a_stream_that_ends_anywhere_yields_only_whole_pdus(cut: int) -> None:
    framer = Framer()
    whole = (cut >= len(ENQUIRE)) + (cut >= len(ENQUIRE + WITH_BODY))
    assert len(framer.receive((ENQUIRE + WITH_BODY)[:cut])) == whole
    assert framer.failure is None


@relaxed
@given(frames_on_the_wire, st.data())
def test_any_split_of_a_stream_yields_the_same_frames(
    frames: list[Frame], data: st.DataObject
) -> None:
    stream = b"".join(map(write, frames))
    framer = Framer()
    received: list[Frame] = []
    at = 0
    while at < len(stream):
        size = data.draw(st.integers(1, len(stream) - at))
        received += framer.receive(stream[at : at + size])
        at += size
    assert received == frames
    assert framer.failure is None
    assert framer.partial_bytes == 0


@pytest.mark.parametrize("length", [0, 1, 15])
def test_a_length_below_a_header_ends_the_stream(length: int) -> None:
    framer = Framer()
    damaged = struct.pack(">IIII", length, v.SUBMIT_SM, 0, 9)
    assert framer.receive(ENQUIRE + damaged + ENQUIRE) == [build_frame(v.ENQUIRE_LINK, 0, 7, b"")]
    assert isinstance(framer.failure, LengthTooSmall)
    assert framer.failure.sequence == 9
    assert framer.failure.status == v.ESME_RINVCMDLEN


def test_a_length_above_the_ceiling_ends_the_stream_before_its_body_arrives() -> None:
    framer = Framer(bytes_max=100)
    assert framer.receive(struct.pack(">IIII", 101, v.SUBMIT_SM, 0, 9)) == []
    assert isinstance(framer.failure, LengthTooLarge)
    assert framer.partial_bytes == 0


def test_a_pdu_of_exactly_the_ceiling_is_read() -> None:
    framer = Framer()
    body = bytes(PDU_BYTES_MAX - 16)
    assert framer.receive(encode_header(1, 1, 0, len(body)) + body) == [build_frame(1, 0, 1, body)]


def test_nothing_is_read_behind_a_damaged_length() -> None:
    framer = Framer()
    framer.receive(bytes(16))
    assert framer.receive(ENQUIRE) == []


@relaxed
@given(st.lists(st.binary(max_size=100), max_size=20))
def test_garbage_yields_frames_or_a_failure_and_holds_at_most_one_pdu(chunks: list[bytes]) -> None:
    framer = Framer(bytes_max=1000)
    for chunk in chunks:
        framer.receive(chunk)
        assert framer.partial_bytes < 1000
