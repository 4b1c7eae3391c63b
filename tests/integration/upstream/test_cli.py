"""`gateway account smpp …` as operators and their scripts use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import TermsReader
from gateway.upstream.passwords import check_password

MakeAccount = Callable[..., Awaitable[Any]]
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def run(
    database_url: str,
    make_account: MakeAccount,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Run:
    """Run `gateway account smpp` on this test's database, with an account "shop"."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    await make_account("shop")

    async def run(*arguments: str, expect: int = 0, stdin: str | None = None) -> Result:
        words = ["account", "smpp", *arguments]
        # In a thread, because the command has a loop of its own.
        result = await asyncio.to_thread(CliRunner().invoke, cli, words, input=stdin)
        assert result.exit_code == expect, result.output
        return result

    return run


async def password_fits(database: Database, password: str) -> bool:
    reader = TermsReader(database, binds_max=4, window_size=100)
    [terms] = (await reader.fetch()).values()
    return await asyncio.to_thread(check_password, password, terms.password_hash)


async def test_an_account_gets_access_with_a_password_that_is_shown_once(
    run: Run, database: Database
) -> None:
    made = json.loads((await run("set", "shop", "--json")).stdout)
    assert (made["account"], made["system_id"], made["networks"]) == ("shop", "shop", [])
    assert len(made["password"]) == 8
    assert await password_fits(database, made["password"])
    shown = json.loads((await run("show", "shop", "--json")).stdout)
    assert "password" not in shown
    assert shown == {key: value for key, value in made.items() if key != "password"}
    again = await run("set", "shop", "--binds-max", "2")
    assert "password" not in again.stdout
    assert await password_fits(database, made["password"])


async def test_every_setting_is_set_and_shown(run: Run) -> None:
    result = await run(
        *("set", "shop", "--system-id", "store", "--password", "secret"),
        *("--network", "192.0.2.0/24", "--network", "2001:db8::7", "--binds-max", "2"),
        *("--window", "10", "--rate-per-s", "12.5", "--queue-max", "1000", "--id-form", "hex"),
        *("--time-zone", "+05:30", "--alphabet", "latin-1", "--lane", "marketing"),
    )
    assert "secret" not in result.stdout
    fields = dict(line.split("  ", 1) for line in (await run("show", "shop")).stdout.splitlines())
    assert {name.strip(): value.strip() for name, value in fields.items()} == {
        "account": "shop",
        "system_id": "store",
        "networks": "192.0.2.0/24, 2001:db8::7",
        "binds, at most": "2",
        "window": "10",
        "messages a second": "12.5",
        "waiting, at most": "1000",
        "message ids": "hex",
        "dates in receipts": "+05:30",
        "data_coding 0": "latin-1",
        "data_coding 1": "ascii",
        "priority_flag 0": "marketing",
    }
    assert "networks           all" in (await run("set", "shop", "--network", "any")).stdout


async def test_a_password_is_read_from_standard_input_or_made_anew(
    run: Run, database: Database
) -> None:
    await run("set", "shop", "--password", "-", stdin="from a pipe\n")
    assert await password_fits(database, "from a pipe")
    made = json.loads((await run("set", "shop", "--new-password", "--json")).stdout)
    assert await password_fits(database, made["password"])
    await run("set", "shop", "--password", "x", "--new-password", expect=2)


async def test_access_is_taken_away(run: Run, database: Database) -> None:
    await run("remove", "shop", expect=1)
    await run("set", "shop")
    assert (await run("remove", "shop")).stdout == "shop can't bind any more\n"
    assert (
        await run("show", "shop", expect=1)
    ).stderr == "gateway: account: shop has no SMPP access\n"
    await run("set", "shop")
    assert json.loads((await run("remove", "shop", "--json")).stdout)["removed"] is True


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("set", "nobody"), 1, "nobody"),
        (("set", "shop", "--system-id", "x" * 16), 1, "system_id: must be 1 to 15"),
        (("set", "shop", "--network", "here"), 1, "networks: must be"),
        (("set", "shop", "--binds-max", "-1"), 1, "binds_max: must be 0 to 1,000"),
        (("set", "shop", "--time-zone", "Mars"), 1, "time_zone: must be"),
        (("set", "shop", "--id-form", "octal"), 2, "--id-form"),
    ],
)
async def test_what_is_wrong_is_said_in_words(
    run: Run, arguments: tuple[str, ...], status: int, words: str
) -> None:
    assert words in (await run(*arguments, expect=status)).stderr
