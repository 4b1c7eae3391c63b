"""`gateway operator`, `gateway report` and the running gateway that goes by them."""

from __future__ import annotations

import asyncio
import datetime
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.model import Account
from gateway.store.ineligible import add_ineligible
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
Run = Callable[..., Awaitable[Result]]

PREFIXES = """prefix,mcc,mnc,name,country
49171,262,01,Telekom,DE
49172,262,02,Vodafone,DE
"""
PORTED = """number,mcc,mnc
+491713920010,262,02
491713920011,262,03
"""


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command on this test's database, in a folder with two tables."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "operators.csv").write_text(PREFIXES)
    (tmp_path / "ported.csv").write_text(PORTED)

    async def run(*arguments: str, expect: int = 0) -> Result:
        # In a thread, because the command has a loop of its own.
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))
        assert result.exit_code == expect, result.output
        return result

    return run


async def test_tables_are_imported_and_numbers_looked_up(run: Run) -> None:
    assert (
        await run("operator", "import", "operators.csv")
    ).stdout == "2 prefixes of 2 operators\n"
    assert (await run("operator", "port", "ported.csv")).stdout == "2 moved, 0 back; 2 in all\n"
    looked_up = await run("operator", "lookup", "+49 171 3920012")
    assert looked_up.stdout.splitlines() == [
        "number     +491713920012",
        "country    DE",
        "type       mobile",
        "time zone  Europe/Berlin",
        "operator   262-01 Telekom (by prefix 49171)",
    ]
    ported = await run("operator", "lookup", "491713920010", "--json")
    assert json.loads(ported.stdout) == {
        "number": "491713920010",
        "country": "DE",
        "type": "mobile",
        "time_zones": ["Europe/Berlin"],
        "mcc": "262",
        "mnc": "02",
        "operator": "Vodafone",
        "ported": True,
        "prefix": "",
    }
    unknown = await run("operator", "lookup", "447400123456")
    assert unknown.stdout.splitlines()[-1] == "operator   unknown"
    listed = json.loads((await run("operator", "list", "--json")).stdout)
    assert [(row["code"], row["prefixes"], row["ported"]) for row in listed] == [
        ("26201", 1, 0),
        ("26202", 1, 1),
        ("26203", 0, 1),
    ]
    table = (await run("operator", "list")).stdout
    assert "262-02" in table and "Vodafone" in table


async def test_a_file_of_ported_numbers_replaces_the_others_when_it_says_so(
    run: Run, tmp_path: Path
) -> None:
    await run("operator", "port", "ported.csv")
    (tmp_path / "ported.csv").write_text("number,mcc,mnc\n491713920011,262,03\n")
    result = await run("operator", "port", "ported.csv", "--replace", "--json")
    assert json.loads(result.stdout) == {"changed": 0, "removed": 1, "total": 1}


@pytest.mark.parametrize(
    ("command", "text", "words"),
    [
        ("import", "prefix,mcc,mnc\n49171,262,1\n", "bad.csv:2: mnc '1' is not two or three"),
        ("import", "number,mcc\n", "bad.csv:1: the first line names the columns prefix"),
        ("port", "number,mcc,mnc\n491713920010,26,02\n", "bad.csv:2: mcc '26'"),
        ("port", "number,mcc,mnc\n" + "491713920010,262,02\n" * 3 + "x,1,1\n", "bad.csv:5"),
    ],
)
async def test_a_line_that_cannot_be_used_is_named_and_changes_nothing(
    run: Run, database: Database, tmp_path: Path, command: str, text: str, words: str
) -> None:
    await run("operator", "import", "operators.csv")
    await run("operator", "port", "ported.csv")
    (tmp_path / "bad.csv").write_text(text)
    result = await run("operator", command, "bad.csv", expect=2)
    assert words in result.stderr
    assert await database.pool.fetchval("SELECT count(*) FROM operator_prefixes") == 2
    assert await database.pool.fetchval("SELECT count(*) FROM ported_numbers") == 2


async def test_a_file_that_is_not_there_or_not_text_is_said(run: Run, tmp_path: Path) -> None:
    assert "No such file" in (await run("operator", "import", "no.csv", expect=2)).stderr
    (tmp_path / "bad.csv").write_bytes(b"prefix,mcc,mnc\n\xff\xfe")
    assert "is not UTF-8" in (await run("operator", "import", "bad.csv", expect=2)).stderr


async def test_what_is_no_number_is_refused(run: Run) -> None:
    result = await run("operator", "lookup", "4", expect=1)
    assert result.stderr == "gateway: number: the number has too few digits for a calling code\n"


