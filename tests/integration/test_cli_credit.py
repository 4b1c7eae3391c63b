"""Plans, prices and money on the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.lifecycle import EventKind

Run = Callable[..., Awaitable[Result]]

SETTINGS = """
[[plan]]
name = "gold"
bill = "delivered"

[[plan]]
name = "euro"
currency = "EUR"

[[price]]
price = "0.05"

[[price]]
price = "0.02"
prefix = "44"
plan = "gold"

[[price]]
price = "0.01"
prefix = "44"
plan = "gold"
segments_from = 1000
effective_from = ""

[[price]]
price = "none"
prefix = "33"

[[price_list]]
file = "shop.csv"
account = "shop"
"""


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command on this test's database, in a folder with settings."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text(SETTINGS)
    (tmp_path / "shop.csv").write_text("operator,lane,price\n262-02,,0.07\n262-02,otp,0.08\n")

    async def run(*arguments: object) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, [str(a) for a in arguments])

    return run


async def load(running: Awaitable[Result]) -> Any:
    result = await running
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_an_account_is_put_on_a_plan_and_pays_as_it_says(run: Run) -> None:
    made = await load(run("account", "create", "shop", "--plan", "gold", "--json"))
    assert (made["plan"], made["bill"]) == ("gold", "")
    changed = await load(run("account", "update", "shop", "--bill", "submitted", "--json"))
    assert changed["bill"] == "submitted"
    changed = await load(run("account", "update", "shop", "--bill", "plan", "--plan", "", "--json"))
    assert (changed["plan"], changed["bill"]) == ("", "")


@pytest.mark.parametrize(
    ("plan", "said"),
    [("silver", "no plan 'silver' in the settings: gold, euro"), ("euro", "for accounts in EUR")],
)
async def test_a_plan_that_can_not_be_had_is_refused(run: Run, plan: str, said: str) -> None:
    result = await run("account", "create", "shop", "--plan", plan)
    assert result.exit_code == 2
    assert said in result.stderr
    await load(run("account", "create", "shop", "--json"))
    result = await run("account", "update", "shop", "--plan", plan)
    assert result.exit_code == 2
    assert said in result.stderr


async def test_a_postpaid_account_has_a_limit_instead_of_a_floor(run: Run) -> None:
    made = await load(run("account", "create", "shop", "--limit", "500", "--json"))
    assert made["floor"] == "-500"
    assert "postpaid, may owe" in (await run("account", "show", "shop")).stdout
    await load(run("account", "update", "shop", "--floor", "0", "--json"))
    assert "prepaid, floor" in (await run("account", "show", "shop")).stdout
    for arguments in (["--limit", "-1"], ["--limit", "1", "--floor", "1"]):
        assert (await run("account", "update", "shop", *arguments)).exit_code == 2


async def find(run: Run, *words: str) -> tuple[str | None, str]:
    found = await load(run("price", "find", *words, "--json"))
    return found["price"], found["line"]


async def test_a_price_is_shown_with_the_line_that_decides_it(run: Run) -> None:
    await load(run("account", "create", "shop", "--plan", "gold", "--json"))
    await load(run("account", "create", "other", "--json"))
    shop, british = ("--account", "shop"), ("--to", "+447400123456")
    german = ("--to", "+4915112345678", "--operator", "262-02")
    assert await find(run, *shop, *british) == ("0.02", "price[1]")
    assert await find(run, *shop, *british, "--volume", "1000") == ("0.01", "price[2]")
    assert await find(run, "--account", "other", *british) == ("0.05", "price[0]")
    assert await find(run, *shop, *german) == ("0.07", "shop.csv:2")
    assert await find(run, *shop, *german, "--lane", "otp") == ("0.08", "shop.csv:3")
    assert await find(run, *shop, "--to", "+33612345678") == (None, "price[3]")
    shown = await run("price", "find", *shop, *german)
    assert "0.07 credits a segment" in shown.stdout
    assert "not sold" in (await run("price", "find", *shop, "--to", "+33612345678")).stdout


async def test_lists_that_can_not_be_used_are_found_by_a_check(run: Run, tmp_path: Path) -> None:
    assert (await run("config", "check")).exit_code == 0
    (tmp_path / "shop.csv").write_text("operator,price\n1,1\n")
    result = await run("config", "check")
    assert result.exit_code == 2
    assert "shop.csv:2: '1' is no operator" in result.stderr


# ── where it went ───────────────────────────────────────────────────────────────────────────


async def test_a_statement_shows_lines_and_their_total(
    run: Run, make_account: Any, put_message: Any
) -> None:
    account = await make_account("shop", credit_micros=10_000_000)
    await put_message(account, country="DE", tag="=1+1")
    await put_message(account, country="GB", segments=2, price_micros=15_000)
    stated = await load(run("account", "statement", "shop", "--by", "country", "--json"))
    assert [(line["key"], line["net"]) for line in stated["lines"]] == [
        ("DE", "0.0075"),
        ("GB", "0.015"),
    ]
    assert stated["total"]["net"] == "0.0225"
    assert stated["deposited"] == "10"
    shown = (await run("account", "statement", "shop", "--by", "country")).stdout
    assert "0.0225" in shown and "deposited 10" in shown
    written = (await run("account", "statement", "shop", "--by", "tag", "--csv")).stdout
    assert written.splitlines() == [
        "tag,messages,segments,price,voided,refunded,net,currency",
        ",1,2,0.015,0,0,0.015,credits",
        "'=1+1,1,1,0.0075,0,0,0.0075,credits",
    ]


async def test_a_statement_is_of_the_days_that_are_named(
    run: Run, make_account: Any, put_message: Any
) -> None:
    await put_message(await make_account("shop"))
    days = ("--from", "2025-01-01", "--to", "2025-01-31")
    stated = await load(run("account", "statement", "shop", *days, "--json"))
    assert (stated["lines"], stated["total"]["messages"]) == ([], 0)
    result = await run("account", "statement", "shop", "--to", "2025-01-01", "--from", "2025-01-02")
    assert result.exit_code == 2
    assert (await run("account", "statement", "shop", "--from", "soon")).exit_code == 2


async def test_deposits_are_listed_with_their_reason_and_author(run: Run) -> None:
    await load(run("account", "create", "shop", "--credit", "10", "--json"))
    once = ("--once", "c-1", "--reason", "wrong rate", "--author", "Ann")
    for replayed in (False, True):
        done = await load(run("account", "topup", "shop", "-2.5", *once, "--json"))
        assert (done["available"], done["replayed"]) == ("7.5", replayed)
    newest, first = await load(run("account", "deposits", "shop", "--json"))
    assert (newest["amount"], newest["reason"], newest["author"], newest["key"]) == (
        *("-2.5", "wrong rate"),
        *("Ann", "c-1"),
    )
    assert (first["amount"], first["reason"], first["key"]) == ("10", "first credit", "")
    assert "wrong rate" in (await run("account", "deposits", "shop")).stdout


async def test_a_low_balance_is_set_shown_and_taken_away(run: Run) -> None:
    await load(run("account", "create", "shop", "--credit", "10", "--json"))
    assert "is not told" in (await run("account", "low-balance", "shop")).stdout
    told = await load(run("account", "low-balance", "shop", "2.5", "--json"))
    assert told == {"account": "shop", "threshold": "2.5", "low": False}
    assert "told below 2.5 credits" in (await run("account", "low-balance", "shop")).stdout
    assert (await run("account", "low-balance", "shop", "3", "--off")).exit_code == 2
    told = await load(run("account", "low-balance", "shop", "--off", "--json"))
    assert told["threshold"] is None


async def test_margins_are_reported_for_operators(
    run: Run, make_account: Any, put_message: Any, put_event: Any
) -> None:
    account = await make_account("shop")
    message_id = await put_message(account)
    await put_event(account, message_id, EventKind.SUBMITTED, cost_micros=9_000)
    (line,) = await load(run("report", "margins", "--json"))
    assert (line["account"], line["earned"], line["cost"], line["margin"]) == (
        *("shop", "0.0075"),
        *("0.009", "-0.0015"),
    )
    assert "-0.0015" in (await run("report", "margins", "--by", "country")).stdout
    assert (await run("report", "margins", "--to", "2020-01-01", "--from", "2020-01-02")).exit_code
