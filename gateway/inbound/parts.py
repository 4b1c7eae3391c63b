"""What one deliver_sm from a phone brings: a whole message, or one part of a longer one.

Parts are numbered by an information element of the user data header (3GPP TS 23.040 §9.2.3.24,
8- or 16-bit references, wherever in the header they stand) or by the SAR parameters (SMPP 3.4
§5.3.2.22 to .24).

Not here: waiting for the other parts (`gateway/text/reassembly.py`, `book.py`), and what the
octets say (`content.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec

from gateway.inbound.content import GSM7, Run, coding_of
from gateway.inbound.numbers import plain_number
from gateway.model import CarrierId, MessageId
from gateway.smpp import vocabulary as v
from gateway.smpp.passing import DELIVERED, pack_tlvs, pick_tlvs, unpack_tlvs
from gateway.smpp.shapes import DeliverSm
from gateway.text.alphabet import unpack_message
from gateway.text.errors import MalformedUdh
from gateway.text.reassembly import Part
from gateway.text.style import DefaultAlphabet
from gateway.text.udh import (
    IEI_CONCATENATION_8,
    IEI_CONCATENATION_16,
    concatenation,
    header_size,
    parse_udh,
    shifts,
)

PARTS_MAX = 255
"""What the one octet of a total can say."""

DATA_CODING_OCTETS = 0x04

# The three ways to number parts are three spaces of references: a phone that counts to 7 in
# 8 bits and one that does in 16 are not speaking of the same message.
_WIDE = 1 << 16
_SAR = 2 << 16


class InboundPart(Part, frozen=True, gc=False, kw_only=True):
    """One part as it is kept until its message is whole; `content` comes without its header."""

    id: MessageId
    """In the order of arrival."""
    carrier_id: CarrierId
    received_at: float
    """Wall clock."""
    esm_class: int
    udh: bytes
    """The header with its length octet; empty for a part that SAR numbers."""
    tlvs: bytes = b""
    """Those that pass, as on the wire."""


class Numbering(msgspec.Struct, frozen=True, gc=False):
    """Which part of which message, `reference` being one of its own way of numbering."""

    reference: int
    total: int
    sequence: int


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """What came in one deliver_sm, addresses as they are compared (`numbers.plain_number`)."""

    sender: str
    recipient: str
    data_coding: int
    esm_class: int
    udh: bytes
    content: bytes
    numbering: Numbering | None
    """None for a message of one part."""
    tlvs: bytes = b""
    """Those that pass, as on the wire."""

    @property
    def run(self) -> Run:
        """What is to be read; binary, header and all, where the header can't be told from it."""
        headless = self.esm_class & v.ESM_CLASS_UDHI and not self.udh
        return Run(
            DATA_CODING_OCTETS if headless else self.data_coding,
            self.content,
            shifts(self.udh),
        )


def read_arrival(pdu: DeliverSm, *, packed: bool = False) -> Arrival:
    """Return what a deliver_sm brings; whatever its octets, none of them is lost.

    With `packed` the carrier writes GSM 7-bit in packed septets; the content has them unpacked.
    """
    octets = pdu.content
    size = 0
    if pdu.esm_class & v.ESM_CLASS_UDHI:
        with suppress(MalformedUdh):
            size = header_size(octets)
    udh, content = octets[:size], octets[size:]
    headless = pdu.esm_class & v.ESM_CLASS_UDHI and not udh
    if packed and not headless and coding_of(pdu.data_coding, DefaultAlphabet.GSM7) == GSM7:
        content = unpack_message(content, size)
    return Arrival(
        sender=plain_number(pdu.source_addr),
        recipient=plain_number(pdu.destination_addr),
        data_coding=pdu.data_coding,
        esm_class=pdu.esm_class,
        udh=udh,
        content=content,
        numbering=_numbering(udh, pdu.tlvs),
        tlvs=pack_tlvs(pick_tlvs(pdu.tlvs, DELIVERED)) if pdu.tlvs else b"",
    )


def visible_header(udh: bytes) -> bytes:
    """Return a part's header as its message has it: without what numbers the part."""
    try:
        elements = parse_udh(udh)
    except MalformedUdh:
        return udh
    body = b"".join(
        bytes((element.iei, len(element.data))) + element.data
        for element in elements
        if element.iei not in (IEI_CONCATENATION_8, IEI_CONCATENATION_16)
    )
    return bytes((len(body),)) + body if body else b""


def join_runs(parts: Iterable[InboundPart]) -> list[Run]:
    """Join the octets of parts that follow each other and are read in one way.

    A character may begin in one part and end in the next, but never across a part that is
    missing.
    """
    runs: list[Run] = []
    before = None
    for part in parts:
        run = Run(part.data_coding, part.content, shifts(part.udh))
        follows = before is not None and before.sequence + 1 == part.sequence
        if follows and runs[-1]._replace(octets=run.octets) == run:
            run = run._replace(octets=runs.pop().octets + run.octets)
        runs.append(run)
        before = part
    return runs


def join_tlvs(parts: Sequence[InboundPart]) -> bytes:
    """Return the TLVs of parts as their message has them: of equal ones the first."""
    if not any(part.tlvs for part in parts):
        return b""
    joined: dict[int, bytes] = {}
    for part in parts:
        joined = unpack_tlvs(part.tlvs) | joined
    return pack_tlvs(joined)


def inbound_parts(parts: Sequence[Part]) -> tuple[InboundPart, ...]:
    """Return a reassembler's parts as what they were when they went in."""
    kept = tuple(part for part in parts if isinstance(part, InboundPart))
    assert len(kept) == len(parts)
    return kept


def _numbering(udh: bytes, tlvs: Mapping[int, bytes]) -> Numbering | None:
    found = concatenation(udh) if udh else None
    if found is not None:
        reference = found.reference | _WIDE if found.wide else found.reference
        numbering = Numbering(reference, found.total, found.sequence)
    elif v.TAG_SAR_TOTAL_SEGMENTS in tlvs:
        numbering = Numbering(
            _SAR | _read_integer(tlvs, v.TAG_SAR_MSG_REF_NUM) & 0xFFFF,
            _read_integer(tlvs, v.TAG_SAR_TOTAL_SEGMENTS),
            _read_integer(tlvs, v.TAG_SAR_SEGMENT_SEQNUM),
        )
    else:
        return None
    is_part = 1 < numbering.total <= PARTS_MAX and 1 <= numbering.sequence <= numbering.total
    return numbering if is_part else None


def _read_integer(tlvs: Mapping[int, bytes], tag: int) -> int:
    return int.from_bytes(tlvs.get(tag, b""), "big")
