"""What follows when a carrier did not take a segment: a pure decision, by the status's class.

The classes themselves stand in `gateway/smpp/status.py`.
"""

from __future__ import annotations

import msgspec

from gateway.smpp.status import StatusClass

SESSION_FAULT_PAUSE_S = 1.0
"""The carrier says that we are not bound: its session is about to close or has just come up."""
DOUBLINGS_MAX = 64
"""A second doubled so often is longer than any ceiling, and still a float."""


class RetryLimits(msgspec.Struct, frozen=True, kw_only=True):
    attempts_max: int = 20
    first_s: float = 5.0
    max_s: float = 600.0


class Requeue(msgspec.Struct, frozen=True, gc=False):
    """Put it back where it was, in front: the carrier asked us to slow down."""


class SendAgain(msgspec.Struct, frozen=True, gc=False):
    """Send it again to the same carrier after `after_s`."""

    after_s: float


class TryOther(msgspec.Struct, frozen=True, gc=False):
    """This carrier will not take it; the next one of the route may."""


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """Nobody will take it."""


RetryDecision = Requeue | SendAgain | TryOther | GiveUp

REQUEUE = Requeue()
TRY_OTHER = TryOther()
GIVE_UP = GiveUp()


def decide_retry(status_class: StatusClass, attempts: int, limits: RetryLimits) -> RetryDecision:
    """Return what to do with a segment that was answered so after `attempts` submissions.

    Being throttled costs no attempt: the message only waits, and its validity bounds the wait.
    """
    match status_class:
        case StatusClass.THROTTLE:
            return REQUEUE
        case StatusClass.PERMANENT:
            return GIVE_UP
        case StatusClass.REROUTE:
            return TRY_OTHER
        case StatusClass.RETRY | StatusClass.SESSION_FAULT if attempts >= limits.attempts_max:
            return TRY_OTHER
        case StatusClass.RETRY:
            return SendAgain(backoff_s(attempts, limits))
        case StatusClass.SESSION_FAULT:
            return SendAgain(SESSION_FAULT_PAUSE_S)
        case StatusClass.OK:
            raise AssertionError("an accepted segment needs no retry")


def backoff_s(attempts: int, limits: RetryLimits) -> float:
    """Return the wait after `attempts` submissions: doubling, up to the ceiling."""
    doublings = min(max(attempts, 1) - 1, DOUBLINGS_MAX)
    return min(limits.max_s, limits.first_s * 2.0**doublings)
