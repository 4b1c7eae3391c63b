"""Amounts are exact, and the first list that has a line sets the price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credit.prices import (
    UNPRICED,
    Plan,
    PriceBook,
    format_micros,
    parse_micros,
)
from gateway.credit.rates import AMOUNT_MICROS_MAX, Rate, RateTable
from gateway.credit.volumes import MonthVolumes
from gateway.errors import ConfigError
from gateway.model import Account, AccountId, Lane, Micros

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


MARCH = 1_772_323_200
FRENCH, BRITISH = "33612345678", "447400123456"


def rate(micros: int | None, **named: Any) -> Rate:
    return Rate(micros=None if micros is None else Micros(micros), **named)


def table(*rates: Rate) -> RateTable:
    return RateTable(rates)


def account(name: str = "shop", **named: Any) -> Account:
    return Account(id=AccountId(1), name=name, **named)


def price(book: PriceBook, who: Account, e164: str = BRITISH, **named: Any) -> object:
    asked: dict[str, Any] = {"operator": "", "lane": Lane.TRANSACTIONAL, "at_s": MARCH} | named
    return book.price(who, e164, **asked)


BOOK = PriceBook(
    table(rate(900), rate(910, prefix="44")),
    units={"EUR": table(rate(800, prefix="44"))},
    plans={
        "gold": Plan(rates=table(rate(700, prefix="44"), rate(None, prefix="33"))),
        "euro": Plan(rates=table(), currency="EUR"),
    },
    accounts={"bank": table(rate(600, prefix="447"))},
)


@pytest.mark.parametrize(
    ("who", "to", "expected"),
    [
        (account(), BRITISH, 910),
        (account(), FRENCH, 900),
        (account(currency="EUR"), BRITISH, 800),
        (account(currency="EUR"), FRENCH, 900),
        (account(plan="gold"), BRITISH, 700),
        (account(plan="gold", currency="EUR"), BRITISH, 700),
        (account(plan="gold"), "4912345", 900),
        (account("bank"), BRITISH, 600),
        (account("bank"), "442071838750", 910),
        (account("bank", plan="gold"), BRITISH, 600),
        (account("bank", plan="gold"), "442071838750", 700),
        (account(plan="euro", currency="EUR"), BRITISH, 800),
    ],
)
def test_the_first_list_that_has_a_line_decides(who: Account, to: str, expected: int) -> None:
    assert price(BOOK, who, to) == expected


def test_a_line_that_says_not_sold_ends_the_search() -> None:
    assert price(BOOK, account(plan="gold"), FRENCH) is UNPRICED


@pytest.mark.parametrize(
    "who", [account(plan="silver"), account(plan="euro"), account("bank", plan="silver")]
)
def test_an_account_whose_plan_is_not_to_be_had_buys_nothing(who: Account) -> None:
    assert price(BOOK, who) is UNPRICED


def test_without_a_default_the_rest_is_unpriced() -> None:
    assert price(PriceBook(table(rate(1, prefix="44"))), account(), FRENCH) is UNPRICED
    assert price(PriceBook(table()), account(), FRENCH) is UNPRICED
    assert price(PriceBook(table(rate(0))), account(), FRENCH) == 0


def test_tiers_go_by_the_accounts_own_volume_of_that_month() -> None:
    volumes = MonthVolumes()
    book = PriceBook(table(rate(9), rate(8, segments_from=100)))
    assert book.tiered
    assert not BOOK.tiered
    volumes.add(AccountId(1), 99, MARCH)
    volumes.add(AccountId(2), 500, MARCH)
    assert price(book, account(), volumes=volumes) == 9
    volumes.add(AccountId(1), 1, MARCH)
    assert price(book, account(), volumes=volumes) == 8
    assert price(book, account(), volumes=volumes, at_s=MARCH - 1) == 9
    assert price(book, account(), volumes=volumes, at_s=MARCH + 31 * 86_400) == 9
