"""The breaker's states, one event at a time, on literal times."""

from __future__ import annotations

import pytest

from gateway.routing.health import (
    USABLE,
    Availability,
    Away,
    Breaker,
    BreakerLimits,
    BreakerState,
    Cause,
    Gone,
    worst,
)

LIMITS = BreakerLimits(
    window_s=10.0,
    outcomes_min=4,
    failed_share=0.5,
    open_first_s=5.0,
    open_max_s=12.0,
    trials=2,
    trial_timeout_s=60.0,
)


def _opened(at: float) -> Breaker:
    breaker = Breaker(LIMITS)
    for _ in range(LIMITS.outcomes_min):
        breaker.failed(at)
    assert breaker.state(at) is BreakerState.OPEN
    return breaker


def _half_open(at: float) -> Breaker:
    breaker = _opened(at - LIMITS.open_first_s)
    assert breaker.state(at) is BreakerState.HALF_OPEN
    return breaker


def test_a_new_breaker_is_closed_and_usable() -> None:
    breaker = Breaker()
    assert breaker.state(0.0) is BreakerState.CLOSED
    assert breaker.availability(0.0) == USABLE


def test_failures_below_the_share_keep_it_closed() -> None:
    breaker = Breaker(LIMITS)
    for now in range(100):
        breaker.answered(now * 0.1)
        breaker.answered(now * 0.1)
        breaker.failed(now * 0.1)
    assert breaker.state(10.0) is BreakerState.CLOSED


def test_failures_at_the_share_open_it_for_the_first_pause() -> None:
    breaker = Breaker(LIMITS)
    breaker.answered(100.0)
    breaker.answered(100.0)
    breaker.failed(100.0)
    assert breaker.state(100.0) is BreakerState.CLOSED
    breaker.failed(101.0)
    assert breaker.state(101.0) is BreakerState.OPEN
    assert breaker.availability(101.0) == Away(106.0)
    assert breaker.availability(105.9) == Away(106.0)


def test_too_few_outcomes_say_nothing() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(LIMITS.outcomes_min - 1):
        breaker.failed(100.0)
    assert breaker.state(100.0) is BreakerState.CLOSED


def test_failures_that_lie_further_apart_than_the_window_never_open_it() -> None:
    breaker = Breaker(LIMITS)
    for now in range(0, 1000, 11):
        breaker.failed(float(now))
        breaker.failed(float(now))
        breaker.failed(float(now))
    assert breaker.state(1000.0) is BreakerState.CLOSED


def test_outcomes_count_over_the_border_of_half_a_window() -> None:
    breaker = Breaker(LIMITS)
    for now in (100.0, 104.0, 106.0, 109.0):
        breaker.failed(now)
    assert breaker.state(109.0) is BreakerState.OPEN


def test_outcomes_older_than_the_window_do_not_count() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(3):
        breaker.failed(100.0)
    breaker.answered(109.0)
    breaker.failed(110.5)
    assert breaker.state(110.5) is BreakerState.CLOSED


def test_after_the_pause_a_few_trials_may_go_and_no_more() -> None:
    breaker = _half_open(105.0)
    assert breaker.availability(105.0) == USABLE
    breaker.sent(105.0)
    assert breaker.availability(105.0) == USABLE
    breaker.sent(106.0)
    assert breaker.availability(106.0) == Away(166.0)


def test_it_closes_when_all_trials_succeed() -> None:
    breaker = _half_open(105.0)
    breaker.sent(105.0)
    breaker.sent(105.0)
    breaker.answered(105.5)
    assert breaker.state(105.5) is BreakerState.HALF_OPEN
    breaker.answered(105.6)
    assert breaker.state(105.6) is BreakerState.CLOSED
    assert breaker.availability(105.6) == USABLE


def test_a_breaker_that_closed_remembers_no_old_failures() -> None:
    breaker = _half_open(105.0)
    for _ in range(LIMITS.trials):
        breaker.sent(105.0)
        breaker.answered(105.0)
    for _ in range(LIMITS.outcomes_min - 1):
        breaker.failed(105.0)
    assert breaker.state(105.0) is BreakerState.CLOSED


