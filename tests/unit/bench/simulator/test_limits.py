from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.simulator.limits import Bucket, RateMeter


def test_without_a_rate_everything_may_come() -> None:
    bucket = Bucket(0.0, 0)
    assert all(bucket.take(0.0) for _ in range(1_000))


def test_a_burst_comes_at_once_and_then_one_at_a_time() -> None:
    bucket = Bucket(10.0, 3)
    assert [bucket.take(5.0) for _ in range(4)] == [True, True, True, False]
    assert not bucket.take(5.09)
    assert bucket.take(5.1)
    assert not bucket.take(5.1)


def test_the_burst_is_a_tenth_of_a_second_unless_it_is_given() -> None:
    bucket = Bucket(50.0, 0)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]


@given(
    st.floats(1, 1_000),
    st.integers(1, 50),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=200),
)
def test_no_second_takes_more_than_its_rate_and_burst(
    rate_per_s: float, burst: int, gaps: list[float]
) -> None:
    bucket = Bucket(rate_per_s, burst)
    now = 0.0
    taken: list[float] = []
    for gap in gaps:
        now += gap
        if bucket.take(now):
            taken.append(now)
    for start in taken:
        assert sum(start <= at < start + 1.0 for at in taken) <= rate_per_s + burst + 1e-6


def test_the_highest_rate_counts_any_second_and_not_only_whole_ones() -> None:
    meter = RateMeter()
    for now, segments in ((0.0, 5), (0.75, 10), (1.5, 10), (1.625, 3), (1.75, 1)):
        meter.note(now, segments)
    assert meter.highest == 23


def test_what_is_a_whole_second_old_is_outside() -> None:
    meter = RateMeter()
    meter.note(0.0, 5)
    meter.note(1.0, 5)
    assert meter.highest == 5
