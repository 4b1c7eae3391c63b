"""The GSM 7-bit alphabet: characters to septets and back, and septets packed into octets.

One octet holds one septet here ("unpacked"), which is what SMPP carries by default. The tables
are in `tables.py`; how many septets a segment holds is `segment.py`'s.

Why it looks as it does: a loop over characters costs 40 ns each, so a text is first turned into
*codes*, one octet a character, by operations that run in C. A code below 0x80 is a septet of the
main table, one above is 0x80 + the septet after an escape. Text without extension characters,
nearly all text, then needs no second step: its codes are its septets.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

from gateway.text.errors import NotInAlphabet
from gateway.text.tables import ESCAPE, GSM_DEFAULT, GSM_EXTENSION

_EXTENDED = 0x80
# An escape never follows an escape, so this code is free in every extension table.
_ABSENT = _EXTENDED | ESCAPE
_SPACE = 0x20
_MAIN_CODES = bytes(range(_EXTENDED))
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_UNDEFINED = "\ufffe"  # what `codecs.charmap_build` takes for "no character here"
_SEPTETS_ONLY = bytes(i if i < _EXTENDED else _ABSENT for i in range(256))
_ESCAPED = re.compile(rb"\x1b(.?)", re.DOTALL)


class Alphabet:
    """A main table with an extension table; `GSM7` is the default pair.

    `main` has 128 characters, `extension` the characters behind an escape. Where both have a
    character, the main table's single septet is used.
    """

    __slots__ = ("_characters", "_charmap", "_code_of_ascii", "_code_of_slot", "_unescaped")

    def __init__(self, main: str, extension: Mapping[int, str]) -> None:
        assert len(main) == _EXTENDED
        assert main[ESCAPE] == chr(ESCAPE)
        assert ESCAPE not in extension
        code_of = {c: _EXTENDED | septet for septet, c in extension.items()}
        code_of |= {c: septet for septet, c in enumerate(main) if septet != ESCAPE}

        self._code_of_ascii = bytes(
            code_of.get(chr(i), _ABSENT) if i < 128 else _ABSENT for i in range(256)
        )
        slots, self._code_of_slot = _build_slots(code_of)
        self._charmap = codecs.charmap_build(slots)

        characters = [_REPLACEMENT] * 256
        characters[:_EXTENDED] = main
        for septet, character in extension.items():
            characters[_EXTENDED | septet] = character
        self._characters = "".join(characters)
        self._unescaped = tuple(
            bytes((_code_after_escape(octet, extension),)) for octet in range(256)
        )

    def encode(self, text: str) -> bytes:
        """Return the septets of `text`, extension characters as escape pairs.

        Raises NotInAlphabet for the first character that has no place here.
        """
        octets = self.try_encode(text)
        if octets is None:
            position = next(i for i, c in enumerate(text) if self._codes(c) is None)
            raise NotInAlphabet(text[position], position)
        return octets

    def try_encode(self, text: str) -> bytes | None:
        """Return the septets of `text`, or None when a character is not in this alphabet."""
        codes = self._codes(text)
        if codes is None or codes.isascii():
            return codes
        for code in set(codes.translate(None, _MAIN_CODES)):
            codes = codes.replace(bytes((code,)), bytes((ESCAPE, code & 0x7F)))
        return codes

    def decode(self, octets: bytes) -> str:
        """Return the text of unpacked septets; whatever arrives has a reading.

        An escape before a septet that the extension lacks is passed over, an escape before an
        escape or at the end is a space (3GPP TS 23.038 §6.2.1.1), an octet above 0x7F is U+FFFD.
        """
        codes = octets if octets.isascii() else octets.translate(_SEPTETS_ONLY)
        if ESCAPE in codes:
            codes = _ESCAPED.sub(self._unescape, codes)
        return codecs.charmap_decode(codes, "strict", self._characters)[0]

    def _codes(self, text: str) -> bytes | None:
        if text.isascii():
            codes = text.encode("ascii").translate(self._code_of_ascii)
        else:
            try:
                slots = codecs.charmap_encode(text, "strict", self._charmap)[0]
            except UnicodeEncodeError:
                return None
            codes = slots.translate(self._code_of_slot)
        if not codes.isascii() and _ABSENT in codes:
            return None
        return codes

    def _unescape(self, pair: re.Match[bytes]) -> bytes:
        follower = pair[1]
        return self._unescaped[follower[0]] if follower else b" "


def _build_slots(code_of: Mapping[str, int]) -> tuple[str, bytes]:
    """Return the characters by slot, for `codecs.charmap_build`, and the codes by slot.

    Slots exist because `charmap_build` makes its fast map only when slot 0 is U+0000: whoever
    has code 0 ("@" in the default table) moves to the free code, and NUL becomes absent.
    """
    slots = [_UNDEFINED] * 256
    for character, code in code_of.items():
        slots[code or _ABSENT] = character
    slots[0] = "\0"
    codes = bytearray(range(256))
    codes[0], codes[_ABSENT] = _ABSENT, 0
    return "".join(slots), bytes(codes)


def _code_after_escape(octet: int, extension: Mapping[int, str]) -> int:
    if octet in extension:
        return _EXTENDED | octet
    return _SPACE if octet == ESCAPE else octet


GSM7 = Alphabet(GSM_DEFAULT, GSM_EXTENSION)


def encode_gsm7(text: str, alphabet: Alphabet = GSM7) -> bytes:
    """Return the unpacked septets of `text`; raises NotInAlphabet."""
    return alphabet.encode(text)


def decode_gsm7(octets: bytes, alphabet: Alphabet = GSM7) -> str:
    """Return the text of unpacked septets; never fails (see `Alphabet.decode`)."""
    return alphabet.decode(octets)


def septet_count(text: str, alphabet: Alphabet = GSM7) -> int | None:
    """Return how many septets `text` takes, or None when it is not in the alphabet."""
    octets = alphabet.try_encode(text)
    return None if octets is None else len(octets)


# Packing by way of a number written in base 2: int() and to_bytes() do the shifting in C.
_BITS = tuple(f"{septet:07b}" for septet in range(128))


def fill_bits(header_octets: int) -> int:
    """Return the bits between a header and the next septet border (3GPP TS 23.040 §9.2.3.24)."""
    return -header_octets * 8 % 7


def pack_septets(septets: bytes, fill: int = 0) -> bytes:
    """Return `septets` packed eight into seven octets, after `fill` zero bits.

    3GPP TS 23.038 §6.1.2.1: the first septet takes the lowest bits. Octets above 0x7F are not
    septets and raise IndexError.
    """
    if not septets:
        return b""
    bits = "".join([_BITS[septet] for septet in reversed(septets)])
    size_octets = (len(septets) * 7 + fill + 7) // 8
    return (int(bits, 2) << fill).to_bytes(size_octets, "little")


def unpack_message(octets: bytes, header_octets: int = 0) -> bytes:
    """Return the septets of a whole packed message that stood behind a header.

    Where they leave room for exactly one more, a carriage return or seven zero bits fill it, and
    nobody wrote those: SMPP's length counts octets (3GPP TS 23.038 §6.1.2.3.1).
    """
    fill = fill_bits(header_octets)
    septets = unpack_septets(octets, fill=fill)
    if (len(octets) * 8 - fill) % 7 == 0 and septets[-1:] in (b"\0", b"\r"):
        return septets[:-1]
    return septets


def pack_message(septets: bytes, header_octets: int = 0) -> bytes:
    """Return what `unpack_message` reads as these septets, to stand behind a header.

    Room for exactly one more is filled with a carriage return, because zeros would be read as "@".
    """
    fill = fill_bits(header_octets)
    if septets and (fill + 7 * len(septets)) % 8 == 1:
        septets += b"\r"
    return pack_septets(septets, fill)


def unpack_septets(octets: bytes, count: int | None = None, fill: int = 0) -> bytes:
    """Return `count` septets out of packed `octets` that start with `fill` bits.

    At most what is there is returned. Without a count a last septet of seven zero bits can't be
    told from padding, and is returned.
    """
    available = max(len(octets) * 8 - fill, 0) // 7
    count = available if count is None else min(count, available)
    number = int.from_bytes(octets, "little") >> fill
    return bytes([(number >> shift) & 0x7F for shift in range(0, count * 7, 7)])
