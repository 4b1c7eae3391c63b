from __future__ import annotations

import pytest

from bench.stream import PDU_BYTES_MAX, Stream

FIRST = b"\x00\x00\x00\x11\x80\x00\x00\x05\x00\x00\x00\x64\x00\x00\x00\x07\x00"
SECOND = b"\x00\x00\x00\x10\x00\x00\x00\x15\x00\x00\x00\x00\x7f\xff\xff\xff"
READ = [(0x80000005, 0x64, 7, FIRST), (0x15, 0, 0x7FFFFFFF, SECOND)]


def test_whole_pdus_are_cut_out_in_order() -> None:
    stream = Stream()
    assert stream.cut(FIRST + SECOND) == READ
    assert stream.cut(SECOND) == READ[1:]


@pytest.mark.parametrize("size", range(1, len(FIRST + SECOND)))
def test_it_does_not_matter_where_reads_end(size: int) -> None:
    stream, octets = Stream(), (FIRST + SECOND) * 3
    pdus = []
    for at in range(0, len(octets), size):
        pdus += stream.cut(octets[at : at + size])
    assert pdus == READ * 3


def test_a_length_that_can_not_be_true_ends_the_stream() -> None:
    for length in (0, 15, PDU_BYTES_MAX + 1, 0xFFFFFFFF):
        stream = Stream()
        broken = length.to_bytes(4, "big") + FIRST[4:]
        assert stream.cut(SECOND + broken + SECOND) == READ[1:]
        assert stream.broken_at == 7
        assert stream.cut(SECOND) == []


def test_the_longest_pdu_is_taken() -> None:
    octets = PDU_BYTES_MAX.to_bytes(4, "big") + bytes(PDU_BYTES_MAX - 4)
    stream = Stream()
    assert stream.cut(octets) == [(0, 0, 0, octets)]
    assert stream.broken_at is None
