"""Messages that phones send, as deliver_sm bodies.

Texts of characters that GSM 03.38 and ASCII have in common travel as they are, all others in
UCS-2; the gateway's own alphabet is not asked, so that it is checked by another hand.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode_short_message
from gateway.smpp.shapes import DeliverSm

_SHARED = re.compile(r"[A-Za-z0-9 \r\n!\"#%&'()*+,\-./:;<=>?]*")
_CODING_GSM: Final = 0
_CODING_UCS2: Final = 8
_PAYLOAD_BITS: Final = 140 * 8
_PARTS_MAX: Final = 255
_TON: Final = {True: 1, False: 3}  # international for numbers, network specific for short codes


def write_mobile(
    source: str,
    destination: str,
    text: str,
    *,
    reference: int = 0,
    reference_bits: Literal[8, 16] = 8,
) -> list[bytes]:
    """Return the body of each part, in order.

    Raises ValueError when the text needs more than 255 parts.
    """
    if _SHARED.fullmatch(text):
        data_coding, octets, unit, single = _CODING_GSM, text.encode("ascii"), 1, 160
    else:
        data_coding, octets, unit, single = _CODING_UCS2, text.encode("utf-16-be"), 2, 140
    if len(octets) <= single:
        return [_write_part(source, destination, data_coding, 0, octets)]
    header_size = 6 if reference_bits == 8 else 7
    bits_each = 7 if data_coding == _CODING_GSM else 16
    room = (_PAYLOAD_BITS - header_size * 8) // bits_each * unit
    pieces = _cut(octets, room, surrogates=data_coding == _CODING_UCS2)
    if len(pieces) > _PARTS_MAX:
        raise ValueError(f"the text needs {len(pieces)} parts, {_PARTS_MAX} is the most")
    return [
        _write_part(
            source,
            destination,
            data_coding,
            v.ESM_CLASS_UDHI,
            _header(reference, reference_bits, len(pieces), number) + piece,
        )
        for number, piece in enumerate(pieces, 1)
    ]


def _header(reference: int, bits: Literal[8, 16], total: int, number: int) -> bytes:
    """Write the concatenation header (3GPP TS 23.040 §9.2.3.24.1 and .8)."""
    if bits == 8:
        return bytes((5, 0, 3, reference & 0xFF, total, number))
    return bytes((6, 8, 4, reference >> 8 & 0xFF, reference & 0xFF, total, number))


def _cut(octets: bytes, room: int, *, surrogates: bool) -> list[bytes]:
    pieces = []
    at = 0
    while at < len(octets):
        end = min(at + room, len(octets))
        if surrogates and end < len(octets) and 0xD8 <= octets[end - 2] <= 0xDB:
            end -= 2  # the pair stays together
        pieces.append(octets[at:end])
        at = end
    return pieces


def _write_part(
    source: str, destination: str, data_coding: int, esm_class: int, short_message: bytes
) -> bytes:
    return encode_short_message(
        DeliverSm(
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=source,
            dest_addr_ton=_TON[len(destination) > 6],
            dest_addr_npi=1,
            destination_addr=destination,
            esm_class=esm_class,
            data_coding=data_coding,
            short_message=short_message,
        )
    )
