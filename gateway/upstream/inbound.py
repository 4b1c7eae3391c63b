"""Messages from phones as deliver_sm, for the receivers of the account whose number it was.

A text is written in the account's own alphabet where that has all of it, else in UCS-2; a long
one as numbered parts, as phones send them. A message class goes with it, and so does a header
that says more than how parts belong together. What could not be read goes up octet by octet.

Not here: putting parts together and reading them (`gateway/inbound/`).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.model import Encoding
from gateway.outcomes import InboundMessage
from gateway.outgoing import reference_of
from gateway.smpp import vocabulary as v
from gateway.smpp.fields import TEXT_ENCODING
from gateway.smpp.passing import unpack_tlvs
from gateway.smpp.pdu import encode_short_message
from gateway.smpp.shapes import NO_TLVS, DeliverSm
from gateway.smpp.specification import ADDRESS_SIZE
from gateway.text.alphabet import GSM7
from gateway.text.coding import ClassForm, adapt_coding
from gateway.text.errors import MalformedUdh, TextError
from gateway.text.forms import PAYLOAD_OCTETS_MAX
from gateway.text.segment import split, split_binary
from gateway.text.style import DefaultAlphabet
from gateway.text.udh import IEI_LOCKING_SHIFT, IEI_SINGLE_SHIFT, parse_udh
from gateway.upstream.addresses import address_type
from gateway.upstream.terms import Terms

_DATA_CODING_UCS2 = 0x08
_TELLING_GROUPS = frozenset({0x1, 0xC, 0xD, 0xE, 0xF})
"""First halves of a data_coding that says more than the alphabet: a message class, or that
messages wait (3GPP TS 23.038 §4). It names GSM 7-bit or UCS-2, whatever an account means by 0."""


class _Written(msgspec.Struct, frozen=True):
    """The user data of each deliver_sm, header included, and how it is to be read."""

    parts: Sequence[bytes]
    data_coding: int
    has_header: bool


def build_inbound(terms: Terms, message: InboundMessage) -> list[bytes]:
    """Return the bodies of the deliver_sm that carry a message, in order."""
    written = _write(terms.alphabet, message)
    source, destination = _address(message.sender), _address(message.recipient)
    source_ton, source_npi = address_type(source)
    dest_ton, dest_npi = address_type(destination)
    tlvs = unpack_tlvs(message.tlvs) if message.tlvs else NO_TLVS
    return [
        encode_short_message(
            DeliverSm(
                source_addr_ton=source_ton,
                source_addr_npi=source_npi,
                source_addr=source,
                dest_addr_ton=dest_ton,
                dest_addr_npi=dest_npi,
                destination_addr=destination,
                esm_class=v.ESM_CLASS_UDHI if written.has_header else 0,
                data_coding=written.data_coding,
                short_message=part,
                tlvs=tlvs,
            )
        )
        for part in written.parts
    ]


def _write(alphabet: DefaultAlphabet, message: InboundMessage) -> _Written:
    try:
        return _write_parts(alphabet, message, reference_of(message.id))
    except TextError:
        # A header that does not add up, or more parts than can be numbered: as it came, at once.
        whole = message.udh + message.content
        return _Written([whole], message.data_coding, bool(message.udh))


def _write_parts(alphabet: DefaultAlphabet, message: InboundMessage, reference: int) -> _Written:
    if not message.exact:
        cut = split_binary(message.content, message.udh, reference)
        return _Written(cut.payloads, message.data_coding, cut.has_header)
    header = _lasting_header(message.udh)
    if header:
        return _write_behind(header, message, reference)
    text = message.body
    if message.data_coding >> 4 in _TELLING_GROUPS:
        encoding = _encoding_of(text)
        cut = split(text, encoding, reference)
        return _Written(cut.payloads, _coding_of(message, encoding), cut.has_header)
    if alphabet is DefaultAlphabet.GSM7:
        if GSM7.try_encode(text) is not None:
            cut = split(text, Encoding.GSM7, reference)
            return _Written(cut.payloads, 0, cut.has_header)
    else:
        try:
            octets = text.encode(alphabet.value)
        except UnicodeEncodeError:
            pass
        else:
            one_octet_each = alphabet is not DefaultAlphabet.UTF8 or octets.isascii()
            if one_octet_each or len(octets) <= PAYLOAD_OCTETS_MAX:
                cut = split_binary(octets, b"", reference)
                return _Written(cut.payloads, 0, cut.has_header)
    cut = split(text, Encoding.UCS2, reference)
    return _Written(cut.payloads, _DATA_CODING_UCS2, cut.has_header)


def _write_behind(header: bytes, message: InboundMessage, reference: int) -> _Written:
    """Write a text whose header its reader needs, such as the ports that it is for."""
    encoding = _encoding_of(message.body)
    octets = GSM7.try_encode(message.body)
    if octets is None:
        octets = message.body.encode("utf-16-be")
    cut = split_binary(octets, header, reference)
    return _Written(cut.payloads, _coding_of(message, encoding), cut.has_header)


def _encoding_of(text: str) -> Encoding:
    return Encoding.UCS2 if GSM7.try_encode(text) is None else Encoding.GSM7


def _coding_of(message: InboundMessage, encoding: Encoding) -> int:
    if message.data_coding >> 4 in _TELLING_GROUPS:
        return adapt_coding(message.data_coding, encoding, ClassForm.GENERAL)
    return _DATA_CODING_UCS2 if encoding is Encoding.UCS2 else 0


def _lasting_header(udh: bytes) -> bytes:
    """Return what of a header is of use once the text was read: not which letters it was in."""
    if not udh:
        return b""
    try:
        elements = parse_udh(udh)
    except MalformedUdh:
        return b""  # nobody could make use of it
    body = b"".join(
        bytes((element.iei, len(element.data))) + element.data
        for element in elements
        if element.iei not in (IEI_SINGLE_SHIFT, IEI_LOCKING_SHIFT)
    )
    return bytes((len(body),)) + body if body else b""


def _address(raw: str) -> str:
    """Return an address as far as its field carries it."""
    return raw.encode(TEXT_ENCODING, "replace").decode(TEXT_ENCODING)[: ADDRESS_SIZE - 1]
