"""Optional parameters (SMPP 3.4 §3.2.4), read and written: any tag, known ones in their form."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField, MalformedPdu
from gateway.smpp.fields import TEXT_ENCODING, encode_integer, encode_text
from gateway.smpp.specification import TLVS, Kind, tlv_name

_HEADER: Final = struct.Struct(">HH")
_TAG_AND_SIZE: Final = _HEADER.unpack_from


def encode_tlvs(tlvs: Iterable[tuple[int, bytes]]) -> bytes:
    """Write optional parameters in the order given; raises InvalidField."""
    parts = []
    for tag, value in tlvs:
        if not 0 <= tag <= 0xFFFF:
            raise InvalidField("tag", f"{tag} does not fit 2 octets")
        if len(value) > 0xFFFF:
            raise InvalidField(tlv_name(tag), f"{len(value)} octets, 65535 at most")
        parts.append(_HEADER.pack(tag, len(value)) + value)
    return b"".join(parts)


def encode_tlv_value(tag: int, value: int | str | bytes) -> bytes:
    """Write one TLV's value in the form that the specification gives its tag."""
    known = TLVS.get(tag)
    match value:
        case bytes():
            return value
        case str() if known and known.kind is Kind.TEXT:
            return encode_text(known.name, value, known.size)
        case int() if known and known.kind is Kind.INTEGER:
            return encode_integer(known.name, value, known.size)
    raise InvalidField(tlv_name(tag), f"{type(value).__name__} is not what this TLV holds")


def decode_tlv_value(tag: int, value: bytes) -> int | str | bytes:
    """Read one TLV's value in the form that the specification gives its tag.

    Integers are read at any width and texts with or without their NUL: peers vary.
    """
    known = TLVS.get(tag)
    if known is None or known.kind is Kind.OCTETS:
        return value
    if known.kind is Kind.INTEGER:
        return int.from_bytes(value, "big")
    return value.partition(b"\0")[0].decode(TEXT_ENCODING)


def decode_tlvs(body: bytes, at: int, *, lenient: bool) -> tuple[tuple[int, bytes], ...]:
    """Read the optional part of a body from `at` on.

    Less than a TLV's header of NULs at the end is padding that some peers send.
    """
    tlvs: list[tuple[int, bytes]] = []
    end = len(body)
    while at + 4 <= end:
        tag, size = _TAG_AND_SIZE(body, at)
        at += 4 + size
        if at > end:
            if lenient:
                return tuple(tlvs)
            raise MalformedPdu(f"the PDU ends within {tlv_name(tag)}", v.ESME_RINVOPTPARSTREAM)
        tlvs.append((tag, body[at - size : at]))
    if not lenient and body[at:].strip(b"\0"):
        raise MalformedPdu("octets behind the last TLV", v.ESME_RINVOPTPARSTREAM)
    return tuple(tlvs)


def map_tlvs(body: bytes, at: int) -> dict[int, bytes]:
    """Read the optional part of a request from `at` on; of a repeated TLV the last is kept."""
    tlvs: dict[int, bytes] = {}
    first, end = at, len(body)
    while at + 4 <= end:
        tag, size = _TAG_AND_SIZE(body, at)
        value_at = at + 4
        at = value_at + size
        tlvs[tag] = body[value_at:at]
    if at != end:  # padded, or damaged
        return dict(decode_tlvs(body, first, lenient=False))
    return tlvs
