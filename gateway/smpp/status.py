"""What a carrier's command_status asks us to do: the table, and nothing else.

How often and when a retry happens is the dispatcher's; how far a throttled link slows down is
`gateway/throttle/`'s.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final


class StatusClass(enum.Enum):
    """What becomes of a submission after its submit_sm_resp."""

    OK = "ok"
    """The carrier has it."""
    THROTTLE = "throttle"
    """Too fast or its queue is full: slow the link down, keep the message first in line."""
    RETRY = "retry"
    """Not now: later, a limited number of times."""
    REROUTE = "reroute"
    """Not through this carrier: another route, or fail."""
    PERMANENT = "permanent"
    """Never, by anyone: the message itself is wrong."""
    SESSION_FAULT = "session_fault"
    """The session is at fault: rebind; the message has not failed."""


class BindOutcome(enum.Enum):
    """What becomes of a session after its bind's answer."""

    BOUND = "bound"
    BAD_CREDENTIALS = "bad_credentials"
    """Asking again soon can only make the carrier lock us out."""
    RETRY = "retry"


def _of(status_class: StatusClass, *statuses: int) -> dict[int, StatusClass]:
    return dict.fromkeys(statuses, status_class)


SUBMIT_CLASSES: Final[Mapping[int, StatusClass]] = MappingProxyType(
    _of(StatusClass.OK, 0x00)
    | _of(StatusClass.THROTTLE, 0x14, 0x58)
    | _of(StatusClass.RETRY, 0x08, 0x45, 0x61, 0x64, 0xFE, 0xFF)
    | _of(StatusClass.REROUTE, 0x65, 0x66, 0x101, 0x102, 0x103)
    | _of(StatusClass.SESSION_FAULT, 0x02, 0x03, 0x04)
    # Malformed, or an address that can't be: the same octets will be refused everywhere.
    | _of(StatusClass.PERMANENT, 0x01, 0x06, 0x07, 0x0A, 0x0B, 0x0C, 0x15)
    | _of(StatusClass.PERMANENT, 0x33, 0x34, 0x40, 0x42, 0x43, 0x44)
    | _of(StatusClass.PERMANENT, 0x48, 0x49, 0x50, 0x51, 0x54, 0x55, 0x62, 0x63)
    | _of(StatusClass.PERMANENT, 0xC0, 0xC1, 0xC2, 0xC3, 0xC4)
    | _of(StatusClass.PERMANENT, 0x104, 0x105, 0x106, 0x107)
)

BIND_OUTCOMES: Final[Mapping[int, BindOutcome]] = MappingProxyType(
    {
        0x00: BindOutcome.BOUND,
        # ESME_RALYBND on a new connection: the carrier counts this session as the old one.
        0x05: BindOutcome.BOUND,
        0x0E: BindOutcome.BAD_CREDENTIALS,
        0x0F: BindOutcome.BAD_CREDENTIALS,
        0x53: BindOutcome.BAD_CREDENTIALS,
    }
)

NO_OVERRIDES: Final[Mapping[int, StatusClass]] = MappingProxyType({})


def classify(status: int, overrides: Mapping[int, StatusClass] = NO_OVERRIDES) -> StatusClass:
    """Return what a submit_sm_resp's (or generic_nack's) status asks for.

    `overrides` are the carrier's own meanings. A status that nobody knows (vendors use
    0x400-0x4FF and more) is worth a limited retry.
    """
    return overrides.get(status) or SUBMIT_CLASSES.get(status, StatusClass.RETRY)


def classify_bind(status: int) -> BindOutcome:
    """Return what a bind's answer asks for."""
    return BIND_OUTCOMES.get(status, BindOutcome.RETRY)