async def test_refused_numbers_are_reported_by_what_is_asked_for(
    run: Run, database: Database, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    today = datetime.datetime.now(datetime.UTC).date()
    past = today - datetime.timedelta(days=8)
    await add_ineligible(
        database,
        {
            (today, shop.id, "DE", "number_fixed_line"): 1_200,
            (today, bank.id, "DE", "number_fixed_line"): 3,
            (today, shop.id, "", "number_not_digits"): 5,
            (past, shop.id, "DE", "number_fixed_line"): 7,
        },
    )

    async def report(*arguments: str) -> list[dict[str, Any]]:
        shown = await run("report", "ineligible", "--json", *arguments)
        rows: list[dict[str, Any]] = json.loads(shown.stdout)
        return rows

    assert await report("--by", "reason") == [
        {"reason": "number_fixed_line", "count": 1_203},
        {"reason": "number_not_digits", "count": 5},
    ]
    assert await report("--account", "bank") == [
        {
            "day": str(today),
            "account": "bank",
            "country": "DE",
            "reason": "number_fixed_line",
            "count": 3,
        }
    ]
    assert await report("--days", "9", "--by", "day", "--account", "shop") == [
        {"day": str(past), "count": 7},
        {"day": str(today), "count": 1_205},
    ]
    printed = (await run("report", "ineligible")).stdout
    assert "1,200" in printed and "number_not_digits" in printed
    empty = await run("report", "ineligible", "--account", "bank", "--days", "1", "--by", "country")
    assert "DE" in empty.stdout


async def test_nothing_refused_is_said(run: Run) -> None:
    result = await run("report", "ineligible")
    assert (result.stdout, result.stderr) == ("", "No message was refused for its number.\n")


# ── gateway route explain ────────────────────────────────────────────────────────────────────

SETTINGS = """
[[carrier]]
name = "alpha"
host = "smpp.alpha.example"
system_id = "us"

[[carrier]]
name = "beta"
host = "smpp.beta.example"
system_id = "us"

[[route]]
name = "shop"
accounts = ["shop"]
carriers = ["alpha"]

[[route]]
name = "vodafone"
operators = ["262-02"]
carriers = ["beta"]
"""


async def explain(run: Run, *arguments: str) -> dict[str, Any]:
    shown = await run("route", "explain", "--to", "+491713920010", "--json", *arguments)
    told: dict[str, Any] = json.loads(shown.stdout)
    return told


async def test_a_way_is_told_by_what_the_database_knows(
    run: Run, make_account: MakeAccount, database: Database, tmp_path: Path
) -> None:
    (tmp_path / "gateway.toml").write_text(SETTINGS)
    await make_account("other")
    await make_account("shop")
    await database.pool.execute("UPDATE accounts SET default_sender = 'Mine' WHERE name = 'shop'")
    await run("operator", "import", "operators.csv")
    await run("operator", "port", "ported.csv")
    told = await explain(run, "--account", "shop")
    assert (told["sender"]["sender"], told["operator"]["code"]) == ("Mine", "26202")
    assert (told["route"], told["end"]["carriers"]) == ("vodafone", ["beta"])
    given = await explain(run, "--account", "shop", "--operator", "26201")
    assert given["operator"] == {
        "code": "26201",
        "name": "Telekom",
        "found_by": "given",
        "prefix": "",
    }
    assert (given["route"], given["end"]["carriers"]) == ("shop", ["alpha"])
    nobody = await explain(run, "--from", "Us", "--operator", "26201")
    assert (nobody["account"], nobody["end"]["code"]) == ("anybody", "no_route")
    offline = await explain(run, "--account", "shop", "--offline")
    assert (offline["operator"], offline["end"]["code"]) == (None, "sender_missing")


async def test_an_account_that_the_database_does_not_know_is_refused(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "gateway.toml").write_text(SETTINGS)
    result = await run("route", "explain", "--to", "4", "--account", "shop", expect=1)
    assert "there is no account 'shop'" in result.stderr
    await run("route", "explain", "--to", "4", "--account", "shop", "--offline")
    unknown = await run("route", "explain", "--to", "4", expect=2)
    assert "route[0].accounts: there is no account 'shop'" in unknown.stderr


async def test_an_operator_that_is_none_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(SETTINGS)
    result = await run(
        *("route", "explain", "--to", "+491713920010", "--offline", "--operator", "Telekom"),
        expect=2,
    )
    assert "'Telekom' is no operator" in result.stderr
