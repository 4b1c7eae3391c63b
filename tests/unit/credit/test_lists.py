"""Price and cost lists as people write them."""

from __future__ import annotations

import pytest

from gateway.credit.lists import parse_rate, parse_since
from gateway.credit.rates import Rate
from gateway.errors import ConfigError
from gateway.model import Lane, Micros


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("", 0),
        ("1970-01-02", 86_400),
        ("2026-03-01", 1_772_323_200),
        ("2026-03-01T00:00:00Z", 1_772_323_200),
        ("2026-03-01T01:30:00+01:30", 1_772_323_200),
        ("2026-02-28T23:59:59.999Z", 1_772_323_199),
    ],
)
def test_a_date_begins_at_its_midnight_in_utc(text: str, second: int) -> None:
    assert parse_since(text, "since") == second


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-02-30", "neither a date"),
        ("yesterday", "neither a date"),
        ("2026-03-01T00:00:00", "needs an offset"),
    ],
)
def test_what_is_no_date_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_since(text, "price[2].effective_from")
    assert caught.value.key == "price[2].effective_from"


def test_a_line_is_read_whole() -> None:
    line = parse_rate(
        "price[3]",
        "0.0075",
        operator="262-02",
        lane="otp",
        effective_from="1970-01-02",
        segments_from=1_000,
    )
    assert line == Rate(
        micros=Micros(7_500),
        operator="26202",
        lane=Lane.OTP,
        since_s=86_400,
        segments_from=1_000,
        where="price[3]",
    )


def test_a_price_may_say_that_nothing_is_sold_and_a_cost_may_not() -> None:
    assert parse_rate("price[0]", "none", prefix="88").micros is None
    with pytest.raises(ConfigError, match="no amount") as caught:
        parse_rate("cost[0]", "none", amount_name="cost")
    assert caught.value.key == "cost[0].cost"


def test_a_lane_that_there_is_not_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="'fast' is none of otp") as caught:
        parse_rate("price[0]", "1", lane="fast")
    assert caught.value.key == "price[0].lane"
