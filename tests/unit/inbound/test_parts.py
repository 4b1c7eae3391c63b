"""What one deliver_sm brings: headers in every shape, SAR, payloads, garbage."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.inbound.content import Run
from gateway.inbound.parts import (
    InboundPart,
    Numbering,
    join_runs,
    join_tlvs,
    read_arrival,
    visible_header,
)
from gateway.model import CarrierId, MessageId
from gateway.smpp import vocabulary as v
from gateway.smpp.passing import unpack_tlvs
from gateway.smpp.shapes import DeliverSm
from gateway.smpp.tlvs import encode_tlvs
from gateway.text.udh import Shifts

PORTS = b"\x05\x04\x0b\x84\x23\xf0"
"""A ports element: WAP push."""


def headed(*elements: bytes) -> bytes:
    body = b"".join(elements)
    return bytes((len(body),)) + body


def deliver(octets: bytes, *, udhi: bool = True, **fields: object) -> DeliverSm:
    return DeliverSm(
        source_addr="+491511",
        destination_addr="40404",
        esm_class=v.ESM_CLASS_UDHI if udhi else 0,
        short_message=octets,
        **fields,  # type: ignore[arg-type]
    )


def part(sequence: int, content: bytes, data_coding: int = 0, udh: bytes = b"") -> InboundPart:
    return InboundPart(
        source="4915",
        destination="40404",
        reference=1,
        total=9,
        sequence=sequence,
        content=content,
        data_coding=data_coding,
        id=MessageId(sequence),
        carrier_id=CarrierId(1),
        received_at=0.0,
        esm_class=0,
        udh=udh,
    )


def test_tlvs_that_say_something_of_the_message_are_kept() -> None:
    tlvs = {0x1401: b"v", v.TAG_SAR_TOTAL_SEGMENTS: b"\2", v.TAG_USER_MESSAGE_REFERENCE: b"\0\7"}
    arrival = read_arrival(deliver(b"Hi", udhi=False, tlvs=tlvs))
    assert arrival.tlvs == encode_tlvs([(0x1401, b"v"), (v.TAG_USER_MESSAGE_REFERENCE, b"\0\7")])
    assert read_arrival(deliver(b"Hi", udhi=False)).tlvs == b""


def test_parts_that_name_one_tlv_mean_the_first() -> None:
    parts = [
        msgspec.structs.replace(part(1, b"a"), tlvs=encode_tlvs([(0x1401, b"first")])),
        part(2, b"b"),
        msgspec.structs.replace(
            part(3, b"c"), tlvs=encode_tlvs([(0x1401, b"third"), (0x1402, b"more")])
        ),
    ]
    joined = unpack_tlvs(join_tlvs(parts))
    assert joined == {0x1401: b"first", 0x1402: b"more"}
    assert join_tlvs(parts[1:2]) == b""


def test_a_plain_message_has_no_header_and_no_number() -> None:
    arrival = read_arrival(deliver(b"\x05Hi", udhi=False, data_coding=3))
    assert (arrival.sender, arrival.recipient) == ("491511", "40404")
    assert (arrival.udh, arrival.content, arrival.numbering) == (b"", b"\x05Hi", None)
    assert arrival.run == Run(3, b"\x05Hi")


@pytest.mark.parametrize(
    ("udh", "numbering"),
    [
        (headed(b"\x00\x03\x07\x03\x02"), Numbering(7, 3, 2)),
        (headed(b"\x08\x04\x01\x07\x03\x02"), Numbering(0x1_0107, 3, 2)),
        (headed(PORTS, b"\x00\x03\x07\x03\x02"), Numbering(7, 3, 2)),
        (headed(b"\x00\x03\x07\x03\x02", PORTS), Numbering(7, 3, 2)),
        (headed(b"\x24\x01\x01", PORTS, b"\x08\x04\x01\x07\x03\x01"), Numbering(0x1_0107, 3, 1)),
        (headed(PORTS), None),
        (headed(b"\x00\x03\x07\x01\x01"), None),  # one of one
        (headed(b"\x00\x03\x07\x03\x00"), None),  # the part before the first
        (headed(b"\x00\x03\x07\x03\x04"), None),  # the part after the last
    ],
)
def test_a_header_numbers_a_part(udh: bytes, numbering: Numbering | None) -> None:
    arrival = read_arrival(deliver(udh + b"text"))
    assert arrival.numbering == numbering
    assert (arrival.udh, arrival.content) == (udh, b"text")


def test_the_two_widths_of_references_are_not_confused() -> None:
    narrow = read_arrival(deliver(headed(b"\x00\x03\x07\x03\x02") + b"x")).numbering
    wide = read_arrival(deliver(headed(b"\x08\x04\x00\x07\x03\x02") + b"x")).numbering
    assert narrow is not None and wide is not None
    assert narrow.reference != wide.reference


def sar(reference: bytes, total: bytes, sequence: bytes) -> dict[int, bytes]:
    return {
        v.TAG_SAR_MSG_REF_NUM: reference,
        v.TAG_SAR_TOTAL_SEGMENTS: total,
        v.TAG_SAR_SEGMENT_SEQNUM: sequence,
    }


@pytest.mark.parametrize(
    ("tlvs", "numbering"),
    [
        (sar(b"\x01\x07", b"\x03", b"\x02"), Numbering(0x2_0107, 3, 2)),
        (sar(b"\x07", b"\x00\x03", b"\x02"), Numbering(0x2_0007, 3, 2)),
        (sar(b"\x01\x07", b"\x01", b"\x01"), None),
        (sar(b"\x01\x07", b"\x03", b"\x00"), None),
        (sar(b"\x01\x07", b"\x03", b"\x04"), None),
        (sar(b"\x01\x07", b"\x01\x03", b"\x02"), None),  # 259 parts
        (sar(b"", b"", b""), None),
    ],
)
def test_sar_numbers_a_part(tlvs: dict[int, bytes], numbering: Numbering | None) -> None:
    arrival = read_arrival(deliver(b"text", udhi=False, tlvs=tlvs))
    assert (arrival.numbering, arrival.udh, arrival.content) == (numbering, b"", b"text")


def test_a_header_counts_before_sar() -> None:
    tlvs = sar(b"\x01\x07", b"\x05", b"\x05")
    arrival = read_arrival(deliver(headed(b"\x00\x03\x07\x03\x02") + b"x", tlvs=tlvs))
    assert arrival.numbering == Numbering(7, 3, 2)


def test_a_payload_is_read_as_a_short_message_is() -> None:
    payload = headed(b"\x00\x03\x07\x03\x02") + b"x" * 300
    arrival = read_arrival(deliver(b"", tlvs={v.TAG_MESSAGE_PAYLOAD: payload}))
    assert arrival.numbering == Numbering(7, 3, 2)
    assert arrival.content == b"x" * 300


@pytest.mark.parametrize("octets", [b"", b"\x05", b"\x10\x00\x03\x01", b"\xff" * 20])
def test_content_whose_header_overruns_it_is_binary_and_whole(octets: bytes) -> None:
    arrival = read_arrival(deliver(octets, data_coding=8))
    assert arrival.run == Run(0x04, octets)
    assert arrival.data_coding == 8  # what came is kept as it came


@given(st.binary(max_size=260), st.booleans(), st.binary(max_size=3), st.binary(max_size=3))
def test_whatever_comes_no_octet_is_lost(
    octets: bytes, udhi: bool, total: bytes, sequence: bytes
) -> None:
    arrival = read_arrival(deliver(octets, udhi=udhi, tlvs=sar(b"\x01", total, sequence)))
    assert arrival.udh + arrival.content == octets
    numbering = arrival.numbering
    if numbering is not None:
        assert 1 <= numbering.sequence <= numbering.total <= 255
        assert numbering.total > 1
    visible_header(arrival.udh)


@pytest.mark.parametrize(
    ("udh", "visible"),
    [
        (b"", b""),
        (headed(b"\x00\x03\x07\x03\x02"), b""),
        (headed(b"\x08\x04\x01\x07\x03\x02"), b""),
        (headed(PORTS), headed(PORTS)),
        (headed(PORTS, b"\x00\x03\x07\x03\x02"), headed(PORTS)),
        (b"\x04\x00\x09\x01\x02", b"\x04\x00\x09\x01\x02"),  # an element that overruns
    ],
)
def test_owners_see_a_header_without_what_numbers_parts(udh: bytes, visible: bytes) -> None:
    assert visible_header(udh) == visible


def test_parts_that_follow_each_other_are_one_run() -> None:
    assert join_runs([part(1, b"a"), part(2, b"b"), part(3, b"c")]) == [Run(0, b"abc")]


def test_a_part_that_is_missing_ends_a_run() -> None:
    assert join_runs([part(1, b"a"), part(3, b"c"), part(4, b"d")]) == [
        Run(0, b"a"),
        Run(0, b"cd"),
    ]


def test_another_data_coding_or_table_ends_a_run() -> None:
    turkish = headed(b"\x25\x01\x01")
    assert join_runs([part(1, b"a"), part(2, b"\0b", 8), part(3, b"\0c", 8)]) == [
        Run(0, b"a"),
        Run(8, b"\0b\0c"),
    ]
    assert join_runs([part(1, b"a"), part(2, b"b", udh=turkish)]) == [
        Run(0, b"a"),
        Run(0, b"b", Shifts(locking=1)),
    ]


@pytest.mark.parametrize(
    ("octets", "data_coding", "udhi", "content"),
    [
        (bytes.fromhex("e8329bfd4697d9ec37"), 0x00, False, b"hellohello"),
        (bytes.fromhex("e8329bfd4697d9ec37"), 0xF1, False, b"hellohello"),
        # from the first septet border behind the header on
        (headed(b"\x00\x03\x07\x02\x01") + b"\xc2", 0x00, True, b"a"),
        (headed(b"\x24\x01\x01") + bytes.fromhex("d8cc1b"), 0x00, True, b"\x1b\x73"),
        # what is no septets is not packed, and what can't be told from its header is left alone
        (b"\x04\x48", 0x08, False, b"\x04\x48"),
        (b"\xde\xad", 0x04, False, b"\xde\xad"),
        (b"caf\xe9", 0x03, False, b"caf\xe9"),
        (b"\x20\x01", 0x00, True, b"\x20\x01"),
    ],
)
def test_a_carrier_that_packs_septets_is_read_so(
    octets: bytes, data_coding: int, udhi: bool, content: bytes
) -> None:
    pdu = deliver(octets, udhi=udhi, data_coding=data_coding)
    assert read_arrival(pdu, packed=True).content == content