def test_a_failed_trial_opens_it_for_twice_as_long_up_to_the_maximum() -> None:
    breaker = _half_open(105.0)
    now = 105.0
    for pause_s in (10.0, 12.0, 12.0):
        breaker.sent(now)
        breaker.failed(now)
        assert breaker.availability(now) == Away(now + pause_s)
        now += pause_s
        assert breaker.state(now) is BreakerState.HALF_OPEN


def test_the_pause_starts_small_again_once_it_was_closed() -> None:
    breaker = _half_open(105.0)
    breaker.sent(105.0)
    breaker.failed(105.0)
    for _ in range(LIMITS.trials):
        breaker.sent(115.0)
        breaker.answered(115.0)
    for _ in range(LIMITS.outcomes_min):
        breaker.failed(116.0)
    assert breaker.availability(116.0) == Away(121.0)


def test_what_comes_in_late_from_before_the_pause_changes_nothing() -> None:
    breaker = _opened(100.0)
    breaker.answered(101.0)
    breaker.failed(102.0)
    assert breaker.availability(102.0) == Away(105.0)
    breaker.answered(105.0)
    breaker.failed(105.0)
    assert breaker.state(105.0) is BreakerState.HALF_OPEN
    assert breaker.availability(105.0) == USABLE


def test_trials_whose_outcome_never_comes_are_forgotten_in_the_end() -> None:
    breaker = _half_open(105.0)
    breaker.sent(105.0)
    breaker.sent(105.0)
    assert breaker.availability(164.9) == Away(165.0)
    assert breaker.availability(165.0) == USABLE


def test_a_trial_that_did_not_leave_after_all_is_free_again() -> None:
    breaker = _half_open(105.0)
    breaker.unsent(105.0)
    breaker.sent(105.0)
    breaker.sent(105.0)
    breaker.unsent(105.0)
    assert breaker.availability(105.0) == USABLE
    breaker.sent(105.0)
    assert breaker.availability(105.0) == Away(165.0)


def test_sending_while_closed_uses_up_no_trials() -> None:
    breaker = Breaker(LIMITS)
    for _ in range(10):
        breaker.sent(1.0)
    assert breaker.availability(1.0) == USABLE


def test_a_clock_that_goes_back_neither_opens_nor_closes_it() -> None:
    breaker = _opened(100.0)
    assert breaker.availability(50.0) == Away(105.0)
    closed = Breaker(LIMITS)
    closed.answered(100.0)
    closed.answered(50.0)
    assert closed.state(50.0) is BreakerState.CLOSED


@pytest.mark.parametrize(
    ("parts", "joined"),
    [
        ((), USABLE),
        ((USABLE, USABLE), USABLE),
        ((USABLE, Away(5.0)), Away(5.0)),
        ((Away(5.0), Away(7.0), Away(6.0)), Away(7.0)),
        ((Away(5.0), Gone("drained"), USABLE), Gone("drained")),
    ],
)
def test_the_worst_of_several_judgements_counts(
    parts: tuple[Availability, ...], joined: Availability
) -> None:
    assert worst(*parts) == joined


# ── slow answers, and none ───────────────────────────────────────────────────────────────────

QUICK_S, SLOW_S = 0.1, 3.0
PATIENT = BreakerLimits(
    window_s=10.0, outcomes_min=4, slow_s=2.0, slow_share=0.5, silent_s=8.0, trials=2
)


def _causes(breaker: Breaker) -> list[tuple[BreakerState, Cause]]:
    told: list[tuple[BreakerState, Cause]] = []
    breaker.listen(lambda state, cause: told.append((state, cause)))
    return told


