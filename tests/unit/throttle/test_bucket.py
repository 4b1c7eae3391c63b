"""The rate is kept in every window, on literal times."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.throttle.bucket import SEND, Send, TokenBucket, Wait

rates = st.floats(min_value=0.01, max_value=5_000.0)
bursts = st.integers(min_value=1, max_value=50)


def _until(answer: Send | Wait) -> float:
    assert isinstance(answer, Wait)
    return answer.until


def _busiest_window(granted: list[tuple[float, int]], span_s: float) -> int:
    """The most segments granted in any span, both ends included."""
    busiest = inside = first = 0
    for at, count in granted:
        inside += count
        while granted[first][0] < at - span_s:
            inside -= granted[first][1]
            first += 1
        busiest = max(busiest, inside)
    return busiest


def test_more_than_the_burst_leaves_a_debt() -> None:
    bucket = TokenBucket(10.0, burst=2)
    assert bucket.take(4, 0.0) == SEND
    assert _until(bucket.take(1, 0.0)) == pytest.approx(0.3)
    assert isinstance(bucket.take(1, 0.31), Send)
    # the burst is not there again before the debt is paid
    assert isinstance(bucket.take(2, 0.45), Wait)


@pytest.mark.parametrize(("count", "ready_at"), [(1, 100.1), (2, 100.2), (3, 100.3), (9, 100.3)])
def test_when_so_many_may_leave_is_told_without_taking_any(count: int, ready_at: float) -> None:
    bucket = TokenBucket(10.0, burst=3)
    bucket.take(3, 100.0)
    for _ in range(3):
        assert bucket.ready_at(count, 100.0) == pytest.approx(ready_at)
    assert bucket.ready_at(count, 200.0) == 200.0
    assert TokenBucket(0.0).ready_at(count, 100.0) == 100.0


def test_what_is_spare_could_be_taken_one_after_another() -> None:
    bucket = TokenBucket(10.0, burst=3)
    assert bucket.spare(100.0) == 3
    bucket.take(3, 100.0)
    assert [bucket.spare(100.0 + tenths / 10 + 1e-9) for tenths in range(5)] == [0, 1, 2, 3, 3]


def test_a_burst_leaves_at_once_and_then_one_an_interval() -> None:
    bucket = TokenBucket(10.0, burst=3)
    assert [bucket.take(1, 100.0) for _ in range(3)] == [SEND] * 3
    refused = bucket.take(1, 100.0)
    assert isinstance(refused, Wait)
    assert refused.until == pytest.approx(100.1)
    assert bucket.take(1, 100.05) == refused
    assert bucket.take(1, refused.until) == SEND
    assert _until(bucket.take(1, refused.until)) == pytest.approx(100.2)


def test_a_rate_below_one_a_second_keeps_whole_seconds_of_wait() -> None:
    bucket = TokenBucket(0.2)
    assert bucket.take(1, 0.0) == SEND
    for second in (5.0, 10.0, 15.0):
        assert _until(bucket.take(1, second - 0.001)) == pytest.approx(second)
        assert bucket.take(1, second) == SEND


def test_a_refusal_takes_nothing() -> None:
    bucket = TokenBucket(1.0, burst=2)
    assert bucket.take(2, 0.0) == SEND
    for _ in range(100):
        assert bucket.take(1, 0.5) == Wait(1.0)
    assert bucket.take(1, 1.0) == SEND


@pytest.mark.parametrize("rate", [None, 0, 0.0])
def test_without_a_rate_everything_leaves_at_once(rate: float | None) -> None:
    bucket = TokenBucket(rate)
    assert [bucket.take(255, 1.0) for _ in range(1000)] == [SEND] * 1000
    bucket.hold_until(50.0)
    assert bucket.take(1, 2.0) == SEND
    assert bucket.rate_per_s == 0.0


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError) as caught:
        TokenBucket(rate)
    assert caught.value.key == "rate_per_s"


@pytest.mark.parametrize("burst", [0, -1])
def test_a_burst_below_one_segment_is_refused(burst: int) -> None:
    with pytest.raises(ConfigError) as caught:
        TokenBucket(1.0, burst)
    assert caught.value.key == "burst"


@settings(deadline=None)
@given(rates, bursts, st.lists(st.floats(min_value=0.0, max_value=0.7), max_size=300))
def test_no_second_sees_more_than_rate_plus_burst(
    rate: float, burst: int, steps: list[float]
) -> None:
    bucket = TokenBucket(rate, burst)
    now, granted = 1_000.0, []
    for step in steps:
        now += step
        # Ask as often as it is granted, so that the bucket is always pressed to its limit.
        for _ in range(60):
            if isinstance(bucket.take(1, now), Wait):
                break
            granted.append((now, 1))
    assert _busiest_window(granted, 1.0) <= rate + burst + 1e-6


@settings(deadline=None)
@given(
    rates,
    bursts,
    st.lists(st.tuples(st.integers(1, 255), st.floats(0.0, 3.0)), min_size=1, max_size=100),
)
def test_messages_longer_than_the_burst_leave_and_keep_the_rate_over_their_own_time(
    rate: float, burst: int, takes: list[tuple[int, float]]
) -> None:
    bucket = TokenBucket(rate, burst)
    now, granted = 1_000.0, []
    for count, step in takes:
        now += step
        answer = bucket.take(count, now)
        if isinstance(answer, Wait):
            now = answer.until
            assert bucket.take(count, now) == SEND, "the time that it named was not enough"
        granted.append((now, count))
    longest = max(count for count, _ in takes)
    span_s = longest / rate
    allowed = rate * span_s + max(burst, longest)
    assert _busiest_window(granted, span_s) <= allowed * (1 + 1e-9) + 1e-6


@settings(deadline=None)
@given(rates, bursts)
def test_waiting_exactly_as_told_gives_exactly_the_rate(rate: float, burst: int) -> None:
    bucket = TokenBucket(rate, burst)
    start = now = 5_000_000.0  # two months of uptime: floats have coarser steps there
    count = 2_000
    for _ in range(count):
        answer = bucket.take(1, now)
        while isinstance(answer, Wait):
            assert answer.until > now, "time does not move on"
            now = answer.until
            answer = bucket.take(1, now)
    if count > burst:
        assert now - start == pytest.approx((count - burst) / rate, rel=1e-4)


@given(rates, bursts, st.lists(st.floats(min_value=0.0, max_value=100.0), max_size=200))
def test_a_clock_that_jumps_about_grants_no_more_than_its_furthest_time_allows(
    rate: float, burst: int, times: list[float]
) -> None:
    bucket = TokenBucket(rate, burst)
    granted = sum(isinstance(bucket.take(1, now), Send) for now in times)
    if times:
        span_s = max(times) - min(times)
        assert granted <= rate * span_s + burst + 1e-6


def test_a_clock_that_goes_back_leaves_promised_times_as_they_were() -> None:
    bucket = TokenBucket(1.0)
    assert bucket.take(1, 100.0) == SEND
    assert bucket.take(1, 100.5) == Wait(101.0)
    assert bucket.take(1, 10.0) == Wait(101.0)
    assert bucket.take(1, 101.0) == SEND


def test_a_new_rate_counts_from_now_and_keeps_what_is_owed() -> None:
    bucket = TokenBucket(10.0, burst=5)
    assert bucket.take(5, 100.0) == SEND
    bucket.change_rate(1.0, 100.0)
    assert _until(bucket.take(1, 100.0)) == pytest.approx(101.0)
    bucket.change_rate(100.0, 100.5)
    assert _until(bucket.take(5, 100.5)) == pytest.approx(100.545)
    assert bucket.rate_per_s == 100.0


def test_a_limit_may_be_lifted_and_set_again() -> None:
    bucket = TokenBucket(1.0)
    assert bucket.take(1, 100.0) == SEND
    bucket.change_rate(None, 100.0)
    assert bucket.take(1, 100.0) == SEND
    bucket.change_rate(2.0, 103.0)
    assert bucket.take(1, 103.0) == SEND
    assert _until(bucket.take(1, 103.0)) == pytest.approx(103.5)


def test_another_burst_changes_nothing_of_what_may_leave_now() -> None:
    bucket = TokenBucket(10.0, burst=5)
    bucket.take(2, 100.0)
    bucket.change_burst(10, 100.0)
    assert bucket.spare(100.0 + 1e-9) == 3
    assert bucket.spare(100.7 + 1e-9) == 10
    bucket.change_burst(2, 100.7)
    assert bucket.spare(100.7) == 2


def test_no_burst_ends_a_pause() -> None:
    bucket = TokenBucket(10.0, burst=5)
    bucket.hold_until(200.0)
    assert _until(bucket.take(1, 150.0)) == pytest.approx(200.1)
    assert bucket.take(1, 200.1 + 1e-9) == SEND
    assert _until(bucket.take(1, 200.1 + 1e-9)) == pytest.approx(200.2)
    bucket.hold_until(100.0)
    assert _until(bucket.take(1, 200.15)) == pytest.approx(200.2)
