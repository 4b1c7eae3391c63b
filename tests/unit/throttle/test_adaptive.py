"""How a carrier's complaints change its rate, on literal times."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.throttle.adaptive import AdaptiveLimits, AdaptiveRate
from gateway.throttle.bucket import SEND, Send, Wait

LIMITS = AdaptiveLimits(cut=0.5, pause_s=1.0, recover_share=0.02, floor_share=0.02)


def _until(answer: Send | Wait) -> float:
    assert isinstance(answer, Wait)
    return answer.until


def test_it_starts_at_the_agreed_rate() -> None:
    rate = AdaptiveRate(100.0, 10, LIMITS)
    assert rate.rate_per_s == 100.0
    assert not rate.slowed
    assert [rate.take(1, 0.0) for _ in range(10)] == [SEND] * 10
    assert _until(rate.take(1, 0.0)) == pytest.approx(0.01)


def test_a_complaint_halves_the_rate_at_once_and_pauses_the_carrier() -> None:
    rate = AdaptiveRate(100.0, 10, LIMITS)
    rate.throttled(50.0)
    assert rate.rate_per_s == 50.0
    assert rate.slowed
    for now in (50.0, 50.5, 51.0):
        assert _until(rate.take(1, now)) == pytest.approx(51.02)
    assert rate.take(1, 51.02 + 1e-9) == SEND
    assert isinstance(rate.take(1, 51.02 + 1e-9), Wait), "a burst ended the pause"


def test_a_whole_window_of_complaints_counts_as_one() -> None:
    rate = AdaptiveRate(100.0, 10, LIMITS)
    for step in range(100):
        rate.throttled(50.0 + step * 0.009)
    assert rate.rate_per_s == 50.0
    rate.throttled(51.0)
    assert rate.rate_per_s == 25.0


def test_complaints_never_bring_it_below_its_floor() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    for now in range(0, 100, 2):
        rate.throttled(float(now))
    assert rate.rate_per_s == pytest.approx(2.0)


def test_each_second_of_success_brings_back_a_share_up_to_the_agreed_rate() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(50.0)
    rate.succeeded(1, 50.5)
    assert rate.rate_per_s == 50.0, "it grew in the pause"
    rate.succeeded(1, 52.0)
    assert rate.rate_per_s == pytest.approx(52.0)
    for step in range(1, 24):
        rate.succeeded(1, 52.0 + step)
    assert rate.rate_per_s == pytest.approx(98.0)
    rate.succeeded(1, 76.0)
    rate.succeeded(1, 77.0)
    assert rate.rate_per_s == 100.0
    assert not rate.slowed


def test_growth_stops_at_the_agreed_rate() -> None:
    rate = AdaptiveRate(100.0, 1, AdaptiveLimits(cut=0.5, pause_s=1.0, recover_share=0.3))
    rate.throttled(0.0)
    rate.succeeded(1, 2.0)
    assert rate.rate_per_s == pytest.approx(80.0)
    rate.succeeded(1, 3.0)
    assert rate.rate_per_s == 100.0


def test_the_rate_grows_with_time_and_not_with_the_number_of_answers() -> None:
    few, many = AdaptiveRate(100.0, 1, LIMITS), AdaptiveRate(100.0, 1, LIMITS)
    few.throttled(0.0)
    many.throttled(0.0)
    for step in range(1, 1001):
        many.succeeded(1, 1.0 + step / 100)
        if step % 50 == 0:
            few.succeeded(50, 1.0 + step / 100)
    assert many.rate_per_s == pytest.approx(few.rate_per_s, rel=0.01)
    assert few.rate_per_s == pytest.approx(70.0)


def test_an_idle_hour_is_not_an_hour_of_success() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(0.0)
    rate.succeeded(1, 3_600.0)
    assert rate.rate_per_s == pytest.approx(52.0)


@pytest.mark.parametrize("agreed", [None, 0, 0.0])
def test_without_an_agreed_rate_there_is_no_limit_until_a_complaint(agreed: float | None) -> None:
    rate = AdaptiveRate(agreed, 1, LIMITS)
    assert rate.rate_per_s == 0.0
    for step in range(2_000):
        assert rate.take(1, step / 1_000) == SEND
        rate.succeeded(1, step / 1_000)
    rate.throttled(2.0)
    assert rate.rate_per_s == pytest.approx(500.0, rel=0.01)
    assert isinstance(rate.take(1, 2.5), Wait)


def test_an_unlimited_carrier_that_complains_at_once_gets_the_least_rate() -> None:
    rate = AdaptiveRate(None, 1, LIMITS)
    rate.throttled(0.0)
    assert rate.rate_per_s == 0.5


def test_an_unlimited_carrier_is_unlimited_again_once_it_takes_twice_as_much() -> None:
    rate = AdaptiveRate(None, 1, LIMITS)
    for step in range(200):
        rate.succeeded(1, step / 100)
    rate.throttled(2.0)
    seen = []
    for second in range(4, 84):
        rate.succeeded(1, float(second))
        seen.append(rate.rate_per_s)
    assert seen.count(0.0) > 0
    limited = seen[: seen.index(0.0)]
    assert limited == sorted(limited)
    assert max(limited) < 200.0
    assert set(seen[len(limited) :]) == {0.0}
    assert [rate.take(1, 90.0) for _ in range(100)] == [SEND] * 100


def test_a_clock_that_goes_back_changes_no_rate() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(50.0)
    rate.succeeded(1, 10.0)
    rate.throttled(10.0)
    assert rate.rate_per_s == 50.0


def test_it_settles_at_what_the_carrier_takes() -> None:
    """We were told 100 a second; the carrier takes 60 and refuses the rest."""
    rate = AdaptiveRate(100.0, 5, LIMITS)
    now, window_started, taken, sent, refused = 0.0, 0.0, 0, 0, 0
    while now < 300.0:
        answer = rate.take(1, now)
        if isinstance(answer, Wait):
            now = answer.until
            continue
        if now - window_started >= 1.0:
            window_started, taken = now, 0
        sent += 1
        if taken < 60:
            taken += 1
            rate.succeeded(1, now)
        else:
            refused += 1
            rate.throttled(now)
    assert refused < sent * 0.005
    assert sent - refused > 300 * 60 * 0.7


@settings(deadline=None)
@given(
    st.floats(min_value=0.1, max_value=3_000.0),
    st.integers(1, 50),
    st.lists(st.tuples(st.floats(0.0, 2.0), st.sampled_from("tsx")), max_size=200),
)
def test_whatever_the_carrier_says_the_agreed_rate_is_kept(
    agreed: float, burst: int, events: list[tuple[float, str]]
) -> None:
    rate = AdaptiveRate(agreed, burst, LIMITS)
    now, granted = 100.0, []
    for step, event in events:
        now += step
        if event == "x":
            rate.throttled(now)
        elif event == "s":
            rate.succeeded(1, now)
        for _ in range(burst + 10):
            if isinstance(rate.take(1, now), Send):
                granted.append(now)
        assert agreed * LIMITS.floor_share <= rate.rate_per_s * (1 + 1e-9)
        assert rate.rate_per_s <= agreed
    for at in granted:
        inside = sum(at <= other <= at + 1.0 for other in granted)
        assert inside <= agreed + burst + 1e-6
