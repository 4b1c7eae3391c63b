"""How long ago things were, at literal times: an odometer at 0 when the clock shows 1,000,000."""

from __future__ import annotations

import math
from random import Random

import pytest

from gateway.passed import KEPT_S, SET_S, STRETCHES_MAX, PassedTime, Stretch

NOW = 50.0
WALL = 1_000_000.0
HOUR = 3_600.0


def passed_time() -> PassedTime:
    return PassedTime(NOW, WALL)


def run(passed: PassedTime, seconds: float, ahead_s: float = 0.0) -> float:
    """Let the odometer come to `seconds`, the clock ahead by `ahead_s`."""
    return passed.note(NOW + seconds, WALL + seconds + ahead_s)


def test_a_clock_that_is_never_set_tells_how_much_time_has_passed() -> None:
    passed = passed_time()
    assert run(passed, 100) == 0.0
    assert passed.before(60) == WALL + 40
    assert passed.before(10 * HOUR) == WALL + 100 - 10 * HOUR
    assert passed.slowest(HOUR) == WALL + 100
    assert passed.age_s(WALL + 70) == 30


def test_a_clock_that_is_set_ahead_makes_nothing_older() -> None:
    passed = passed_time()
    run(passed, 99)
    assert run(passed, 100, HOUR) == HOUR
    assert passed.before(60) == WALL + 40
    run(passed, 158, HOUR)
    assert passed.before(60) == WALL + 98
    assert passed.age_s(WALL + 98) == 60
    assert passed.age_s(WALL + HOUR + 140) == 18


def test_what_was_stamped_by_a_clock_ahead_ends_by_that_clock() -> None:
    passed = passed_time()
    run(passed, 99)
    run(passed, 100, HOUR)
    run(passed, 200, HOUR)
    assert passed.before(60) == WALL + 140 + HOUR


def test_a_clock_that_is_set_back_makes_nothing_stamped_since_older() -> None:
    passed = passed_time()
    run(passed, 99, 0)
    assert run(passed, 100, -HOUR) == -HOUR
    run(passed, 110, -HOUR)
    # What carries a time from 99 - HOUR on may be of the last seconds.
    assert passed.before(60) == WALL + 99 - HOUR
    assert passed.age_s(WALL + 105 - HOUR) == 5
    assert passed.age_s(WALL + 50) == 60
    run(passed, 200, -HOUR)
    assert passed.before(60) == WALL + 140 - HOUR


def test_what_was_stamped_between_two_looks_may_be_so_by_the_new_time() -> None:
    passed = passed_time()
    run(passed, 90)
    run(passed, 100, -HOUR)
    assert passed.before(5) == WALL + 95 - HOUR
    assert passed.before(20) == WALL + 90 - HOUR


def test_time_in_which_nobody_ran_does_not_count() -> None:
    passed = PassedTime(7.0, WALL + 5 * HOUR, 100.0, [Stretch(0.0, 0.0, WALL)])
    assert passed.note(7.0, WALL + 5 * HOUR) == 5 * HOUR - 100
    assert passed.before(60) == WALL + 40
    assert passed.age_s(WALL + 40) == 60


def test_what_is_believed_is_the_clock_that_has_stood() -> None:
    passed = passed_time()
    run(passed, 99)
    run(passed, 100, 1_000 * HOUR)
    assert passed.slowest(HOUR) == WALL + 100
    run(passed, 100 + 2 * HOUR, 1_000 * HOUR)
    assert passed.slowest(HOUR) == WALL + 100 + 1_002 * HOUR
    run(passed, 101 + 2 * HOUR)
    assert passed.slowest(HOUR) == WALL + 101 + 2 * HOUR


def test_a_clock_that_drifts_was_not_set() -> None:
    passed = passed_time()
    for second in range(1_000):
        assert run(passed, second, SET_S * second / 1_000) == 0.0
    assert len(passed.stretches) == 1


def test_a_time_that_no_clock_has_shown_yet_is_now() -> None:
    passed = passed_time()
    run(passed, 100)
    assert passed.age_s(WALL + 500) == 0


def test_old_stretches_are_forgotten() -> None:
    passed = passed_time()
    run(passed, 10, HOUR)
    run(passed, KEPT_S + 20, HOUR)
    run(passed, KEPT_S + 30)
    run(passed, KEPT_S + 40, HOUR)
    assert len(passed.stretches) == 3
    for place in range(3 * STRETCHES_MAX):
        run(passed, KEPT_S + 50 + place, HOUR * (place % 2))
    assert len(passed.stretches) == STRETCHES_MAX


@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_ever_taken_for_older_than_it_is(seed: int) -> None:
    chance = Random(seed)
    passed = passed_time()
    ahead_s, stamped = 0.0, [(0.0, WALL)]
    looked = True
    for second in range(1, 300):
        if looked and chance.random() < 0.1:  # nobody can know of two within one look
            ahead_s = chance.choice((0.0, chance.uniform(-500, 500)))
            looked = False
        stamped.append((second - 0.5, WALL + second - 0.5 + ahead_s))
        if chance.random() < 0.5:
            run(passed, second, ahead_s)
            looked = True
    run(passed, 300, ahead_s)
    for wait_s in (0.0, 10.0, 60.0, 250.0):
        before = passed.before(wait_s)
        for stamped_s, at in stamped:
            assert at > before or 300 - stamped_s >= wait_s - SET_S
    # Between two looks, seconds apart, either clock may have shown it.
    assert all(passed.age_s(at) <= 310 - stamped_s for stamped_s, at in stamped)
    assert passed.before(600) > -math.inf
    assert passed.before(0) <= WALL + 300 + ahead_s + SET_S
