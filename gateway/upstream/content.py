"""What a customer's octets say: a text, or one segment that stays exactly as it came.

A plain message becomes text, so that it is measured, priced and written as each carrier wants it.
What the customer cut or numbered by itself (a user data header, SAR parameters), and what does
not read as the text that its data_coding promises, is passed on octet by octet.

Not here: who it goes to and when (`orders.py`), how much of it fits (`gateway/text/segment.py`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from typing import Final

from gateway.model import Encoding
from gateway.record import Record
from gateway.smpp import vocabulary as v
from gateway.smpp.shapes import SubmitSm
from gateway.text.alphabet import decode_gsm7
from gateway.text.errors import MalformedUdh
from gateway.text.style import DefaultAlphabet
from gateway.text.udh import IEI_CONCATENATION_8, header_size, parse_udh


class _Coding(enum.IntEnum):
    """How octets are read; numbers, because a plain member is hashed in Python."""

    GSM7 = enum.auto()
    LATIN1 = enum.auto()
    ASCII = enum.auto()
    UTF8 = enum.auto()
    UCS2 = enum.auto()
    OCTETS = enum.auto()
    """Binary content, and alphabets that we have no table of: passed on, never read."""


class Content(Record):
    """A text, or `data` behind `udh`; never both."""

    __slots__ = ("data", "data_coding", "encoding", "text", "udh")

    def __init__(
        self,
        text: str,
        data: bytes,
        udh: bytes,
        encoding: Encoding | None,
        data_coding: int | None,
    ) -> None:
        self.text: Final = text
        self.data: Final = data
        self.udh: Final = udh
        self.encoding: Final = encoding
        """None for a text: whatever carries it in the fewest segments."""
        self.data_coding: Final = data_coding
        """None: what the carrier calls this encoding."""


class Unusable(Record):
    """It can't be sent; `status` says so on the wire."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str) -> None:
        self.status: Final = status
        self.reason: Final = reason


_CODING_OF_ALPHABET = {
    DefaultAlphabet.GSM7: _Coding.GSM7,
    DefaultAlphabet.LATIN1: _Coding.LATIN1,
    DefaultAlphabet.ASCII: _Coding.ASCII,
    DefaultAlphabet.UTF8: _Coding.UTF8,
}
_SMPP_CODINGS = {0x03: _Coding.LATIN1, 0x08: _Coding.UCS2}
_DATA_CODING_IA5 = 0x01
_DATA_CODING_8BIT = 0x04

_NO_IA5 = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
"""Controls that no text has. Where they stand beside data_coding 1, who sent them means GSM 03.38
by it, as npm's `smpp` does: @ is 0x00 there and $ 0x02."""

# What names the octets of a segment to a carrier when the customer's own number for it may mean
# something else there.
_SEGMENT_CODINGS: dict[_Coding, int] = {_Coding.LATIN1: 0x03, _Coding.ASCII: 0x01}

_CODECS = {
    _Coding.LATIN1: "latin-1",
    _Coding.ASCII: "ascii",
    _Coding.UTF8: "utf-8",
    _Coding.UCS2: "utf-16-be",
}
_ENCODINGS = {_Coding.GSM7: Encoding.GSM7, _Coding.UCS2: Encoding.UCS2}


def read_content(
    pdu: SubmitSm, alphabet: DefaultAlphabet, ia5: DefaultAlphabet = DefaultAlphabet.ASCII
) -> Content | Unusable:
    """Return what a submission says; `alphabet` is what the account means by data_coding 0, `ia5`
    what it means by data_coding 1."""
    octets = pdu.content
    if pdu.data_coding == _DATA_CODING_IA5:
        alphabet = ia5
    if pdu.esm_class & v.ESM_CLASS_UDHI:
        try:
            size = header_size(octets)
            parse_udh(octets)
        except MalformedUdh as error:
            return Unusable(v.ESME_RSUBMITFAIL, str(error))
        if size == len(octets):
            return Unusable(v.ESME_RINVMSGLEN, "nothing follows the user data header")
        return _read_segment(octets[size:], octets[:size], pdu.data_coding, alphabet)
    if not octets:
        return Unusable(v.ESME_RINVMSGLEN, "the message is empty")
    if v.TAG_SAR_TOTAL_SEGMENTS in pdu.tlvs:
        udh = _header_of_sar(pdu.tlvs)
        if isinstance(udh, Unusable):
            return udh
        if udh:
            return _read_segment(octets, udh, pdu.data_coding, alphabet)
    return _read_plain(octets, pdu.data_coding, alphabet)


