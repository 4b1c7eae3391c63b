"""What the carrier reads of a submit_sm: what it decides by, and what a receipt repeats.

The gateway has a codec of its own; the carrier's must not share its code, or a mistake in one
would hide in the other.
"""

from __future__ import annotations

import struct
from typing import Final

import msgspec

from bench.stream import HEADER_SIZE
from gateway.smpp import vocabulary as v

_UNTIMED: Final = struct.Struct(">BxxHBxBxB").unpack_from
"""From esm_class to sm_length, where neither of the two times between them is given."""
_AFTER_TIMES: Final = struct.Struct(">BxBxB").unpack_from
_TLV: Final = struct.Struct(">HH").unpack_from
_SAR: Final = (v.TAG_SAR_MSG_REF_NUM, v.TAG_SAR_TOTAL_SEGMENTS, v.TAG_SAR_SEGMENT_SEQNUM)


class Unreadable(Exception):
    """A body that is not what SMPP 3.4 §4.4.1 says. Refuse the PDU with `status` and go on."""

    def __init__(self, status: int) -> None:
        super().__init__(f"answered with {status:#x}")
        self.status = status


class Submit(msgspec.Struct, frozen=True):
    """One submit_sm."""

    source: bytes
    """TON, NPI, address and NUL, as they came."""
    destination: bytes
    esm_class: int
    registered_delivery: int
    data_coding: int
    content: bytes
    """short_message, or message_payload when that is empty."""
    sar: bytes
    """The values of the TLVs that say which part of a message it is; empty without."""
    octets: bytes
    """The whole PDU."""

    @property
    def source_addr(self) -> bytes:
        return self.source[2:-1]

    @property
    def destination_addr(self) -> bytes:
        return self.destination[2:-1]


def read_submit(octets: bytes) -> Submit:
    """Read a whole submit_sm, header included; raises Unreadable."""
    try:
        source_at = octets.index(0, HEADER_SIZE) + 1
        destination_at = octets.index(0, source_at + 2) + 1
        at = octets.index(0, destination_at + 2) + 1
        source = octets[source_at:destination_at]
        destination = octets[destination_at:at]
        esm_class, times, registered_delivery, data_coding, size = _UNTIMED(octets, at)
        at += 10
        if times:
            at = octets.index(0, octets.index(0, at - 7) + 1) + 1
            registered_delivery, data_coding, size = _AFTER_TIMES(octets, at)
            at += 5
    except (ValueError, struct.error):
        raise Unreadable(v.ESME_RINVCMDLEN) from None
    end = at + size
    content, sar = octets[at:end], b""
    if end != len(octets):
        if end > len(octets):
            raise Unreadable(v.ESME_RINVMSGLEN)
        tlvs = _read_tlvs(octets, end)
        content = content or tlvs.get(v.TAG_MESSAGE_PAYLOAD, b"")
        sar = b"".join([tlvs.get(tag, b"") for tag in _SAR])
    return Submit(
        source, destination, esm_class, registered_delivery, data_coding, content, sar, octets
    )


def _read_tlvs(octets: bytes, at: int) -> dict[int, bytes]:
    """Read the optional part, of a repeated TLV the last. Some peers pad it with NULs."""
    tlvs = {}
    while at + 4 <= len(octets):
        tag, size = _TLV(octets, at)
        at += 4 + size
        if at > len(octets):
            raise Unreadable(v.ESME_RINVOPTPARSTREAM)
        tlvs[tag] = octets[at - size : at]
    if octets[at:].strip(b"\0"):
        raise Unreadable(v.ESME_RINVOPTPARSTREAM)
    return tlvs
