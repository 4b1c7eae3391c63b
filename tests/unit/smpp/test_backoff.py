"""When a bind is tried again."""

from gateway.smpp.backoff import Backoff, Ending
from gateway.smpp.settings import Pace

PACE = Pace(first_s=1.0, max_s=60.0, slow_first_s=60.0, slow_max_s=600.0)


def highest() -> float:
    return 1.0


def lowest() -> float:
    return 0.0


def test_failures_double_the_ceiling_up_to_its_maximum() -> None:
    backoff = Backoff(PACE, highest)
    delays = [backoff.next_delay_s(Ending.FAILED) for _ in range(9)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_jitter_is_full() -> None:
    backoff = Backoff(PACE, lowest)
    assert [backoff.next_delay_s(Ending.FAILED) for _ in range(3)] == [0, 0, 0]
    halves = Backoff(PACE, lambda: 0.5)
    assert [halves.next_delay_s(Ending.FAILED) for _ in range(3)] == [0.5, 1, 2]


def test_a_session_that_lasted_starts_the_row_anew() -> None:
    backoff = Backoff(PACE, highest)
    for _ in range(5):
        backoff.next_delay_s(Ending.FAILED)
    assert backoff.next_delay_s(Ending.LOST) == 1
    assert backoff.next_delay_s(Ending.FAILED) == 2


def test_bad_credentials_are_tried_at_the_slow_pace_never_faster() -> None:
    fastest = Backoff(PACE, lowest)
    assert [fastest.next_delay_s(Ending.BAD_CREDENTIALS) for _ in range(3)] == [60, 60, 60]
    slowest = Backoff(PACE, highest)
    delays = [slowest.next_delay_s(Ending.BAD_CREDENTIALS) for _ in range(5)]
    assert delays == [120, 240, 480, 600, 600]


def test_years_of_failures_stay_at_the_ceiling() -> None:
    backoff = Backoff(PACE, highest)
    for _ in range(5000):
        assert backoff.next_delay_s(Ending.FAILED) <= 60
        assert backoff.next_delay_s(Ending.BAD_CREDENTIALS) <= 600


def test_a_slow_pace_with_a_low_ceiling_never_gets_faster_than_its_first_delay() -> None:
    backoff = Backoff(Pace(slow_first_s=60.0, slow_max_s=10.0), highest)
    assert backoff.next_delay_s(Ending.BAD_CREDENTIALS) == 60
