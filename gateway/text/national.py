"""National languages: which tables each has, and the alphabets that they make together.

3GPP TS 23.038 §6.2.1.2. A message names its tables in the user data header: a locking shift
table stands in for the default alphabet, a single shift table for its extension, either or both.
Handsets that know them are unevenly spread, so nothing here is used unless a carrier's style
names the language.

Not here: the tables (`tables.py`), which of them a text should use (`forms.py`).
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gateway.text import tables
from gateway.text.alphabet import GSM7, Alphabet
from gateway.text.udh import NO_SHIFTS, Shifts


class Language(enum.IntEnum):
    """A national language; the number is its identifier in the header (§6.2.1.2.4)."""

    TURKISH = 1
    SPANISH = 2
    PORTUGUESE = 3

    @property
    def wire(self) -> str:
        return self.name.lower()


LANGUAGES = {language.wire: language for language in Language}

_SINGLE: Mapping[int, Mapping[int, str]] = MappingProxyType(
    {
        Language.TURKISH: tables.TURKISH_SINGLE,
        Language.SPANISH: tables.SPANISH_SINGLE,
        Language.PORTUGUESE: tables.PORTUGUESE_SINGLE,
    }
)

_LOCKING: Mapping[int, str] = MappingProxyType(
    {
        Language.TURKISH: tables.TURKISH_LOCKING,
        Language.PORTUGUESE: tables.PORTUGUESE_LOCKING,
    }
)


def alphabet_of(named: Shifts) -> Alphabet:
    """Return the alphabet of a header's tables; what we do not know is the default's."""
    if named == NO_SHIFTS:
        return GSM7
    # Numbers that nobody gave a table share the default's entry: a peer can't fill the cache.
    single = named.single if named.single in _SINGLE else 0
    locking = named.locking if named.locking in _LOCKING else 0
    return _alphabet(single, locking)


def is_known(named: Shifts) -> bool:
    """Say whether we have all the tables that a header names."""
    return (not named.single or named.single in _SINGLE) and (
        not named.locking or named.locking in _LOCKING
    )


def shifts_of(languages: Sequence[Language]) -> list[Shifts]:
    """Return the choices that these languages give, the least demanding of a handset first.

    A single shift table adds to what every handset knows, so it goes before a locking one, which
    replaces it; both together are last. Within each, the languages' own order.
    """
    single = [Shifts(single=language) for language in languages if language in _SINGLE]
    locking = [Shifts(locking=language) for language in languages if language in _LOCKING]
    both = [
        Shifts(single=language, locking=language)
        for language in languages
        if language in _SINGLE and language in _LOCKING
    ]
    return [*single, *locking, *both]


@functools.cache
def _alphabet(single: int, locking: int) -> Alphabet:
    if not single and not locking:
        return GSM7
    return Alphabet(
        _LOCKING.get(locking, tables.GSM_DEFAULT), _SINGLE.get(single, tables.GSM_EXTENSION)
    )