def read_text(octets: bytes, encoding: Encoding, alphabet: DefaultAlphabet) -> str | None:
    """Return the text of octets without a data_coding, as they replace a message of `encoding`.

    None when they do not read as text.
    """
    if encoding is Encoding.UCS2:
        return _decode(octets, _Coding.UCS2)
    return _decode(octets, _CODING_OF_ALPHABET[alphabet])


def _read_plain(octets: bytes, data_coding: int, alphabet: DefaultAlphabet) -> Content:
    coding = _coding_of(data_coding, alphabet)
    if coding is _Coding.ASCII and data_coding == _DATA_CODING_IA5 and _NO_IA5.search(octets):
        coding = _Coding.GSM7
    text = _decode(octets, coding)
    if text is None:
        return _as_it_came(octets, b"", coding, data_coding)
    # A message class or an indication travels in the data_coding, which names the alphabet too.
    explicit = data_coding if data_coding >= 0x10 else None
    return Content(text, b"", b"", _ENCODINGS.get(coding), explicit)


def _read_segment(
    octets: bytes, udh: bytes, data_coding: int, alphabet: DefaultAlphabet
) -> Content | Unusable:
    coding = _coding_of(data_coding, alphabet)
    if coding is _Coding.UTF8:
        if not octets.isascii():
            return Unusable(v.ESME_RSUBMITFAIL, "no data_coding names UTF-8 in a segment")
        coding = _Coding.ASCII
    return _as_it_came(octets, udh, coding, data_coding)


def _as_it_came(octets: bytes, udh: bytes, coding: _Coding, data_coding: int) -> Content:
    encoding = _ENCODINGS.get(coding, Encoding.BINARY)
    usual = (
        (encoding is Encoding.GSM7 and data_coding in (0, _DATA_CODING_IA5))
        or (encoding is Encoding.UCS2 and data_coding == 0x08)
        or data_coding == _DATA_CODING_8BIT
    )
    explicit = None if usual else _SEGMENT_CODINGS.get(coding, data_coding)
    return Content("", octets, udh, encoding, explicit)


def _coding_of(data_coding: int, alphabet: DefaultAlphabet) -> _Coding:
    """Return how a data_coding is read: SMPP's own values, then those of 3GPP TS 23.038 §4.

    0 and 1 are what the account means by them.
    """
    if data_coding in (0, _DATA_CODING_IA5):
        return _CODING_OF_ALPHABET[alphabet]
    if data_coding < 0x10:
        return _SMPP_CODINGS.get(data_coding, _Coding.OCTETS)
    if data_coding < 0x20:  # a message class; 0x20 to 0xBF are compressed or reserved
        return (_Coding.GSM7, _Coding.OCTETS, _Coding.UCS2, _Coding.OCTETS)[data_coding >> 2 & 3]
    if data_coding >= 0xF0:
        return _Coding.OCTETS if data_coding & 0x04 else _Coding.GSM7
    if data_coding >= 0xE0:
        return _Coding.UCS2
    return _Coding.GSM7 if data_coding >= 0xC0 else _Coding.OCTETS


def _decode(octets: bytes, coding: _Coding) -> str | None:
    """Return the text, None for what does not read as one (or what the store can't hold)."""
    match coding:
        case _Coding.GSM7:
            # An octet above 0x7F is no septet: who sends it means an alphabet of his own.
            return decode_gsm7(octets) if octets.isascii() else None
        case _Coding.OCTETS:
            return None
        case _:
            try:
                text = octets.decode(_CODECS[coding])
            except UnicodeDecodeError:
                return None
    return None if "\0" in text else text


def _header_of_sar(tlvs: Mapping[int, bytes]) -> bytes | Unusable:
    """Return SAR parameters as the header that an SMSC would make of them; b"" for a single part.

    With the 8-bit reference, because that leaves the room which every SMSC promises (153 septets).
    """
    total = int.from_bytes(tlvs[v.TAG_SAR_TOTAL_SEGMENTS], "big")
    if total == 1:
        return b""
    sequence = int.from_bytes(tlvs.get(v.TAG_SAR_SEGMENT_SEQNUM, b""), "big")
    reference = tlvs.get(v.TAG_SAR_MSG_REF_NUM, b"")
    if not reference or not 1 <= sequence <= total <= 255:
        return Unusable(v.ESME_RINVOPTPARAMVAL, f"SAR names part {sequence} of {total}")
    return bytes((5, IEI_CONCATENATION_8, 3, reference[-1], total, sequence))
