"""What the octets of a phone's message say: a text in one of the field's alphabets, or bytes.

Whatever arrives has a reading, and nothing is lost by it: a text that does not say all that its
octets do is marked, and its octets go to the owner beside it.

Not here: the user data header and which octets belong together (`parts.py`).
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.text.national import alphabet_of, is_known
from gateway.text.style import DefaultAlphabet
from gateway.text.udh import NO_SHIFTS, Shifts

GSM7 = "gsm7"
UCS2 = "ucs2"
BINARY = "binary"


class Content(msgspec.Struct, frozen=True, gc=False):
    """What a message says; `encoding` is a word of `coding_of`."""

    text: str
    encoding: str
    exact: bool
    """Whether the text says all that the octets do; never so for binary content."""


class Run(NamedTuple):
    """Octets that belong together."""

    data_coding: int
    octets: bytes
    shifts: Shifts = NO_SHIFTS
    """The national language tables that a header says they are in."""


# SMPP 3.4 §5.2.19. 5 (JIS X 0208), 9 (pictograms) and 13 (JIS X 0212) are read differently by
# everyone, and 2 and 4 are octets by their definition.
_SMPP_CODINGS = {
    0x01: "ascii",
    0x03: "latin-1",
    0x06: "iso-8859-5",
    0x07: "iso-8859-8",
    0x08: UCS2,
    0x0A: "iso-2022-jp",
    0x0E: "euc-kr",
}
_SMPP_CODINGS_END = 0x10
_COMPRESSED = 0x20
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def coding_of(data_coding: int, alphabet: DefaultAlphabet) -> str:
    """Return how octets of this data_coding are read: an alphabet's name, "ucs2" or "binary".

    Above SMPP's own values it is a data coding scheme of 3GPP TS 23.038 §4, where whatever is
    reserved counts as the default alphabet.
    """
    if data_coding == 0:
        return alphabet.value
    if data_coding < _SMPP_CODINGS_END:
        return _SMPP_CODINGS.get(data_coding, BINARY)
    group = data_coding >> 4
    if group < 0x8:  # with a message class, or to be deleted once it was read
        if data_coding & _COMPRESSED:
            return BINARY
        return (alphabet.value, BINARY, UCS2, alphabet.value)[data_coding >> 2 & 0b11]
    if group == 0xE:  # a message waiting indication, in UCS-2
        return UCS2
    if group == 0xF and data_coding & 0x04:
        return BINARY
    return alphabet.value


def read_content(runs: Sequence[Run], alphabet: DefaultAlphabet) -> Content:
    """Return what the runs of a message say, in their order.

    Parts of one message share their data_coding nearly always; where they don't, each run is
    read by its own.
    """
    codings = [coding_of(run.data_coding, alphabet) for run in runs]
    read = [
        decode(run.octets, coding, run.shifts) for run, coding in zip(runs, codings, strict=True)
    ]
    return Content(
        text="".join(text for text, _ in read),
        encoding=BINARY if BINARY in codings else codings[0],
        exact=all(exact for _, exact in read),
    )


def decode(octets: bytes, coding: str, shifts: Shifts = NO_SHIFTS) -> tuple[str, bool]:
    """Return the text of `octets` and whether it says all of them; it holds no NUL.

    A language whose tables we lack is read by the default ones, which have most of its letters
    where it has them.
    """
    match coding:
        case "binary":
            return "", False
        case "gsm7":
            # An octet above 0x7F is no septet: the carrier's alphabet is another one.
            return alphabet_of(shifts).decode(octets), octets.isascii() and is_known(shifts)
        case "ucs2":
            return _without_nul(*_decode_utf16(octets))
        case _:
            return _without_nul(*_decode_by(octets, coding))


def _decode_utf16(octets: bytes) -> tuple[str, bool]:
    """Decode UCS-2, which is UTF-16 in practice; a byte order mark is obeyed and taken off."""
    if octets.startswith(codecs.BOM_UTF16_LE):
        return _decode_by(octets[2:], "utf-16-le")
    return _decode_by(octets.removeprefix(codecs.BOM_UTF16_BE), "utf-16-be")


def _decode_by(octets: bytes, codec: str) -> tuple[str, bool]:
    try:
        return octets.decode(codec), True
    except UnicodeDecodeError:
        return octets.decode(codec, "replace"), False


def _without_nul(text: str, exact: bool) -> tuple[str, bool]:
    """Take off what ends a C string; PostgreSQL holds no NUL in a text at all."""
    text = text.rstrip("\0")
    if "\0" not in text:
        return text, exact
    return text.replace("\0", _REPLACEMENT), False
