"""Read a receipt's text in the shape of Appendix B of SMPP 3.4, which nearly all of them have.

What stands between id and quoted message is the same in many receipts: all that were sent within
one minute, delivered within another and ended alike. So that part is read once, and remembered.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gateway.dlr.dates import read_date
from gateway.dlr.scan import Fields

_FACTS = (
    r"(?:sub:[0-9]{1,3} )?"
    r"(?:dlvrd:[0-9]{1,3} )?"
    r"submit date:(?P<submit>[0-9]{10,14})"
    r" done date:(?P<done>[0-9]{10,14})"
    r" stat:(?P<stat>[A-Z]{5,9})"
    r"(?: err:(?P<err>[0-9A-Za-z]{1,4}))?"
)
_match_facts = re.compile(_FACTS).fullmatch
_match_all = re.compile(
    rf"id:(?P<id>[!-~]{{1,64}}) {_FACTS}(?: ?[Tt]ext:(?P<text>.*))?", re.DOTALL
).fullmatch


def read_usual(text: str) -> Fields | None:
    """Return the fields of a receipt of the usual shape, None for one of any other."""
    head, _, rest = text.partition(" ")
    facts, key, quoted = rest.partition(" text:")
    if not key:
        facts, key, quoted = rest.partition(" Text:")
    message_id = head[3:]
    if head[:3] == "id:" and message_id.isalnum() and (read := _read_facts(facts)):
        submitted_at, done_at, word, error = read
        return message_id, submitted_at, done_at, word, error, quoted
    # An id with other characters, or a quoted message that is not where its key was looked for.
    match = _match_all(text)
    if match is None:
        return None
    message_id, submitted, done, word, error, quoted = match.groups("")
    return message_id, read_date(submitted), read_date(done), word, error, quoted


@lru_cache(maxsize=4096)
def _read_facts(facts: str) -> tuple[float | None, float | None, str, str] | None:
    match = _match_facts(facts)
    if match is None:
        return None
    submitted, done, word, error = match.groups("")
    return read_date(submitted), read_date(done), word, error
