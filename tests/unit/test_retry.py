"""What follows when a carrier did not take a segment, class by class."""

from __future__ import annotations

import pytest

from gateway.retry import (
    GIVE_UP,
    REQUEUE,
    SESSION_FAULT_PAUSE_S,
    TRY_OTHER,
    RetryDecision,
    RetryLimits,
    SendAgain,
    backoff_s,
    decide_retry,
)
from gateway.smpp.status import SUBMIT_CLASSES, StatusClass, classify

LIMITS = RetryLimits(attempts_max=4, first_s=5.0, max_s=30.0)


@pytest.mark.parametrize(
    ("status_class", "attempts", "decision"),
    [
        # Being throttled costs no attempt, so the number of them changes nothing.
        (StatusClass.THROTTLE, 0, REQUEUE),
        (StatusClass.THROTTLE, 4_000, REQUEUE),
        (StatusClass.RETRY, 1, SendAgain(5.0)),
        (StatusClass.RETRY, 3, SendAgain(20.0)),
        (StatusClass.RETRY, 4, TRY_OTHER),
        (StatusClass.RETRY, 5, TRY_OTHER),
        # The message has not failed; but a carrier that says so for ever does not take it.
        (StatusClass.SESSION_FAULT, 1, SendAgain(SESSION_FAULT_PAUSE_S)),
        (StatusClass.SESSION_FAULT, 3, SendAgain(SESSION_FAULT_PAUSE_S)),
        (StatusClass.SESSION_FAULT, 4, TRY_OTHER),
        (StatusClass.REROUTE, 1, TRY_OTHER),
        (StatusClass.PERMANENT, 1, GIVE_UP),
    ],
)
def test_each_class_has_its_decision(
    status_class: StatusClass, attempts: int, decision: RetryDecision
) -> None:
    assert decide_retry(status_class, attempts, LIMITS) == decision


@pytest.mark.parametrize("status", [*SUBMIT_CLASSES, 0x400, 0x4FF, 0xFFFFFFFF])
def test_every_status_but_ok_has_a_decision(status: int) -> None:
    status_class = classify(status)
    if status_class is not StatusClass.OK:
        assert decide_retry(status_class, 1, LIMITS) is not None


def test_an_accepted_segment_is_nobodys_to_retry() -> None:
    with pytest.raises(AssertionError):
        decide_retry(StatusClass.OK, 1, LIMITS)


@pytest.mark.parametrize(
    ("attempts", "wait_s"),
    [(0, 5.0), (1, 5.0), (2, 10.0), (3, 20.0), (4, 30.0), (5, 30.0), (10_000_000, 30.0)],
)
def test_the_wait_doubles_up_to_its_ceiling_however_many_attempts(
    attempts: int, wait_s: float
) -> None:
    assert backoff_s(attempts, LIMITS) == wait_s
