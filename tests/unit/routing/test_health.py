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
        breaker.succeeded(now * 0.1)
        breaker.succeeded(now * 0.1)
        breaker.failed(now * 0.1)
    assert breaker.state(10.0) is BreakerState.CLOSED


def test_failures_at_the_share_open_it_for_the_first_pause() -> None:
    breaker = Breaker(LIMITS)
    breaker.succeeded(100.0)
    breaker.succeeded(100.0)
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
    breaker.succeeded(109.0)
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
    breaker.succeeded(105.5)
    assert breaker.state(105.5) is BreakerState.HALF_OPEN
    breaker.succeeded(105.6)
    assert breaker.state(105.6) is BreakerState.CLOSED
    assert breaker.availability(105.6) == USABLE


def test_a_breaker_that_closed_remembers_no_old_failures() -> None:
    breaker = _half_open(105.0)
    for _ in range(LIMITS.trials):
        breaker.sent(105.0)
        breaker.succeeded(105.0)
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
        breaker.succeeded(115.0)
    for _ in range(LIMITS.outcomes_min):
        breaker.failed(116.0)
    assert breaker.availability(116.0) == Away(121.0)


def test_what_comes_in_late_from_before_the_pause_changes_nothing() -> None:
    breaker = _opened(100.0)
    breaker.succeeded(101.0)
    breaker.failed(102.0)
    assert breaker.availability(102.0) == Away(105.0)
    breaker.succeeded(105.0)
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
    closed.succeeded(100.0)
    closed.succeeded(50.0)
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
