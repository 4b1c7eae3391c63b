"""A sender's name in the octets that a carrier wants in source_addr.

SMPP says that addresses are ASCII; names have the GSM alphabet, and carriers differ in what they
make of that. One character is always written as one octet, so that eleven stay eleven.

Not here: which senders are taken at all (`gateway/routing/sender.py`).
"""

from __future__ import annotations

import enum
import functools
import unicodedata
from types import MappingProxyType

from gateway.text.alphabet import GSM7


class SenderForm(enum.StrEnum):
    """How a carrier wants characters beyond ASCII in a sender's name."""

    LATIN1 = "latin-1"
    """ISO 8859-1, as most that take them at all."""
    GSM7 = "gsm7"
    """GSM 03.38 septets, one an octet: "_" and "$" too have other octets than in ASCII."""
    ASCII = "ascii"
    """Replaced by the nearest ASCII character."""


# What taking an accent off does not make ASCII. "@" is 0x00 in GSM, which would end the address.
_NEAREST = MappingProxyType(
    {
        **dict(zip("ΓΔΘΛΞΠΣΦΨΩ", "GDTLXPSFPO", strict=True)),
        **dict(zip("ÆæØøßıŞşĞğİ", "AaOosiSsGgI", strict=True)),
        **dict(zip("¡¿£¤¥§", "!?LoYS", strict=True)),
    }
)
_UNKNOWN = "?"


@functools.lru_cache(maxsize=4096)
def write_sender(name: str, form: SenderForm) -> str:
    """Return `name` as text whose Latin-1 octets are what goes on the wire; never with a NUL.

    What the form can't carry is replaced as if it were ASCII.
    """
    if form is not SenderForm.GSM7 and name.isascii() and name.isprintable():
        return name
    return "".join([_write(character, form) for character in name])


def _write(character: str, form: SenderForm) -> str:
    if not character.isprintable():
        return _UNKNOWN
    if form is SenderForm.LATIN1 and character <= "\xff":
        return character
    if form is SenderForm.GSM7:
        return _septet(character) or _septet(_nearest(character)) or _UNKNOWN
    return _nearest(character)


def _septet(character: str) -> str:
    """Return a character's septet, "" when it takes none, two, or NUL."""
    octets = GSM7.try_encode(character)
    return chr(octets[0]) if octets and len(octets) == 1 and octets[0] else ""


def _nearest(character: str) -> str:
    if character.isascii():
        return character
    near = _NEAREST.get(character) or unicodedata.normalize("NFD", character)[0]
    return near if near.isascii() else _UNKNOWN
