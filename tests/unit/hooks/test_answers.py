"""What a customer's HTTP answer means."""

from __future__ import annotations

import pytest

from gateway.hooks.answers import (
    RETRY_AFTER_MAX_S,
    Delivered,
    Refused,
    TryAgain,
    decide_answer,
    parse_retry_after,
)

NOW = 1_763_769_600.0  # 2025-11-22 00:00:00 UTC


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(status: int) -> None:
    assert decide_answer(status, None, "", NOW) == Delivered()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422, 451])
def test_a_4xx_that_repeating_can_not_help_is_refused(status: int) -> None:
    assert decide_answer(status, None, "", NOW) == Refused(f"HTTP {status}")


@pytest.mark.parametrize("status", [100, 301, 302, 307, 308, 408, 425, 429, 500, 502, 503, 504])
def test_everything_else_is_tried_again(status: int) -> None:
    assert decide_answer(status, None, "", NOW) == TryAgain(f"HTTP {status}")


def test_the_answers_first_words_are_kept() -> None:
    assert decide_answer(404, None, "no such hook", NOW) == Refused("HTTP 404: no such hook")


@pytest.mark.parametrize("status", [429, 503])
def test_a_customer_may_say_when(status: int) -> None:
    assert decide_answer(status, "120", "", NOW) == TryAgain(f"HTTP {status}", 120.0)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 0.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("Sat, 22 Nov 2025 00:01:00 GMT", 60.0),
        ("Sat, 22 Nov 2025 00:01:00 -0000", 60.0),
        ("Sat, 22 Nov 2025 01:01:00 +0100", 60.0),
        ("Fri, 21 Nov 2025 00:00:00 GMT", 0.0),
        ("Sat, 22 Nov 2125 00:00:00 GMT", RETRY_AFTER_MAX_S),
        ("999999999999999999999999", RETRY_AFTER_MAX_S),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("²", 0.0),
        ("Sat, 99 Nov 2025 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str | None, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds
