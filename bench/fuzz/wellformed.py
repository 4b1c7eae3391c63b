"""PDUs that are well-formed and otherwise anything: made by the specification's own tables.

Lenient forms that peers really send (no body, a missing last NUL, padding) are among them.
"""

from __future__ import annotations

from typing import Final

from bench.fuzz.source import Source
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import (
    DistributionList,
    SmeAddress,
    UnsuccessfulSme,
    Value,
    encode_field,
)
from gateway.smpp.pdu import encode_header
from gateway.smpp.specification import PDUS, TLVS, Field, Kind
from gateway.smpp.tlvs import encode_tlvs

COMMANDS: Final = (*sorted(PDUS), 0x0000, 0x0010, 0x0114, 0x00010200, 0x80000000 | 0x0999)
"""Every command of the specification, a few that nobody knows, and a response to nothing."""

STATUSES: Final = (0, 0, 0, 0x01, 0x04, 0x05, 0x08, 0x0D, 0x0E, 0x14, 0x58, 0x45, 0x400, 0xFFFFFFFF)
_TAGS: Final = (*sorted(TLVS), 0x1401, 0x3FFF, 0xFFFF)
_FIELD_TEXTS: Final = ("", "1", "447911123456", "Shop", "\u00e9", "000000000100000R", "0" * 16)


def make_body(source: Source, command_id: int) -> bytes:
    """Return a body for a command, all choices taken from `source`."""
    specification = PDUS.get(command_id)
    if specification is None:
        return source.some(32)
    if command_id >= v.RESPONSE and source.flag():
        return b""
    body = b"".join(encode_field(field, _make_value(source, field)) for field in specification)
    tlvs = encode_tlvs(_make_tlvs(source))
    ends_with_text = bool(specification) and specification[-1].kind is Kind.TEXT
    if command_id >= v.RESPONSE and ends_with_text and not tlvs and source.flag():
        return body[:-1]  # a last string without its NUL
    return body + tlvs


def make_pdu(source: Source, command_id: int, sequence: int) -> bytes:
    """Return a whole PDU; a response has any status, a request has none."""
    status = source.pick(STATUSES) if command_id >= v.RESPONSE else 0
    body = make_body(source, command_id)
    return encode_header(command_id, sequence, status, len(body)) + body


def _make_value(source: Source, field: Field) -> Value:
    match field.kind:
        case Kind.INTEGER:
            return source.number(field.size)
        case Kind.TEXT:
            return source.pick(_FIELD_TEXTS)[: field.size - 1]
        case Kind.OCTETS:
            return source.some(min(field.size, 24))
        case Kind.DESTINATIONS:
            return tuple(_make_destination(source) for _ in range(source.number() % 4))
        case Kind.FAILURES:
            return tuple(
                UnsuccessfulSme(1, 1, source.pick(_FIELD_TEXTS), source.pick(STATUSES))
                for _ in range(source.number() % 3)
            )


def _make_destination(source: Source) -> SmeAddress | DistributionList:
    if source.flag():
        return DistributionList(source.pick(_FIELD_TEXTS))
    return SmeAddress(source.number(), source.number(), source.pick(_FIELD_TEXTS))


def _make_tlvs(source: Source) -> list[tuple[int, bytes]]:
    return [(source.pick(_TAGS), source.some(8)) for _ in range(source.number() % 4)]
