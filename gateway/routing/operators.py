"""Whose subscriber a number is: operators by prefix, and numbers that were ported.

A ported number goes by its own entry; any other by the longest prefix. One million ported numbers
take 12 MB (two arrays, searched by halves); a lookup takes 1 to 2 µs, and is made only for those
who ask.

Not here: reading tables that people wrote (`operator_files.py`), where they are kept
(`gateway/store/operators.py`).
"""

from __future__ import annotations

import re
import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from gateway.errors import ConfigError
from gateway.record import Record

PREFIXES_MAX: Final = 200_000
"""Each takes some 130 octets, 26 MB; the longest tables on the market have half as many."""
PORTED_MAX: Final = 20_000_000
"""Each takes 12 octets: 240 MB, and twice that for the moment in which a new table takes over."""
PREFIX_DIGITS_MAX: Final = 15

_CODE: Final = re.compile(r"([1-9][0-9]{2})-?([0-9]{2,3})", re.ASCII)


class Operator(Record):
    """A mobile network by its codes (ITU-T E.212); `mnc` has two or three digits, as given."""

    __slots__ = ("country", "mcc", "mnc", "name")

    def __init__(self, mcc: str, mnc: str, name: str = "", country: str = "") -> None:
        self.mcc: Final = mcc
        self.mnc: Final = mnc
        self.name: Final = name
        self.country: Final = country
        """ISO 3166 alpha-2; "" when nobody said."""

    @property
    def code(self) -> str:
        """What settings and tables know it by: "26201"."""
        return self.mcc + self.mnc

    def __str__(self) -> str:
        return f"{self.mcc}-{self.mnc} {self.name}".rstrip()


class Found(Record):
    """An operator, and how it was found."""

    __slots__ = ("operator", "prefix")

    def __init__(self, operator: Operator, prefix: str) -> None:
        self.operator: Final = operator
        self.prefix: Final = prefix
        """The digits that told; "" for a number that was ported."""


def parse_code(written: str, key: str = "operator") -> str:
    """Return the code that "262-01" or "26201" writes; raises ConfigError with `key`."""
    match = _CODE.fullmatch(written)
    if match is None:
        raise ConfigError(
            key, f'{written!r} is no operator: three digits of MCC, two or three of MNC ("262-01")'
        )
    return match.group(1) + match.group(2)


def write_code(code: str) -> str:
    """Write a code as people do: "262-01"; "" stays ""."""
    return f"{code[:3]}-{code[3:]}" if code else ""


class PortedNumbers:
    """An immutable map from numbers to the codes of operators that they moved to."""

    __slots__ = ("_codes", "_numbers")

    def __init__(self, numbers: array[int], codes: array[int]) -> None:
        """Take numbers (typecode Q) in ascending order, and the code of each (typecode I)."""
        if len(numbers) != len(codes):
            raise ValueError(f"{len(numbers)} numbers and {len(codes)} codes")
        self._numbers = numbers
        self._codes = codes

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str]]) -> PortedNumbers:
        """Build it from (E.164 digits, code); the last entry of a number counts."""
        ordered = sorted({int(number): int(code) for number, code in entries}.items())
        return cls(array("Q", [n for n, _ in ordered]), array("I", [c for _, c in ordered]))

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def memory_bytes(self) -> int:
        return self._numbers.itemsize * len(self._numbers) + self._codes.itemsize * len(self._codes)

    def find(self, e164: str) -> str:
        """Return the code of the operator that the number moved to; "" when it did not."""
        number = int(e164)
        place = bisect_left(self._numbers, number)
        if place < len(self._numbers) and self._numbers[place] == number:
            return str(self._codes[place])
        return ""


class PortedLoader:
    """Puts a `PortedNumbers` together from pages of packed, big-endian integers."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._codes = array("I")
        assert (self._numbers.itemsize, self._codes.itemsize) == (8, 4)

    @property
    def last(self) -> int:
        """The greatest number so far, after which the next page begins."""
        return self._numbers[-1] if self._numbers else 0

    def add(self, numbers: bytes, codes: bytes) -> None:
        """Take a page of numbers (8 octets each, ascending) with their codes (4 each)."""
        self._numbers.extend(_from_big_endian("Q", numbers))
        self._codes.extend(_from_big_endian("I", codes))

    def build(self) -> PortedNumbers:
        return PortedNumbers(self._numbers, self._codes)


def _from_big_endian(typecode: str, packed: bytes) -> array[int]:
    page: array[int] = array(typecode, packed)
    if sys.byteorder == "little":
        page.byteswap()
    return page


NOTHING_PORTED: Final = PortedNumbers(array("Q"), array("I"))


class Operators:
    """An immutable table: prefixes, and ported numbers before them."""

    __slots__ = ("_by_code", "_by_prefix", "_lengths", "_ported")

    def __init__(
        self,
        prefixes: Mapping[str, Operator] = MappingProxyType({}),
        ported: PortedNumbers = NOTHING_PORTED,
    ) -> None:
        self._by_prefix = dict(prefixes)
        distinct = {id(operator): operator for operator in self._by_prefix.values()}
        self._by_code = {operator.code: operator for operator in reversed(distinct.values())}
        self._lengths = tuple(sorted(set(map(len, self._by_prefix)), reverse=True))
        self._ported = ported

    def __len__(self) -> int:
        """How many prefixes there are."""
        return len(self._by_prefix)

    def __bool__(self) -> bool:
        """Whether any operator is known at all."""
        return bool(self._by_prefix or self._ported)

    @property
    def ported(self) -> PortedNumbers:
        return self._ported

    def with_ported(self, ported: PortedNumbers) -> Operators:
        """Return the same prefixes with other ported numbers."""
        return Operators(self._by_prefix, ported)

    def code(self, e164: str) -> str:
        """Return the code of the number's operator ("26201"); "" when nobody knows it."""
        if self._ported:
            moved_to = self._ported.find(e164)
            if moved_to:
                return moved_to
        for length in self._lengths:
            operator = self._by_prefix.get(e164[:length])
            if operator is not None:
                return operator.code
        return ""

    def named(self, code: str) -> Operator:
        """Return the operator of a code, with its name where the table has one."""
        found = self._by_code.get(code)
        return Operator(code[:3], code[3:]) if found is None else found

    def find(self, e164: str) -> Found | None:
        """Return the number's operator, and what told it."""
        moved_to = self._ported.find(e164)
        if moved_to:
            return Found(self.named(moved_to), "")
        for length in self._lengths:
            operator = self._by_prefix.get(e164[:length])
            if operator is not None:
                return Found(operator, e164[:length])
        return None


NO_OPERATORS: Final = Operators()


class OperatorBook:
    """Holds the table that counts now, NO_OPERATORS itself where nothing is known; a newer one
    takes its place while the gateway runs."""

    __slots__ = ("table",)

    def __init__(self, table: Operators = NO_OPERATORS) -> None:
        self.table = table

    def code(self, e164: str) -> str:
        """Return the code of the number's operator; "" when nobody knows it."""
        return self.table.code(e164)
