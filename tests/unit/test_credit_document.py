"""The examples of docs/credit.md are what the settings in it make of them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from gateway.config_file import parse_config
from gateway.credit.lists import parse_since
from gateway.credit.prices import Unpriced, format_micros
from gateway.model import LANES, Account, AccountId
from gateway.tariffs import build_prices

DOCUMENT = (Path(__file__).parents[2] / "docs/credit.md").read_text(encoding="utf-8")
EXAMPLES = DOCUMENT[DOCUMENT.index("### Examples") : DOCUMENT.index("### Lists in CSV")]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in EXAMPLES.splitlines()
    if line.startswith("| ") and not line.startswith("| account ")
]
COLUMNS = ("name", "plan", "unit", "to", "operator", "lane", "accepted", "volume", "price", "why")


class GivenVolume:
    def __init__(self, count: int) -> None:
        self.count = count

    def segments(self, account_id: AccountId, at_s: int) -> int:
        return self.count


def test_there_are_examples_of_every_rule() -> None:
    assert len(ROWS) > 12
    assert all(len(row) == len(COLUMNS) for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[-1])
def test_an_example_costs_what_it_says(row: list[str]) -> None:
    case = dict(zip(COLUMNS, row, strict=True))
    block = re.search(r"```toml\n(.*?)```", EXAMPLES, re.DOTALL)
    assert block is not None
    book = build_prices(parse_config(tomllib.loads(block[1])), {"bank"})
    assert book is not None
    account = Account(id=AccountId(1), name=case["name"], plan=case["plan"], currency=case["unit"])
    price = book.price(
        account,
        case["to"].removeprefix("+"),
        case["operator"],
        LANES[case["lane"]],
        parse_since(case["accepted"], "accepted"),
        GivenVolume(int(case["volume"])),
    )
    assert ("none" if isinstance(price, Unpriced) else format_micros(price)) == case["price"]
