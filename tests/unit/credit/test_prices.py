"""Amounts are exact, and the longest prefix sets the price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credit.prices import (
    UNPRICED,
    PriceList,
    format_micros,
    parse_micros,
)
from gateway.credit.rates import AMOUNT_MICROS_MAX
from gateway.errors import ConfigError
from gateway.model import Micros

amounts = st.integers(min_value=-AMOUNT_MICROS_MAX, max_value=AMOUNT_MICROS_MAX)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0.0075", 7_500),
        ("0", 0),
        ("0.000001", 1),
        ("1", 1_000_000),
        ("1.0", 1_000_000),
        ("12.34", 12_340_000),
        ("007.5", 7_500_000),
        ("0.1", 100_000),
        ("0.3", 300_000),
        ("999999999.999999", 999_999_999_999_999),
        ("1000000000", AMOUNT_MICROS_MAX),
    ],
)
def test_a_decimal_text_is_read_exactly(text: str, micros: int) -> None:
    assert parse_micros(text) == micros


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.0000001", "more than 6 decimals"),
        ("0.1234560", "more than 6 decimals"),
        ("-1", "negative"),
        ("-0.5", "negative"),
        ("", "no amount"),
        (" 1", "no amount"),
        ("1\n", "no amount"),
        ("+1", "no amount"),
        ("1.", "no amount"),
        (".5", "no amount"),
        ("1,5", "no amount"),
        ("1_000", "no amount"),
        ("1e3", "no amount"),
        ("0x10", "no amount"),
        ("NaN", "no amount"),
        ("inf", "no amount"),
        ("١٫٥", "no amount"),
        ("1.2.3", "no amount"),
        ("1000000000.000001", "more than 1000000000"),
        ("9999999999999", "more than 1000000000"),
        ("9" * 5_000, "more than 1000000000"),
        (0.0075, "not float"),
        (float("nan"), "not float"),
        (1, "not int"),
        (True, "not bool"),
        (Decimal("1"), "not Decimal"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_amount_is_refused_by_the_name_of_its_field(text: object, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_micros(text, "price[3].price")
    assert caught.value.key == "price[3].price"
    assert said in caught.value.detail
    assert len(caught.value.detail) < 120


def test_a_signed_amount_may_be_negative_where_that_is_meant() -> None:
    assert parse_micros("-0.5", signed=True) == -500_000
    assert parse_micros("0.5", signed=True) == 500_000
    with pytest.raises(ConfigError, match="more than"):
        parse_micros("-1000000000.000001", signed=True)


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (7_500, "0.0075"),
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (1_000_000, "1"),
        (10_000_000, "10"),
        (-12_340_000, "-12.34"),
    ],
)
def test_an_amount_is_written_as_short_as_it_can_be(micros: int, text: str) -> None:
    assert format_micros(micros) == text


@given(amounts)
def test_what_is_written_reads_back_the_same(micros: int) -> None:
    text = format_micros(micros)
    assert parse_micros(text, signed=True) == micros
    assert Decimal(text) * 1_000_000 == micros


@given(st.text(alphabet="0123456789.-+eE_ ,", max_size=20))
def test_no_text_is_read_as_something_else_than_it_says(text: str) -> None:
    try:
        micros = parse_micros(text, signed=True)
    except ConfigError:
        return
    assert Decimal(text) * 1_000_000 == micros


def test_the_longest_prefix_sets_the_price() -> None:
    prices = PriceList(
        {"44": Micros(30_000), "447": Micros(40_000), "447400": Micros(0)}, Micros(90_000)
    )
    assert prices.price("447400123456") == 0
    assert prices.price("447500123456") == 40_000
    assert prices.price("442071838750") == 30_000
    assert prices.price("33612345678") == 90_000
    assert prices.price("4") == 90_000


def test_without_a_default_the_rest_is_unpriced() -> None:
    assert PriceList({"44": Micros(1)}).price("33612345678") is UNPRICED
    assert PriceList({}).price("33612345678") is UNPRICED
    assert PriceList({}, Micros(0)).price("33612345678") == 0


@pytest.mark.parametrize("prefix", ["", "+44", "0044", "44x", "٤٤", "4" * 16])
def test_a_prefix_that_begins_no_number_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PriceList({prefix: Micros(1)})
    assert caught.value.key == "price.prefix"


@pytest.mark.parametrize("micros", [Micros(-1), Micros(AMOUNT_MICROS_MAX + 1)])
def test_a_price_out_of_range_is_refused(micros: Micros) -> None:
    with pytest.raises(ConfigError, match="is no price"):
        PriceList({"44": micros})
    with pytest.raises(ConfigError, match="is no price"):
        PriceList({}, micros)


@given(
    st.dictionaries(
        st.text("1234", min_size=1, max_size=4), st.integers(0, 9).map(Micros), max_size=20
    ),
    st.text("1234", max_size=6),
)
def test_the_price_is_that_of_the_longest_prefix_for_any_list(
    prices: dict[str, Micros], recipient: str
) -> None:
    fitting = [prefix for prefix in prices if recipient.startswith(prefix)]
    expected = prices[max(fitting, key=len)] if fitting else UNPRICED
    assert PriceList(prices).price(recipient) == expected
