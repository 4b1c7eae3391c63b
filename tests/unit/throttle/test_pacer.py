"""A rate that holds in every second and in the long run, on literal times."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.throttle.bucket import SEND, Send, TokenBucket, Wait
from gateway.throttle.pacer import LATE_S, Pacer

rates = st.floats(min_value=0.1, max_value=2_000.0)
bursts = st.integers(min_value=1, max_value=50)
pauses = st.floats(min_value=0.0, max_value=0.1)


def _until(answer: Send | Wait) -> float:
    assert isinstance(answer, Wait)
    return answer.until


def _take_all(pacer: Pacer, now: float, at_most: int = 10_000) -> int:
    taken = 0
    while taken < at_most and pacer.take(1, now) == SEND:
        taken += 1
    return taken


def _busiest_second(granted: list[tuple[float, int]]) -> int:
    busiest = inside = first = 0
    for at, count in granted:
        inside += count
        while granted[first][0] < at - 1.0:
            inside -= granted[first][1]
            first += 1
        busiest = max(busiest, inside)
    return busiest


def test_what_was_late_is_made_up_for() -> None:
    pacer = Pacer(1_000.0, burst=1)
    _take_all(pacer, 100.0)
    assert [_take_all(pacer, 101.0 + n * 0.02) for n in range(10)][1:] == [20] * 9
    bucket = TokenBucket(1_000.0, burst=1)
    assert [bucket.take(1, 100.0 + n * 0.02) for n in range(10)] == [SEND] * 10
    assert isinstance(bucket.take(1, 100.18), Wait), "a plain bucket had made it 50 a second"


def test_idle_time_is_no_lateness() -> None:
    late, idle = Pacer(1_000.0, burst=3), Pacer(1_000.0, burst=3)
    for second in range(5):
        assert _take_all(late, 100.0 + second, at_most=100) == (50 if second else 3)
        assert [idle.take(1, 100.0 + second) for _ in range(3)] == [SEND] * 3
        assert idle.spare(100.9 + second) == 3, "nobody has waited"


def test_more_than_a_tolerable_lateness_is_lost() -> None:
    pacer = Pacer(1_000.0, burst=1)
    _take_all(pacer, 100.0)
    assert _take_all(pacer, 102.0) == pytest.approx(1 + 1_000 * LATE_S, abs=1)


def test_no_second_sees_what_is_made_up_for() -> None:
    pacer = Pacer(100.0, burst=1)
    granted = [(100.0 + n / 1_000, _take_all(pacer, 100.0 + n / 1_000)) for n in range(3_000)]
    assert _busiest_second(granted) == 101
    assert sum(count for _, count in granted) == pytest.approx(300, abs=6)


def test_the_burst_is_on_top_of_the_rate() -> None:
    pacer = Pacer(10.0, burst=30)
    assert _take_all(pacer, 100.0) == 30
    granted = [(100.0, 30)]
    granted += [(100.0 + n / 100, _take_all(pacer, 100.0 + n / 100)) for n in range(1, 300)]
    assert _busiest_second(granted) == 40


@pytest.mark.parametrize("rate", [None, 0, 0.0])
def test_without_a_rate_everything_leaves_at_once(rate: float | None) -> None:
    pacer = Pacer(rate)
    assert _take_all(pacer, 1.0, at_most=1_000) == 1_000
    pacer.charge(1_000, 1.0)
    assert pacer.ready_at(1, 1.0) == 1.0
    assert pacer.rate_per_s == 0.0


@pytest.mark.parametrize("burst", [0, -3])
def test_a_burst_below_one_segment_is_refused(burst: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Pacer(100.0, burst)
    assert caught.value.key == "burst"


def test_what_left_without_being_asked_for_is_waited_off() -> None:
    pacer = Pacer(10.0, burst=1)
    assert pacer.take(1, 100.0) == SEND
    pacer.charge(20, 100.0)
    paid_at = pytest.approx(102.1)
    assert _until(pacer.take(1, 100.0)) == paid_at
    assert pacer.ready_at(1, 100.0) == paid_at
    assert pacer.spare(101.5) == 0
    assert pacer.spare(102.1 + 1e-6) == 1


def test_a_long_message_leaves_once_all_before_it_is_paid_for() -> None:
    pacer = Pacer(1.0, burst=1)
    assert pacer.take(3, 100.0) == SEND
    again = pacer.take(3, 100.0)
    assert _until(again) == pytest.approx(103.0)
    assert pacer.take(3, _until(again)) == SEND


@settings(deadline=None)
@given(rates, bursts, st.lists(st.tuples(st.integers(1, 20), pauses), min_size=1, max_size=50))
def test_the_time_that_it_names_is_enough(
    rate: float, burst: int, takes: list[tuple[int, float]]
) -> None:
    pacer, now = Pacer(rate, burst), 5_000_000.0
    for count, pause_s in takes:
        answer = pacer.take(count, now)
        for _ in range(3):
            if answer == SEND:
                break
            now = _until(answer)  # floats may have it a hair short, never twice
            answer = pacer.take(count, now)
        assert answer == SEND
        now += pause_s


@settings(deadline=None)
@given(
    rates, bursts, st.integers(), st.sampled_from([(0.002, 0.99), (0.01, 0.985), (LATE_S, 0.96)])
)
def test_nearly_all_of_the_rate_is_used_however_late_every_turn_is(
    rate: float, burst: int, seed: int, lateness: tuple[float, float]
) -> None:
    """The rest is what the last second's count holds back when turns come in heaps."""
    late_max_s, share = lateness
    chance = random.Random(seed)
    pacer, now, taken = Pacer(rate, burst), 1_000.0, 0
    for _ in range(400):
        taken += _take_all(pacer, now)
        ready_at = pacer.ready_at(1, now)
        now = ready_at + chance.uniform(0.0, late_max_s)
    assert taken >= share * rate * (ready_at - 1_000.0) - 1
