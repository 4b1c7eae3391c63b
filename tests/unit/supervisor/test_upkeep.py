"""Which node processes run, and what becomes of one that ends, second by second."""

from __future__ import annotations

import math

import pytest

from gateway import serve
from gateway.supervisor import upkeep
from gateway.supervisor.upkeep import (
    FAILED,
    HURRY_S,
    MISCONFIGURED,
    PAUSE_FIRST_S,
    PAUSE_MAX_S,
    STARTS_MAX,
    STEADY_S,
    STOPPED,
    TERMINATED,
    Action,
    Order,
    Upkeep,
)

STOP_S = 30.0
KILLED = -9


def started(seat: int) -> Order:
    return Order(Action.START, seat)


def asked(seat: int) -> Order:
    return Order(Action.ASK, seat)


def serving(count: int = 3, now: float = 0.0) -> Upkeep:
    """Return the upkeep of nodes that all serve."""
    keep = Upkeep(count, now, stop_timeout_s=STOP_S)
    keep.step(now)
    for seat in range(count):
        keep.ready(seat, now)
    return keep


def test_exit_statuses_are_those_of_one_node() -> None:
    of_one = (serve.STOPPED, serve.FAILED, serve.MISCONFIGURED)
    assert (upkeep.STOPPED, upkeep.FAILED, upkeep.MISCONFIGURED) == of_one


def test_all_are_started_at_once_and_each_only_once() -> None:
    keep = Upkeep(3, 5.0, stop_timeout_s=STOP_S)
    assert keep.wake_at == 5.0
    assert keep.step(5.0) == [started(0), started(1), started(2)]
    assert keep.step(6.0) == []
    assert (keep.wake_at, keep.status, keep.has_served) == (math.inf, None, False)


def test_they_have_served_once_each_has_been_ready() -> None:
    keep = Upkeep(2, 0.0, stop_timeout_s=STOP_S)
    keep.step(0.0)
    keep.ready(0, 1.0)
    assert not keep.has_served
    keep.ready(1, 2.0)
    assert keep.has_served
    keep.ended(0, KILLED, 3.0)
    assert keep.has_served


def test_one_that_dies_comes_back_after_a_pause_that_grows_to_a_bound() -> None:
    keep, now, pauses = serving(), 1.0, []
    for _ in range(12):
        pause_s = keep.ended(1, KILLED, now)
        pauses.append(pause_s)
        assert keep.wake_at == now + pause_s
        assert keep.step(now + pause_s / 2) == []
        now += pause_s
        assert keep.step(now) == [started(1)]
    assert pauses[:3] == [PAUSE_FIRST_S, 2 * PAUSE_FIRST_S, 4 * PAUSE_FIRST_S]
    assert pauses[-1] == PAUSE_MAX_S
    assert pauses == sorted(pauses)


@pytest.mark.parametrize(
    ("served_s", "pause_s"), [(STEADY_S, PAUSE_FIRST_S), (STEADY_S - 1, 4 * PAUSE_FIRST_S)]
)
def test_one_that_served_long_has_no_failures_behind_it(served_s: float, pause_s: float) -> None:
    keep, now = serving(), 0.0
    for _ in range(2):
        now += keep.ended(0, KILLED, now)
        keep.step(now)
        keep.ready(0, now)
    assert keep.ended(0, FAILED, now + served_s) == pause_s


def test_one_that_was_stopped_by_hand_comes_back_at_once() -> None:
    keep = serving()
    assert keep.ended(2, STOPPED, 1.0) == 0.0
    assert keep.step(1.0) == [started(2)]


def test_one_that_ends_in_order_before_it_served_is_no_loop_without_a_pause() -> None:
    keep = Upkeep(1, 0.0, stop_timeout_s=STOP_S)
    keep.step(0.0)
    assert keep.ended(0, STOPPED, 0.0) == PAUSE_FIRST_S


def test_a_misconfigured_node_at_the_start_ends_all() -> None:
    keep = Upkeep(3, 0.0, stop_timeout_s=STOP_S)
    keep.step(0.0)
    keep.ready(0, 0.5)
    assert keep.ended(1, MISCONFIGURED, 1.0) == math.inf
    assert keep.wake_at == -math.inf
    assert keep.step(1.0) == [asked(0), asked(2)]
    assert keep.status is None
    keep.ended(0, STOPPED, 2.0)
    keep.ended(2, FAILED, 2.0)
    assert keep.status == MISCONFIGURED


def test_a_misconfigured_node_among_others_that_serve_is_tried_again() -> None:
    keep = serving()
    assert keep.ended(1, MISCONFIGURED, 1.0) == PAUSE_FIRST_S
    assert not keep.stopping


