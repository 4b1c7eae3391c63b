from __future__ import annotations

import pytest

from bench.soak.judge import (
    Pause,
    fit_slope,
    judge_fullest,
    judge_memory,
    tell_minutes,
)

HOUR_S = 3_600.0


def test_the_slope_of_a_straight_line_is_its_own() -> None:
    assert fit_slope([(0.0, 5.0), (10.0, 25.0), (20.0, 45.0)]) == pytest.approx(2.0)


def test_one_point_has_no_slope() -> None:
    assert fit_slope([(3.0, 7.0)]) == 0.0


def test_memory_that_rises_only_while_it_warms_up_is_flat() -> None:
    points = [(float(at), min(at / 10, 80.0)) for at in range(0, 3_600, 10)]
    assert judge_memory("memory", points, HOUR_S).kept is True


def test_a_leak_is_found() -> None:
    points = [(float(at), 80 + at / 360) for at in range(0, 3_600, 10)]
    assert judge_memory("memory", points, HOUR_S).kept is False


def test_a_table_that_is_emptied_now_and_then_does_not_grow() -> None:
    points = [(float(at), float(at % 900) * 50) for at in range(0, 3_600, 10)]
    assert judge_fullest("keys", points, HOUR_S, 1_000).kept is True


def test_a_table_that_nobody_empties_grows() -> None:
    points = [(float(at), at * 50.0) for at in range(0, 3_600, 10)]
    assert judge_fullest("keys", points, HOUR_S, 1_000).kept is False


def test_a_short_run_says_nothing_of_growth() -> None:
    points = [(float(at), at * 50.0) for at in range(600)]
    assert judge_fullest("keys", points, 600.0, 0).kept is None
    assert judge_memory("memory", points, 600.0).kept is None


def test_latencies_are_told_by_the_minute_in_which_they_were_due() -> None:
    first, second = tell_minutes([(1.0, 0.010), (2.0, 0.030), (60.02, 0.5), (70.0, 0.02)], [])
    assert (first.minute, first.requests, first.max_ms) == (0, 3, 500.0)
    assert (second.minute, second.requests, second.p50_ms) == (1, 1, 20.0)


def test_what_was_due_while_the_machine_stood_still_is_left_out() -> None:
    answers = [(10.0, 0.01), (95.0, 70.0), (96.0, 3.0), (120.0, 0.02)]
    minutes = tell_minutes(answers, [Pause(20.0, 92.0)])
    assert [(each.minute, each.requests) for each in minutes] == [(0, 1), (1, 1)]
