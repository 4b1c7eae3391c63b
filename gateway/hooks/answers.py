"""What a customer's answer means for the events of the call.

2xx: delivered. 410 and other 4xx: refused for good, because repeating the same bytes won't help.
429, 408, 425 and 503 say "later" and may say when. Everything else is tried again: 5xx, silence,
no connection, and a redirect, which is not followed (it could lead into our own network) and which
the customer has a day to correct.
"""

from __future__ import annotations

import datetime
import email.utils

import msgspec

RETRY_AFTER_MAX_S = 86_400.0
"""A customer who asks for more gets this; the events would be given up by then anyhow."""

ACKNOWLEDGEMENT = "ACK/Jasmin"

_LATER = frozenset({408, 425, 429})


class Delivered(msgspec.Struct, frozen=True):
    pass


class TryAgain(msgspec.Struct, frozen=True):
    error: str
    wait_s: float = 0.0
    """What the customer asked for; the usual delay applies when that is longer."""
    detail: str = ""
    """Why, for ourselves alone."""


class Refused(msgspec.Struct, frozen=True):
    error: str


Answer = Delivered | TryAgain | Refused


def decide_answer(status: int, retry_after: str | None, excerpt: str, now: float) -> Answer:
    """Turn an HTTP answer into what happens next; `excerpt` is the beginning of its body."""
    if 200 <= status < 300:
        return Delivered()
    error = f"HTTP {status}" + (f": {excerpt}" if excerpt else "")
    if 400 <= status < 500 and status not in _LATER:
        return Refused(error)
    return TryAgain(error, parse_retry_after(retry_after, now))


def decide_acknowledgement(status: int, excerpt: str) -> Answer:
    """As `decide_answer`, where only 200 with the words that say so means delivered.

    404 alone is final: that is what those who expect such calls know.
    """
    if status == 200 and excerpt.strip() == ACKNOWLEDGEMENT:
        return Delivered()
    error = f"HTTP {status} without {ACKNOWLEDGEMENT}" + (f": {excerpt}" if excerpt else "")
    return Refused(error) if status == 404 else TryAgain(error)


def parse_retry_after(value: str | None, now: float) -> float:
    """Return the seconds that a Retry-After asks for (RFC 9110 §10.2.3); 0 when it is no sense."""
    if value is None:
        return 0.0
    value = value.strip()
    if value.isascii() and value.isdigit():
        # A number of any length is a valid delay-seconds, so it is cut before it is read.
        return min(float(value[:9]), RETRY_AFTER_MAX_S)
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0.0
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.UTC)
    return min(max(at.timestamp() - now, 0.0), RETRY_AFTER_MAX_S)