def test_one_that_never_comes_to_serve_ends_all_at_the_start() -> None:
    keep, now = Upkeep(2, 0.0, stop_timeout_s=STOP_S), 0.0
    keep.step(now)
    keep.ready(0, now)
    for _ in range(STARTS_MAX - 1):
        now += keep.ended(1, FAILED, now)
        assert keep.step(now) == [started(1)]
    assert keep.ended(1, FAILED, now) == math.inf
    assert keep.step(now) == [asked(0)]
    keep.ended(0, STOPPED, now)
    assert keep.status == FAILED


def test_a_stop_asks_all_once_and_ends_when_they_have_ended() -> None:
    keep = serving()
    keep.stop()
    assert keep.step(1.0) == [asked(0), asked(1), asked(2)]
    assert keep.step(2.0) == []
    assert keep.wake_at == 1.0 + STOP_S
    for seat in range(3):
        assert keep.status is None
        assert keep.ended(seat, STOPPED, 3.0) == math.inf
    assert keep.status == STOPPED
    assert keep.step(9.0) == []


def test_one_that_is_asked_before_it_listens_to_that_has_ended_in_order() -> None:
    keep = Upkeep(1, 0.0, stop_timeout_s=STOP_S)
    keep.step(0.0)
    keep.stop()
    keep.step(0.1)
    keep.ended(0, TERMINATED, 0.2)
    assert keep.status == STOPPED


@pytest.mark.parametrize("status", [FAILED, KILLED, TERMINATED])
def test_one_that_does_not_end_in_order_is_told_of(status: int) -> None:
    keep = serving(2)
    keep.stop()
    keep.step(1.0)
    keep.ended(0, STOPPED, 2.0)
    keep.ended(1, status, 2.0)
    assert keep.status == FAILED


def test_a_stop_while_nothing_runs_ends_at_once() -> None:
    keep = serving(1)
    keep.ended(0, KILLED, 1.0)
    keep.stop()
    assert (keep.status, keep.step(9.0)) == (STOPPED, [])


def test_what_does_not_stop_in_time_is_killed_once() -> None:
    keep = serving(2)
    keep.stop()
    keep.step(1.0)
    keep.ended(0, STOPPED, 2.0)
    assert keep.step(1.0 + STOP_S) == [Order(Action.KILL, 1)]
    assert keep.step(2.0 + STOP_S) == []
    keep.ended(1, KILLED, 2.0 + STOP_S)
    assert keep.status == FAILED


def test_a_second_stop_asks_again_and_waits_less() -> None:
    keep = serving(2)
    keep.stop()
    keep.step(1.0)
    keep.stop()
    assert keep.step(2.0) == [asked(0), asked(1)]
    assert keep.wake_at == 2.0 + HURRY_S
    keep.stop()
    assert keep.step(3.0) == []
    for seat in range(2):
        keep.ended(seat, STOPPED, 4.0)
    assert keep.status == FAILED


def test_a_round_restarts_one_after_the_other_once_all_serve() -> None:
    keep = serving(2)
    keep.begin_round()
    assert keep.step(1.0) == [asked(0)]
    assert keep.step(2.0) == []
    keep.ended(0, STOPPED, 3.0)
    assert keep.step(3.0) == [started(0)]
    keep.ready(0, 4.0)
    assert keep.step(4.0) == [asked(1)]
    keep.ended(1, STOPPED, 5.0)
    assert keep.step(5.0) == [started(1)]
    keep.ready(1, 6.0)
    assert keep.step(6.0) == []
    assert (keep.wake_at, keep.status) == (math.inf, None)


def test_a_round_waits_for_one_that_does_not_come_back() -> None:
    keep, now = serving(2), 1.0
    keep.begin_round()
    keep.step(now)
    keep.ended(0, STOPPED, now)
    for _ in range(STARTS_MAX + 2):
        assert keep.step(now) == [started(0)]
        now += keep.ended(0, FAILED, now)
    assert keep.status is None


def test_in_a_round_too_what_does_not_stop_is_killed() -> None:
    keep = serving(2)
    keep.begin_round()
    keep.step(1.0)
    assert keep.wake_at == 1.0 + STOP_S
    assert keep.step(1.0 + STOP_S) == [Order(Action.KILL, 0)]


def test_a_stop_ends_a_round() -> None:
    keep = serving(2)
    keep.begin_round()
    keep.step(1.0)
    keep.stop()
    assert keep.step(2.0) == [asked(1)]
    keep.ended(0, STOPPED, 3.0)
    keep.ended(1, STOPPED, 3.0)
    assert (keep.status, keep.step(4.0)) == (STOPPED, [])
