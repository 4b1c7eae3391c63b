"""Tables of operators and of ported numbers, as suppliers send them: CSV with a header.

Columns are found by their names, in any order and any case; others are passed over. Commas,
semicolons and tabs separate. Anything that can't be used is an error with its line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from gateway.errors import ConfigError
from gateway.routing.operators import (
    PORTED_MAX,
    PREFIX_DIGITS_MAX,
    PREFIXES_MAX,
    Operator,
)

FIELD_CHARS_MAX: Final = 200
_MCC: Final = re.compile(r"[1-9][0-9]{2}", re.ASCII)
_MNC: Final = re.compile(r"[0-9]{2,3}", re.ASCII)
_COUNTRY: Final = re.compile(r"([A-Z]{2})?", re.ASCII)
_NUMBER_DIGITS_MIN: Final = 5
"""The shortest mobile numbers there are, calling code included, have seven; nothing is lost."""


class Ported(msgspec.Struct, frozen=True, gc=False):
    """One row: where a number moved to."""

    number: str
    """E.164 digits."""
    code: str
    """Its operator's code; "": it is back with the operator of its prefix."""


def read_prefixes(lines: Iterable[str], source: str) -> dict[str, Operator]:
    """Return operators by prefix from a table with prefix, mcc, mnc and perhaps name and country.

    `source` is what errors call the file. Raises ConfigError with "source:line" as its key.
    """
    table: dict[str, Operator] = {}
    shared: dict[Operator, Operator] = {}
    for where, row in _rows(lines, source, ("prefix", "mcc", "mnc"), ("name", "country")):
        prefix = _digits(row[0], where, "prefix", 1, PREFIX_DIGITS_MAX)
        mcc, mnc = _codes(row[1], row[2], where)
        country = row[4].upper()
        if not _COUNTRY.fullmatch(country):
            raise ConfigError(where, f"country {row[4]!r} is not ISO 3166's two letters")
        operator = Operator(mcc, mnc, row[3], country)
        operator = shared.setdefault(operator, operator)
        if table.setdefault(prefix, operator) != operator:
            raise ConfigError(
                where, f"prefix {prefix} is given to {table[prefix]} and to {operator}"
            )
        if len(table) > PREFIXES_MAX:
            raise ConfigError(where, f"a table has at most {PREFIXES_MAX:,} prefixes")
    return table


def read_ported(lines: Iterable[str], source: str) -> Iterator[Ported]:
    """Yield the rows of a table with number, mcc and mnc; without a code a number is back home."""
    count = 0
    for where, row in _rows(lines, source, ("number", "mcc", "mnc"), ()):
        number = _digits(row[0], where, "number", _NUMBER_DIGITS_MIN, PREFIX_DIGITS_MAX)
        if not row[1] and not row[2]:
            yield Ported(number, "")
        else:
            mcc, mnc = _codes(row[1], row[2], where)
            yield Ported(number, mcc + mnc)
        count += 1
        if count > PORTED_MAX:
            raise ConfigError(where, f"a table has at most {PORTED_MAX:,} ported numbers")


def _rows(
    lines: Iterable[str], source: str, needed: Sequence[str], welcome: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Yield where a row stands and its fields in the order asked for; "" for what it has not."""
    iterator = iter(lines)
    header = next(iterator, "").removeprefix("\ufeff")
    delimiter = max(",;\t", key=header.count)
    names = [name.strip().strip('"').lower() for name in header.split(delimiter)]
    for name in needed:
        if names.count(name) != 1:
            raise ConfigError(
                f"{source}:1", f"the first line names the columns {', '.join(needed)}; not {name}"
            )
    places = [names.index(name) for name in needed]
    extra = [names.index(name) if name in names else None for name in welcome]
    reader = csv.reader(iterator, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if not any(row):
                continue
            where = f"{source}:{reader.line_num + 1}"
            if len(row) < len(names):
                raise ConfigError(where, f"{len(row)} fields, and the first line has {len(names)}")
            fields = [row[place].strip() for place in places]
            fields += ["" if place is None else row[place].strip() for place in extra]
            if any(len(field) > FIELD_CHARS_MAX for field in fields):
                raise ConfigError(where, f"a field has at most {FIELD_CHARS_MAX} characters")
            yield where, fields
    except csv.Error as error:
        raise ConfigError(f"{source}:{reader.line_num + 1}", f"not CSV: {error}") from error


def _digits(written: str, where: str, name: str, at_least: int, at_most: int) -> str:
    digits = written.removeprefix("+").replace(" ", "")
    usable = digits.isascii() and digits.isdigit() and at_least <= len(digits) <= at_most
    if not usable or digits[0] == "0":
        raise ConfigError(
            where,
            f"{name} {written!r} is not {at_least} to {at_most} digits with the calling code first",
        )
    return digits


def _codes(mcc: str, mnc: str, where: str) -> tuple[str, str]:
    if not _MCC.fullmatch(mcc):
        raise ConfigError(where, f"mcc {mcc!r} is not three digits")
    if not _MNC.fullmatch(mnc):
        hint = " (spreadsheets drop leading zeros)" if len(mnc) == 1 else ""
        raise ConfigError(where, f"mnc {mnc!r} is not two or three digits{hint}")
    return mcc, mnc
