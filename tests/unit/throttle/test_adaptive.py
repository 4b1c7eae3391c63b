"""How a carrier's complaints change its rate, on literal times."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.throttle.adaptive import FORGET_S, AdaptiveLimits, AdaptiveRate
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


def _take_it_all(rate: AdaptiveRate, since: float, seconds: float) -> float:
    """Have the carrier take everything for a while; return the time."""
    for step in range(1, round(seconds * 8) + 1):
        rate.succeeded(1, since + step / 8)
    return since + seconds


def test_it_comes_back_quickly_to_just_below_what_was_too_much_and_stays_there() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(50.0)
    rate.succeeded(1, 50.5)
    assert rate.rate_per_s == 50.0, "it grew in the pause"
    now = _take_it_all(rate, 51.0, LIMITS.return_s / 2)
    assert rate.rate_per_s == pytest.approx(72.5)
    now = _take_it_all(rate, now, LIMITS.return_s / 2)
    assert rate.rate_per_s == pytest.approx(95.0)
    now = _take_it_all(rate, now, LIMITS.patience_first_s)
    assert rate.rate_per_s == pytest.approx(95.0)
    _take_it_all(rate, now, 5.0)
    assert rate.rate_per_s == 100.0
    assert not rate.slowed


def test_past_the_knee_it_grows_the_faster_the_longer_the_carrier_takes_it() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(0.0)
    rate.throttled(2.0)  # before it came back: the carrier takes less now
    assert rate.rate_per_s == pytest.approx(25.0)
    now = _take_it_all(rate, 3.0, LIMITS.return_s)
    knee = rate.rate_per_s
    assert knee == pytest.approx(37.5), "halfway down"
    now = _take_it_all(rate, now, LIMITS.patience_first_s)
    grown = []
    while rate.slowed:
        now = _take_it_all(rate, now, 1.0)
        grown.append(rate.rate_per_s)
    steps = [after - before for before, after in itertools.pairwise([knee, *grown[:-1]])]
    assert steps == sorted(steps)
    assert steps[0] >= 2.0
    assert len(grown) < 15


def _complain_again(rate: AdaptiveRate, now: float) -> tuple[float, float]:
    """Complain as soon as the rate feels its way up; return when the pause is over, and for how
    long it had stayed at the knee."""
    stood_s = 0.0
    while True:
        before = rate.rate_per_s
        now = _take_it_all(rate, now, 0.125)
        if rate.rate_per_s == before:
            stood_s += 0.125
        elif stood_s:
            rate.throttled(now)
            return now + LIMITS.pause_s, stood_s


def test_a_carrier_that_goes_on_taking_less_is_tried_less_and_less_often() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(0.0)
    rate.throttled(2.0)
    now, waits = 3.0, []
    for _ in range(7):
        now, stood_s = _complain_again(rate, now)
        waits.append(stood_s)
    assert waits == pytest.approx([5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0], abs=0.5)


def test_a_carrier_that_takes_less_at_once_is_found_out_within_few_complaints() -> None:
    rate = AdaptiveRate(1_000.0, 1, LIMITS)
    now, complaints = 0.0, 0
    for step in range(300):
        now = step / 10
        if rate.rate_per_s > 100.0:
            complaints += now >= complaints and rate.slowed
            rate.throttled(now)
        else:
            rate.succeeded(1, now)
    assert rate.rate_per_s <= 100.0
    assert complaints <= 30


def test_a_complaint_soon_after_the_agreed_rate_was_reached_is_still_the_old_one() -> None:
    """The carrier's burst hides for a moment that its limit is where it was."""
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(0.0)
    now = _take_it_all(rate, 1.0, LIMITS.return_s + LIMITS.patience_first_s + 5.0)
    assert not rate.slowed
    rate.throttled(now)
    now = _take_it_all(rate, now + 1.0, LIMITS.return_s + 2 * LIMITS.patience_first_s)
    assert rate.rate_per_s == pytest.approx(95.0)
    now = _take_it_all(rate, now, 5.0)
    assert not rate.slowed
    rate.throttled(now + FORGET_S + 1.0)
    _take_it_all(rate, now + FORGET_S + 2.0, LIMITS.return_s + LIMITS.patience_first_s + 5.0)
    assert not rate.slowed, "a minute later it is a new one"


def test_what_left_before_the_cut_complains_of_nothing_new_however_late() -> None:
    rate = AdaptiveRate(100.0, 10, LIMITS)
    rate.throttled(50.0, sent_at=49.9)
    rate.throttled(55.0, sent_at=49.95)
    assert rate.rate_per_s == 50.0
    rate.throttled(55.0, sent_at=52.0)
    assert rate.rate_per_s == 25.0


def test_the_rate_grows_with_time_and_not_with_the_number_of_answers() -> None:
    few, many = AdaptiveRate(100.0, 1, LIMITS), AdaptiveRate(100.0, 1, LIMITS)
    few.throttled(0.0)
    many.throttled(0.0)
    for step in range(1, 129):
        many.succeeded(1, 1.0 + step / 128)
        if step % 64 == 0:
            few.succeeded(64, 1.0 + step / 128)
    assert many.rate_per_s == pytest.approx(few.rate_per_s, rel=0.05)
    assert few.rate_per_s == pytest.approx(72.5)


def test_an_idle_hour_is_not_an_hour_of_success() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.throttled(0.0)
    rate.succeeded(1, 3_600.0)
    assert rate.rate_per_s == pytest.approx(72.5), "a second's worth"


def test_another_contract_counts_at_once_and_what_was_complained_about_stays() -> None:
    rate = AdaptiveRate(100.0, 1, LIMITS)
    rate.agree(200.0, 5, 10.0)
    assert (rate.rate_per_s, rate.burst, rate.slowed) == (200.0, 5, False)
    rate.throttled(20.0)
    rate.agree(150.0, 5, 21.0)
    assert (rate.rate_per_s, rate.slowed) == (100.0, True)
    rate.agree(60.0, 5, 22.0)
    assert (rate.rate_per_s, rate.slowed) == (60.0, False)


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
    assert refused < sent * 0.002
    assert sent - refused > 300 * 60 * 0.9


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
