"""Parameters as a query or a form carries them: octets by name, the first of each. Pure."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping

from gateway.text.alphabet import septet_count

Parameters = Mapping[str, bytes]

FIELDS_MAX = 100
_NUMBER = re.compile(rb"[0-9]{1,9}")


class TooManyFields(ValueError):
    """No call has so many parameters."""


def read_form(*queries: bytes) -> dict[str, bytes]:
    """Return the parameters of queries and form bodies, percent-decoded; the first one counts.

    Raises TooManyFields.
    """
    parameters: dict[str, bytes] = {}
    for query in queries:
        # Latin-1 in both directions keeps every octet as it is.
        written = query.decode("latin-1")
        try:
            pairs = urllib.parse.parse_qsl(
                written, keep_blank_values=True, encoding="latin-1", max_num_fields=FIELDS_MAX
            )
        except ValueError as error:
            raise TooManyFields from error
        for name, value in pairs:
            parameters.setdefault(name, value.encode("latin-1"))
    return parameters


def read_text(parameters: Parameters, *names: str) -> str | None:
    """Return the first of these that is there, as UTF-8, or else as Latin-1."""
    for name in names:
        if name in parameters:
            value = parameters[name]
            try:
                return value.decode()
            except UnicodeDecodeError:
                return value.decode("latin-1")
    return None


def read_number(raw: bytes, least: int, most: int) -> int | None:
    """Return a number in a range, None for anything else."""
    raw = raw.strip()
    if not _NUMBER.fullmatch(raw) or not least <= int(raw) <= most:
        return None
    return int(raw)


def fit_gsm7(text: str) -> str:
    """Return a text with a question mark for what GSM 03.38 lacks."""
    if septet_count(text) is not None:
        return text
    return "".join(char if septet_count(char) is not None else "?" for char in text)
