"""Read a receipt's text in whatever shape: known keys in any order, none of them needed."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from gateway.dlr.dates import read_date
from gateway.dlr.states import STATE_OF_WORD

ERROR_CHARACTERS_MAX = 32

Fields = tuple[str, float | None, float | None, str, str, str]
"""What a text says: id, submit and done date in epoch seconds of the carrier's clock, the state's
word, the error, the quoted message. "" or None for what is not there."""

_KEY = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"(?P<id>id)"
    r"|(?P<submit>submit[ _]?date)"
    r"|(?P<done>done[ _]?date)"
    r"|(?P<stat>stat(?:us|e)?)"
    r"|(?P<err>err(?:or)?(?:[ _]?code)?)"
    r"|(?P<text>text)"
    r"|(?P<counts>sub|dlvrd)"
    r") ?:",
    re.ASCII | re.IGNORECASE,
)
_NOT_DIGITS = re.compile("[^0-9]+")
_AROUND = " ,;'\""  # what some put between fields or around values


def scan(text: str, has_id: bool, own_words: Container[str] = ()) -> Fields:
    """Return the fields of a receipt whose keys stand in any order.

    `own_words` are words for states that only this carrier has. The first of equal keys holds.
    Once the id is known, whatever follows `text:` is the quoted message, so that nobody can write
    a receipt into a text.
    """
    values: dict[str, str] = {}
    name, start = "", 0
    for key in _KEY.finditer(text):
        values.setdefault(name, text[start : key.start()])
        name, start = key.lastgroup or "", key.end()
        if name == "text" and (has_id or "id" in values):
            break
    values.setdefault(name, text[start:])
    return (
        _first_token(values.get("id", "")),
        read_date(_find_date(values.get("submit", ""))),
        read_date(_find_date(values.get("done", ""))),
        _first_token(values.get("stat", "")) or _find_bare_word(values, own_words),
        _find_error(values.get("err", "")),
        values.get("text", ""),
    )


def _find_bare_word(values: Mapping[str, str], own_words: Container[str]) -> str:
    """Return the state's word of a receipt that lacks the key before it (`... DELIVRD err:000`)."""
    for name, value in values.items():
        if name == "text":
            continue
        tokens = value.split()
        own = 1 if name in ("id", "err") else 0  # the first is that key's own value
        for token in tokens[own:]:
            word = token.upper()
            if word in STATE_OF_WORD or word in own_words:
                return word
    return ""


def _find_date(value: str) -> str:
    """Return the digits of a date, also of one with separators (`2026-11-22 09:15`)."""
    first = _first_token(value)
    return first if first.isdecimal() else _NOT_DIGITS.sub("", value)


def _find_error(value: str) -> str:
    """Return an error code without what follows it, or all words of an error in words."""
    error = _first_token(value)
    if not any(character.isdecimal() for character in error):
        error = " ".join(value.replace("\0", "").split()).strip(_AROUND)
    return error[:ERROR_CHARACTERS_MAX]


def _first_token(value: str) -> str:
    tokens = value.replace("\0", "").split(None, 1)
    return tokens[0].strip(_AROUND) if tokens else ""
