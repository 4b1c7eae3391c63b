"""What a mail server's answer means for an email, and when it is tried again.

5xx about this email is final, 4xx is "later". What hits every email alike (no connection, no TLS,
wrong credentials) is the server's: the whole sender pauses and no email is charged for it. Times
are seconds since the epoch. Pure.
"""

from __future__ import annotations

import enum

import msgspec

from gateway.config import Email

REPLY_CHARS_MAX = 300
_DOUBLINGS_MAX = 32
_NOT_OURS = frozenset({421, 454, 530, 534, 535, 538})
"""Before the recipient is named: the server closes, or wants other credentials or TLS. Named after
it, they may be about this one, and one bad address must not hold up all others."""

PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 60.0


class Stage(enum.Enum):
    """How far a transaction had come."""

    CONNECT = "connect"
    """TCP, TLS, greeting, credentials."""
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    """From here on the server may have taken the email without our knowing."""


class Sent(msgspec.Struct, frozen=True):
    reply: str


class Later(msgspec.Struct, frozen=True):
    """This email is to be tried again."""

    reply: str


class Failed(msgspec.Struct, frozen=True):
    """This email will never be taken."""

    reply: str


class ServerAway(msgspec.Struct, frozen=True):
    """No email can be sent now."""

    reply: str


SmtpOutcome = Sent | Later | Failed | ServerAway


def decide_reply(stage: Stage, code: int, text: str) -> SmtpOutcome:
    """Say what a reply means that ended a transaction at `stage`."""
    reply = describe_reply(code, text)
    if stage is Stage.CONNECT or (stage is Stage.MAIL and code in _NOT_OURS):
        return ServerAway(reply)
    if 200 <= code < 300 and stage is Stage.DATA:
        return Sent(reply)
    return Failed(reply) if 500 <= code < 600 else Later(reply)


def decide_break(stage: Stage, reason: str) -> SmtpOutcome:
    """Say what it means that a connection broke or fell silent at `stage`."""
    reply = shorten(reason)
    return ServerAway(reply) if stage is Stage.CONNECT else Later(reply)


def describe_reply(code: int, text: str) -> str:
    return shorten(f"{code} {text}")


def shorten(text: str) -> str:
    """Return what a server said as one storable line."""
    words = "".join(char if char.isprintable() else " " for char in text).split()
    return " ".join(words)[:REPLY_CHARS_MAX]


def decide_pause(failures: int, jitter: float) -> float:
    """Return how many seconds to leave a server alone after so many failures in a row."""
    doublings = min(failures - 1, _DOUBLINGS_MAX)
    return float(min(PAUSE_FIRST_S * 2**doublings, PAUSE_MAX_S) * (1.0 - jitter / 2))


def decide_retry(
    attempts: int, began_at: float, now: float, settings: Email, jitter: float
) -> float | None:
    """Return when to try again after `attempts` failures (at least one), None when it is too late.

    `jitter` in [0, 1) takes up to half of the delay away.
    """
    doublings = min(attempts - 1, _DOUBLINGS_MAX)
    delay_s = min(settings.retry_first_s * 2**doublings, settings.retry_max_s)
    at = now + delay_s * (1.0 - jitter / 2)
    return at if at <= began_at + settings.give_up_after_s else None
