"""When to come back, by how fast a queue empties."""

from __future__ import annotations

import pytest

from gateway.throttle.drain import WAIT_MAX_S, WAIT_MIN_S, Drain


def _steady(per_s: int, seconds: int, drain: Drain | None = None) -> Drain:
    drain = drain or Drain(10.0)
    for _ in range(seconds):
        drain.passed(per_s, 1.0)
    return drain


def test_the_wait_is_what_is_too_much_by_how_much_leaves() -> None:
    drain = _steady(50, 5)
    assert drain.per_s == pytest.approx(50.0)
    assert drain.wait_s(500) == pytest.approx(10.0)


def test_it_stays_within_what_is_worth_saying() -> None:
    drain = _steady(50, 5)
    assert drain.wait_s(1) == WAIT_MIN_S
    assert drain.wait_s(10**9) == WAIT_MAX_S


@pytest.mark.parametrize("drain", [Drain(10.0), _steady(0, 5)])
def test_where_nothing_leaves_nobody_knows_when(drain: Drain) -> None:
    assert drain.wait_s(1) == WAIT_MAX_S
    assert drain.per_s == 0.0


def test_later_seconds_weigh_more() -> None:
    drain = _steady(10, 30, _steady(100, 30))
    assert 10.0 <= drain.per_s < 20.0


def test_the_length_of_the_looks_makes_no_difference() -> None:
    often, seldom = _steady(100, 10), _steady(100, 10)
    for _ in range(100):
        often.passed(2, 0.1)
    seldom.passed(200, 10.0)
    assert often.per_s == pytest.approx(seldom.per_s)


def test_no_time_is_no_speed() -> None:
    drain = _steady(50, 5)
    drain.passed(1_000, 0.0)
    assert drain.per_s == pytest.approx(50.0)
