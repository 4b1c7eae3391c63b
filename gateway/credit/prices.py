"""Prices by destination prefix, and money between its decimal text and its micro-units.

No float comes near an amount: texts are read digit by digit and everything else is an integer.

Not here: what is done with a price (`ledger.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.credit.rates import AMOUNT_MICROS_MAX, PREFIX_DIGITS_MAX
from gateway.errors import ConfigError
from gateway.model import Micros

MICROS_PER_UNIT: Final = 1_000_000
DECIMALS_MAX: Final = 6

_AMOUNT: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,6}))?", re.ASCII)


def parse_micros(text: object, field: str = "amount", *, signed: bool = False) -> Micros:
    """Return the amount that a decimal text writes, exactly: "0.0075" is 7,500.

    Raises ConfigError with `field` as its key for anything else: numbers that are not texts (a
    float has lost its decimals before it gets here), more than six decimals, signs unless
    `signed`, exponents, separators, amounts beyond AMOUNT_MICROS_MAX.
    """
    if not isinstance(text, str):
        raise ConfigError(field, f'an amount is a text like "0.0075", not {type(text).__name__}')
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ConfigError(field, _why_not(text))
    sign, units, decimals = match.group(1), match.group(2), match.group(3) or ""
    micros = int(units) * MICROS_PER_UNIT + int(decimals.ljust(DECIMALS_MAX, "0"))
    if micros > AMOUNT_MICROS_MAX:
        raise ConfigError(field, f"more than {format_micros(AMOUNT_MICROS_MAX)}")
    if sign and not signed:
        raise ConfigError(field, "an amount can't be negative here")
    return Micros(-micros if sign else micros)


def format_micros(micros: int) -> str:
    """Return the amount as the shortest decimal text: what `parse_micros` reads back."""
    units, rest = divmod(abs(micros), MICROS_PER_UNIT)
    sign = "-" if micros < 0 else ""
    return f"{sign}{units}.{rest:06}".rstrip("0").rstrip(".")


class Unpriced(msgspec.Struct, frozen=True, gc=False):
    """No price is set for this destination, so nothing can be sold there."""


UNPRICED: Final = Unpriced()


class PriceList:
    """An immutable list of prices a segment; the longest prefix counts.

    `default` is the price of everything else, None when everything else isn't sold. About 0.3 µs
    a lookup.
    """

    __slots__ = ("_by_prefix", "_default", "_lengths")

    def __init__(self, prices: Mapping[str, Micros], default: Micros | None = None) -> None:
        for prefix, micros in prices.items():
            fits = prefix.isascii() and prefix.isdigit() and len(prefix) <= PREFIX_DIGITS_MAX
            if not fits or prefix[0] == "0":
                raise ConfigError(
                    "price.prefix",
                    f"{prefix!r} is not the beginning of a number: 1 to {PREFIX_DIGITS_MAX}"
                    " digits, the calling code first, without + or 00",
                )
            _check_price(f"price.{prefix}", micros)
        if default is not None:
            _check_price("price", default)
        self._by_prefix = dict(prices)
        self._default = UNPRICED if default is None else default
        self._lengths = tuple(sorted({len(prefix) for prefix in prices}, reverse=True))

    def price(self, recipient_e164: str) -> Micros | Unpriced:
        """Return the price of one segment to this number."""
        for length in self._lengths:
            found = self._by_prefix.get(recipient_e164[:length])
            if found is not None:
                return found
        return self._default


def _check_price(key: str, micros: Micros) -> None:
    if not 0 <= micros <= AMOUNT_MICROS_MAX:
        raise ConfigError(key, f"{format_micros(micros)} is no price")


def _why_not(text: str) -> str:
    """Say what is wrong with a text that is no amount."""
    if re.fullmatch(r"-?[0-9]+\.[0-9]{7,}", text, re.ASCII):
        return f"{text[:40]} has more than {DECIMALS_MAX} decimals"
    if re.fullmatch(r"-?[0-9]{13,}(\.[0-9]*)?", text, re.ASCII):
        return f"more than {format_micros(AMOUNT_MICROS_MAX)}"
    return f"{text[:40]!r} is no amount: digits, and a point with one to six decimals"
