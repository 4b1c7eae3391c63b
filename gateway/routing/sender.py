"""Senders: a name, a short code or a number, and how SMPP is told which (TON and NPI).

Not here: who may use which sender (rules of countries and accounts), a carrier that wants other
values than these (`source_ton` and `source_npi` of its settings), the bytes of the address.
"""

from __future__ import annotations

import enum
import functools
from typing import Final

import msgspec

from gateway.routing.numbers import Ineligible, Reason, parse_number, strip_separators

NAME_CHARS_MAX: Final = 11
"""3GPP TS 23.040 §9.1.2.5: an address has 10 octets, which pack 11 septets."""

SHORT_CODE_DIGITS_MIN: Final = 3
SHORT_CODE_DIGITS_MAX: Final = 8

RAW_CHARS_MAX: Final = 64
"""No sender of any kind is longer, whatever separates its digits."""

NAME_ALPHABET: Final = frozenset(
    " !\"#$%&'()*+,-./0123456789:;<=>?"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
    "¡£¤¥§¿ÄÅÆÇÉÑÖØÜßàäåæèéìñòöøùüΓΔΘΛΞΠΣΦΨΩ"
)
"""The GSM default alphabet (3GPP TS 23.038 §6.2.1) without its control characters and "@". The
extension table is left out too: its characters take two septets, and few carriers know them in
an address."""


class SenderKind(enum.Enum):
    """The three kinds of sender: (word, TON, NPI) by SMPP 3.4 §5.2.5 and §5.2.6."""

    NAME = ("alphanumeric", 5, 0)
    SHORT_CODE = ("short_code", 3, 0)
    """Network specific, as such codes mean something inside one network only. It is what large
    aggregators document; those that want 0/1 are served by their carrier's settings."""
    NUMBER = ("number", 1, 1)

    def __init__(self, wire: str, ton: int, npi: int) -> None:
        self.wire = wire
        self.ton = ton
        self.npi = npi


class Sender(msgspec.Struct, frozen=True, gc=False):
    """Whom the phone shows; an E.164 address has no plus sign."""

    kind: SenderKind
    address: str

    @property
    def ton(self) -> int:
        return self.kind.ton

    @property
    def npi(self) -> int:
        return self.kind.npi


@functools.lru_cache(maxsize=4_096)
def parse_sender(raw: str) -> Sender | Ineligible:
    """Return the sender that `raw` writes.

    Digits alone are a short code (3 to 8) or a number in international form (more); a plus sign
    always makes a number. Everything else is a name.
    """
    written = raw.strip()
    if not written:
        return Ineligible(Reason.SENDER_EMPTY, "the sender is empty")
    if len(written) > RAW_CHARS_MAX:
        return Ineligible(Reason.SENDER_TOO_LONG, f"a name has at most {NAME_CHARS_MAX} characters")
    digits = strip_separators(written)
    if digits.startswith("+"):
        return _parse_number(written)
    if digits.isascii() and digits.isdigit():
        return _parse_digits(digits)
    return _parse_name(written)


def _parse_digits(digits: str) -> Sender | Ineligible:
    if len(digits) < SHORT_CODE_DIGITS_MIN:
        return Ineligible(
            Reason.SENDER_TOO_SHORT, f"a short code has at least {SHORT_CODE_DIGITS_MIN} digits"
        )
    if len(digits) <= SHORT_CODE_DIGITS_MAX:
        return Sender(SenderKind.SHORT_CODE, digits)
    return _parse_number(digits)


def _parse_number(written: str) -> Sender | Ineligible:
    # "possible" is enough: senders are often virtual numbers from ranges that no plan publishes.
    number = parse_number(written, "possible")
    if isinstance(number, Ineligible):
        return number
    return Sender(SenderKind.NUMBER, number.e164)


def _parse_name(name: str) -> Sender | Ineligible:
    if "@" in name:
        # 0x00 in the GSM alphabet, which ends SMPP's C-octet string: the name would be cut there.
        # Replacing it, as others do, would send under a name that nobody asked for.
        return Ineligible(Reason.SENDER_AT_SIGN, "a sender can't contain @: SMPP can't carry it")
    strange = next((char for char in name if char not in NAME_ALPHABET), None)
    if strange is not None:
        return Ineligible(
            Reason.SENDER_ALPHABET,
            f"{strange!r} (U+{ord(strange):04X}) is not in the alphabet of senders",
        )
    if len(name) > NAME_CHARS_MAX:
        return Ineligible(
            Reason.SENDER_TOO_LONG,
            f"a name has at most {NAME_CHARS_MAX} characters, this one {len(name)}",
        )
    return Sender(SenderKind.NAME, name)