@pytest.mark.parametrize(
    ("answers", "opens"),
    [
        ([SLOW_S] * 4, True),
        ([QUICK_S, QUICK_S, SLOW_S, SLOW_S], True),
        ([QUICK_S, QUICK_S, QUICK_S, SLOW_S], False),
        ([SLOW_S] * 3, False),
        ([2.0] * 10, False),
    ],
)
def test_answers_that_take_too_long_open_it(answers: list[float], opens: bool) -> None:
    breaker = Breaker(PATIENT)
    told = _causes(breaker)
    for took_s in answers:
        breaker.answered(100.0, took_s)
    assert (breaker.state(100.0) is BreakerState.OPEN) == opens
    assert told == ([(BreakerState.OPEN, Cause.SLOW)] if opens else [])


def test_a_small_share_bounds_a_high_percentile() -> None:
    breaker = Breaker(BreakerLimits(slow_s=2.0, slow_share=0.05, outcomes_min=20))
    for _ in range(19):
        breaker.answered(100.0, QUICK_S)
    breaker.answered(100.0, SLOW_S)
    assert breaker.state(100.0) is BreakerState.OPEN


def test_without_a_bound_nothing_is_slow() -> None:
    breaker = Breaker(BreakerLimits(slow_s=0.0, outcomes_min=1))
    breaker.answered(100.0, 1_000.0)
    assert breaker.state(100.0) is BreakerState.CLOSED


def test_a_trial_that_is_slow_fails() -> None:
    breaker = Breaker(PATIENT)
    for _ in range(4):
        breaker.failed(100.0)
    told = _causes(breaker)
    breaker.sent(105.0)
    breaker.answered(108.0, SLOW_S)
    assert told == [(BreakerState.HALF_OPEN, Cause.TIME), (BreakerState.OPEN, Cause.SLOW)]
    assert breaker.availability(108.0) == Away(118.0)


@pytest.mark.parametrize(("for_s", "state"), [(7.9, "closed"), (8.0, "open"), (100.0, "open")])
def test_silence_opens_it(for_s: float, state: str) -> None:
    breaker = Breaker(PATIENT)
    breaker.sent(100.0)
    breaker.unanswered(100.0, for_s)
    assert breaker.state(100.0).value == state


def test_silence_does_not_count_where_it_is_not_to() -> None:
    breaker = Breaker(BreakerLimits(silent_s=0.0))
    breaker.unanswered(100.0, 1e6)
    assert breaker.state(100.0) is BreakerState.CLOSED


def test_silence_is_a_trial_that_failed() -> None:
    breaker = Breaker(PATIENT)
    breaker.unanswered(100.0, 8.0)
    breaker.unanswered(104.0, 12.0)
    assert breaker.availability(104.0) == Away(105.0), "while it is open, silence is no news"
    breaker.unanswered(105.0, 13.0)
    assert breaker.state(105.0) is BreakerState.HALF_OPEN, "nothing was tried yet"
    breaker.sent(105.0)
    breaker.unanswered(113.0, 8.0)
    assert breaker.availability(113.0) == Away(123.0)


def test_every_change_is_told_with_its_reason() -> None:
    breaker = Breaker(PATIENT)
    told = _causes(breaker)
    for _ in range(4):
        breaker.failed(100.0)
    assert breaker.condition(100.0) == (BreakerState.OPEN, Cause.FAILED)
    breaker.sent(105.0)
    breaker.sent(105.0)
    breaker.answered(106.0, QUICK_S)
    breaker.answered(106.0, QUICK_S)
    assert told == [
        (BreakerState.OPEN, Cause.FAILED),
        (BreakerState.HALF_OPEN, Cause.TIME),
        (BreakerState.CLOSED, Cause.RECOVERED),
    ]


def test_other_limits_hold_at_once_and_the_state_stays() -> None:
    breaker = Breaker(PATIENT)
    for _ in range(3):
        breaker.failed(100.0)
    breaker.use(Breaker(BreakerLimits(window_s=10.0, outcomes_min=3)))
    breaker.failed(100.0)
    assert breaker.state(100.0) is BreakerState.OPEN
    breaker.use(Breaker(PATIENT))
    assert breaker.state(100.0) is BreakerState.OPEN
