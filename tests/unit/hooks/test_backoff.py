"""When a webhook is tried again."""

from __future__ import annotations

import pytest

from gateway.config import Webhooks
from gateway.hooks.backoff import GiveUp, next_attempt

SETTINGS = Webhooks(retry_first_s=5, retry_max_s=3600, give_up_after_s=86_400)
NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("attempts", "delay_s"),
    [(1, 5), (2, 10), (3, 20), (9, 1280), (10, 2560), (11, 3600), (12, 3600), (10_000, 3600)],
)
def test_the_delay_doubles_up_to_its_bound(attempts: int, delay_s: float) -> None:
    assert next_attempt(attempts, NOW, NOW, SETTINGS, 0.0) == NOW + delay_s


@pytest.mark.parametrize(("jitter", "delay_s"), [(0.0, 20.0), (0.5, 15.0), (0.999_999, 10.0)])
def test_jitter_takes_up_to_half_away(jitter: float, delay_s: float) -> None:
    assert next_attempt(3, NOW, NOW, SETTINGS, jitter) == pytest.approx(NOW + delay_s)


def test_the_customers_wish_counts_when_it_is_later() -> None:
    assert next_attempt(1, NOW, NOW, SETTINGS, 0.0, wait_s=90.0) == NOW + 90
    assert next_attempt(3, NOW, NOW, SETTINGS, 0.0, wait_s=1.0) == NOW + 20


def test_an_attempt_after_the_end_is_not_made() -> None:
    created_at = NOW - 86_400
    assert next_attempt(1, created_at + 5, NOW, SETTINGS, 0.0) == NOW + 5
    assert next_attempt(1, created_at + 4.9, NOW, SETTINGS, 0.0) == GiveUp()
    assert next_attempt(1, NOW, NOW, SETTINGS, 0.0, wait_s=86_401) == GiveUp()


def test_an_endpoint_that_never_answers_is_tried_for_a_day_and_then_given_up() -> None:
    now, attempts = NOW, 0
    while True:
        attempts += 1
        at = next_attempt(attempts, NOW, now, SETTINGS, 0.0)
        if isinstance(at, GiveUp):
            break
        now = at
    assert 23 * 3600 < now - NOW <= 86_400
    assert attempts == 33
