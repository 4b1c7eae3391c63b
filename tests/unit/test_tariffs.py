"""From settings to price and cost lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config_file import parse_config
from gateway.credit.prices import UNPRICED, PriceBook
from gateway.errors import ConfigError
from gateway.lifecycle import Status
from gateway.model import Account, AccountId, CarrierId, Lane
from gateway.tariffs import build_costs, build_prices, build_refund_rules

MARCH = 1_772_323_200
ALPHA = {"name": "alpha", "host": "smsc.example", "system_id": "id"}


def book(accounts: set[str] | None = None, **raw: Any) -> PriceBook:
    built = build_prices(parse_config(raw), accounts)
    assert built is not None
    return built


def price(of: PriceBook, to: str, name: str = "shop", **named: Any) -> object:
    account = Account(id=AccountId(1), name=name, **named)
    return of.price(account, to, "26202", Lane.OTP, MARCH)


def refusal(raw: dict[str, Any], accounts: set[str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        build_prices(parse_config(raw), accounts)
    return caught.value


def test_without_any_price_everything_is_free() -> None:
    assert build_prices(parse_config({"plan": [{"name": "gold"}]}), None) is None


def test_each_line_goes_to_the_list_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "gold.csv").write_text("prefix,price\n44,0.03\n")
    built = book(
        {"bank"},
        plan=[{"name": "gold"}],
        price=[
            {"price": "0.09"},
            {"price": "0.05", "currency": "EUR"},
            {"price": "0.01", "prefix": "44", "account": "bank"},
            {"price": "none", "prefix": "88"},
        ],
        price_list=[{"file": str(tmp_path / "gold.csv"), "plan": "gold"}],
    )
    assert price(built, "447400123456") == 90_000
    assert price(built, "447400123456", currency="EUR") == 50_000
    assert price(built, "447400123456", "bank") == 10_000
    assert price(built, "447400123456", plan="gold") == 30_000
    assert price(built, "8816123456") is UNPRICED


def test_lines_without_a_date_hold_from_the_files_own(tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("prefix;price;effective_from\n44;2;\n33;3;2020-01-01\n")
    built = book(
        price=[{"price": "1"}],
        price_list=[{"file": str(tmp_path / "new.csv"), "effective_from": "2026-03-02"}],
    )
    assert price(built, "447400123456") == 1_000_000
    assert price(built, "33612345678") == 3_000_000


@pytest.mark.parametrize(
    ("raw", "key", "said"),
    [
        ({"price": [{"price": "1"}, {"price": "2"}]}, "price[1]", "says again what price[0] says"),
        ({"price": [{"price": "x"}]}, "price[0].price", "no amount"),
        ({"price": [{"price": "1", "prefix": "049"}]}, "price[0]", "not the beginning"),
        (
            {"price": [{"price": "1", "effective_from": "soon"}]},
            "price[0].effective_from",
            "neither a date",
        ),
        ({"price": [{"price": "1", "account": "shap"}]}, "price[0].account", "no account 'shap'"),
        ({"price_list": [{"file": "not/there.csv"}]}, "price_list[0].file", "can't read"),
    ],
)
def test_a_line_that_can_not_hold_is_refused_by_its_place(
    raw: dict[str, Any], key: str, said: str
) -> None:
    error = refusal(raw, {"shop"})
    assert error.key == key
    assert said in error.detail


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("", ":1", "no column 'price'"),
        ("prefix,pric\n", ":1", "did you mean 'price'?"),
        ("prefix,country,price\n", ":1", "no column is called 'country'"),
        ("price,price\n", ":1", "two columns are called 'price'"),
        ("prefix,price\n44\n", ":2", "has 1 columns, the first row 2"),
        ("prefix,price\n44,1\n\n33,x\n", ":4.price", "no amount"),
        ("prefix,price\n44,0,75\n", ":2", "has 3 columns"),
        ("price,segments_from\n1,many\n", ":2.segments_from", "'many' is no number"),
        ('price\n"1\n', ":2", "is no CSV"),
        ("prefix,price\n44,1\n44,2\n", ":3", "says again"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_its_row(
    tmp_path: Path, text: str, key: str, said: str
) -> None:
    file = tmp_path / "prices.csv"
    file.write_text(text)
    error = refusal({"price_list": [{"file": str(file)}]})
    assert error.key == f"{file}{key}"
    assert said in error.detail


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"price\n\xff\n")
    error = refusal({"price_list": [{"file": str(tmp_path / "x.csv")}]})
    assert "is not UTF-8" in error.detail


def test_costs_come_from_lines_and_files(tmp_path: Path) -> None:
    (tmp_path / "alpha.csv").write_text("\ufeffOperator,Cost,Note\n262-02,0.03,hello\n")
    config = parse_config(
        {
            "carrier": [ALPHA],
            "cost": [{"carrier": "alpha", "cost": "0.02", "prefix": "49"}],
            "cost_list": [{"carrier": "alpha", "file": str(tmp_path / "alpha.csv")}],
        }
    )
    costs = build_costs(config, {"alpha": CarrierId(5)})
    assert costs.cost(CarrierId(5), "4915112345678", "", MARCH) == 20_000
    assert costs.cost(CarrierId(5), "4915112345678", "26202", MARCH) == 30_000


def test_a_cost_has_no_tier(tmp_path: Path) -> None:
    (tmp_path / "alpha.csv").write_text("cost,segments_from\n1,0\n2,10\n")
    config = parse_config(
        {
            "carrier": [ALPHA],
            "cost_list": [{"carrier": "alpha", "file": str(tmp_path / "alpha.csv")}],
        }
    )
    with pytest.raises(ConfigError, match="neither a lane nor a tier"):
        build_costs(config, {"alpha": CarrierId(5)})


def test_refunds_go_by_the_carriers_table_and_the_accounts_contract() -> None:
    config = parse_config(
        {"carrier": [ALPHA | {"not_billed": {"states": ["rejected"], "errors": ["0A1"]}}]}
    )
    rules = build_refund_rules(config, {"alpha": CarrierId(5)}, lambda account_id: False)
    assert rules.reason(AccountId(1), CarrierId(5), Status.REJECTED, "")
    assert rules.reason(AccountId(1), CarrierId(5), Status.EXPIRED, "a1")
    assert not rules.reason(AccountId(1), CarrierId(5), Status.EXPIRED, "a2")
