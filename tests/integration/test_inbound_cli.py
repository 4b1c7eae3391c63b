"""`gateway number …` as operators and their scripts use it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.ids import IdGenerator
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Any]]
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command on this test's database, in an empty folder."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str, expect: int = 0) -> Result:
        # In a thread, because the command has a loop of its own.
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))
        assert result.exit_code == expect, result.output
        return result

    return run


@pytest.fixture
async def alpha(database: Database) -> int:
    return int(
        await database.pool.fetchval("INSERT INTO carriers (name) VALUES ('alpha') RETURNING id")
    )


async def listed(run: Run, *arguments: str) -> list[tuple[str, str, str]]:
    result = await run("number", "list", "--json", *arguments)
    return [(n["number"], n["account"], n["carrier"]) for n in json.loads(result.stdout)]


async def test_a_number_is_given_listed_and_taken_back(
    run: Run, make_account: MakeAccount, alpha: int
) -> None:
    await make_account("shop")
    await make_account("bank")
    result = await run("number", "add", "+4915112345678", "--account", "shop")
    assert result.stdout == "4915112345678 is shop's\n"
    result = await run(
        *("number", "add", "40404", "--account", "bank", "--carrier", "alpha", "--json")
    )
    assert json.loads(result.stdout) == {
        "number": "40404",
        "account": "bank",
        "carrier": "alpha",
    }
    everything = [("40404", "bank", "alpha"), ("4915112345678", "shop", "")]
    assert await listed(run) == everything
    assert await listed(run, "--account", "shop") == everything[1:]
    table = (await run("number", "list")).stdout.splitlines()
    assert [line.split()[:3] for line in table if "bank" in line] == [["40404", "bank", "alpha"]]

    result = await run("number", "remove", "004915112345678")
    assert result.stdout == "4915112345678 is nobody's\n"
    assert await listed(run) == everything[:1]
    await run("number", "remove", "40404", expect=1)  # not the one at all carriers
    await run("number", "remove", "40404", "--carrier", "alpha", "--json")
    assert await listed(run) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("add", "40404", "--account", "nobody"), "there is no account 'nobody'"),
        (("add", "40404", "--account", "shop", "--carrier", "gamma"), "no carrier 'gamma'"),
        (("add", "40 404", "--account", "shop"), "up to 21 digits or letters"),
        (("add", "", "--account", "shop"), "up to 21 digits or letters"),
        (("add", "9" * 22, "--account", "shop"), "up to 21 digits or letters"),
        (("remove", "50505"), "nobody owns 50505"),
        (("remove", "50505", "--carrier", "alpha"), "nobody owns 50505 at alpha"),
    ],
)
async def test_what_can_not_be_is_said_in_a_sentence(
    run: Run, make_account: MakeAccount, alpha: int, arguments: tuple[str, ...], sentence: str
) -> None:
    await make_account("shop")
    result = await run("number", *arguments, expect=1)
    assert sentence in result.stderr
    assert await listed(run) == []


async def test_a_number_has_one_owner_a_carrier(
    run: Run, make_account: MakeAccount, alpha: int
) -> None:
    await make_account("shop")
    await make_account("bank")
    await run("number", "add", "40404", "--account", "shop")
    result = await run("number", "add", "+40404", "--account", "bank", expect=1)
    assert "40404 has an owner already" in result.stderr
    await run("number", "add", "40404", "--account", "bank", "--carrier", "alpha")
    await run("number", "add", "40404", "--account", "shop", "--carrier", "alpha", expect=1)
    assert await listed(run) == [("40404", "shop", ""), ("40404", "bank", "alpha")]


async def test_messages_to_nobodys_numbers_are_listed_and_counted(
    run: Run, database: Database, alpha: int
) -> None:
    ids = IdGenerator(3)
    now = time.time()
    for to, body in (("50505", "first"), ("60606", "second\n\x1b[31m"), ("50505", "x" * 100)):
        await database.pool.execute(
            "INSERT INTO inbound_messages (account_id, id, carrier_id, received_at, sender,"
            " recipient, data_coding, esm_class, content, body, encoding, exact)"
            " VALUES (0, $1, $2, $3, '491511', $4, 0, 0, '', $5, 'gsm7', true)",
            *(ids.next(now), alpha, now, to, body),
        )
    page = json.loads((await run("number", "unowned", "--json")).stdout)
    assert [m["text"] for m in page["messages"]] == ["x" * 100, "second\n\x1b[31m", "first"]
    page = json.loads((await run("number", "unowned", "--to", "60606", "--json")).stdout)
    assert [(m["to"], m["from"], m["carrier"]) for m in page["messages"]] == [
        ("60606", "491511", "alpha")
    ]
    result = await run("number", "unowned", "--limit", "2")
    assert "\x1b" not in result.stdout and "second" in result.stdout
    assert "3 messages to nobody's numbers are kept." in result.stderr
    before = result.stderr.rsplit("--before ", 1)[1].strip()
    page = json.loads((await run("number", "unowned", "--before", before, "--json")).stdout)
    assert [m["text"] for m in page["messages"]] == ["first"]
