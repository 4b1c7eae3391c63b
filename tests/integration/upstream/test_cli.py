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
from gateway.store.accounts import update_account
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
        *("set", "shop", "--system-id", "store", "--password", "-"),
        *("--network", "192.0.2.0/24", "--network", "2001:db8::7", "--binds-max", "2"),
        *("--window", "10", "--rate-per-s", "12.5", "--queue-max", "1000", "--id-form", "hex"),
        *("--time-zone", "+05:30", "--alphabet", "latin-1", "--lane", "marketing"),
        stdin="secret\n",
    )
    assert "secret" not in result.stdout
    fields = dict(line.split("  ", 1) for line in (await run("show", "shop")).stdout.splitlines())
    assert {name.strip(): value.strip() for name, value in fields.items()} == {
        "account": "shop",
        "state": "active",
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


async def test_a_refused_change_leaves_everything_as_it_was(run: Run, database: Database) -> None:
    await run("set", "shop", "--password", "-", "--binds-max", "2", stdin="secret\n")
    before = (await run("show", "shop", "--json")).stdout
    wrong = ("--binds-max", "3", "--window", "-1")
    await run("set", "shop", "--password", "-", *wrong, stdin="other\n", expect=1)
    assert (await run("show", "shop", "--json")).stdout == before
    assert await password_fits(database, "secret")


async def test_a_system_id_belongs_to_one_account(run: Run, make_account: MakeAccount) -> None:
    await make_account("other")
    await run("set", "shop")
    refused = await run("set", "other", "--system-id", "shop", expect=1)
    assert refused.stderr == "gateway: system_id: another account has this system_id\n"
    await run("show", "other", expect=1)


async def test_a_name_that_is_no_system_id_asks_for_one(
    run: Run, make_account: MakeAccount
) -> None:
    await make_account("a name of many words")
    refused = await run("set", "a name of many words", expect=2)
    assert "name one with --system-id" in refused.stderr
    await run("set", "a name of many words", "--system-id", "many")


async def test_an_empty_line_or_letters_beyond_ascii_are_no_password(run: Run) -> None:
    for nothing in ("", "\n", "\r\n", "pässword\n"):
        refused = await run("set", "shop", "--password", "-", stdin=nothing, expect=1)
        assert "password: must be 1 to 64" in refused.stderr


async def test_access_is_listed_with_what_limits_it(
    run: Run, database: Database, make_account: MakeAccount
) -> None:
    await update_account(database, (await make_account("bank")).id, submit_per_s=7.5)
    assert json.loads((await run("list", "--json")).stdout) == []
    await run("set", "shop", "--network", "192.0.2.0/24", "--rate-per-s", "0.5")
    await run("set", "bank", "--binds-max", "2")
    rows = [line.split() for line in (await run("list")).stdout.splitlines()[2:] if line.strip()]
    assert rows == [
        ["bank", "bank", "all", "2", "default", "7.5", "active"],
        ["shop", "shop", "192.0.2.0/24", "default", "default", "0.5", "active"],
    ]
    listed = json.loads((await run("list", "--json")).stdout)
    assert [each["account"] for each in listed] == ["bank", "shop"]
    assert not any("password" in each for each in listed)


async def test_it_is_said_where_the_settings_let_nobody_bind(run: Run, tmp_path: Path) -> None:
    assert "smpp.enabled is false" in (await run("set", "shop")).stderr
    (tmp_path / "gateway.toml").write_text("[smpp]\nenabled = true\n")
    assert "smpp.enabled" not in (await run("set", "shop")).stderr


@pytest.mark.parametrize("command", ["set", "list", "show", "remove"])
async def test_every_command_says_how_it_is_used(run: Run, command: str) -> None:
    shown = (await run(command, "--help")).stdout
    assert "--json" in shown
    assert "--config" in shown
    summaries = (await run("--help")).stdout.partition("Commands:")[2]
    assert f"\n  {command}  " in summaries
    assert "..." not in summaries  # each is said whole


async def test_access_is_taken_away(run: Run, database: Database) -> None:
    await run("remove", "shop", expect=1)
    await run("set", "shop")
    assert (await run("remove", "shop")).stdout == "shop can't bind any more\n"
    assert (await run("show", "shop", expect=1)).stderr.startswith(
        "gateway: account: shop has no SMPP access; `gateway account smpp set`"
    )
    await run("set", "shop")
    assert json.loads((await run("remove", "shop", "--json")).stdout)["removed"] is True


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("set", "nobody"), 1, "nobody"),
        (("set", "shop", "--system-id", "x" * 16), 1, "system_id: must be 1 to 15"),
        (("set", "shop", "--network", "here"), 1, "networks: must be"),
        (("set", "shop", "--network", "192.0.2.1/24"), 1, "has host bits set"),
        (("set", "shop", "--network", "any", "--network", "::1"), 2, "any stands alone"),
        (("set", "shop", "--system-id", ""), 1, "system_id: must be 1 to 15"),
        (("set", "shop", "--password", ""), 2, "--password - reads it from standard input"),
        (("set", "shop", "--password", "secret"), 2, "everybody on this machine sees"),
        (("set", "shop", "--binds-max", "-1"), 1, "binds_max: must be 0 to 1,000"),
        (("set", "shop", "--binds-max", "9" * 30), 1, "binds_max: must be 0 to 1,000"),
        (("set", "shop", "--window-size", "10001"), 1, "window_size: must be 0 to 10,000"),
        (("set", "shop", "--rate-per-s", "nan"), 1, "rate_per_s: must be 0 to 1,000,000"),
        (("set", "shop", "--rate-per-s", "inf"), 1, "rate_per_s: must be 0 to 1,000,000"),
        (("set", "shop", "--queue-max", "-1"), 1, "queue_max: must be 0 to 100,000,000"),
        (("set", "shop", "--time-zone", "../etc/passwd"), 1, "time_zone: must be"),
        (("set", "shop", "--time-zone", "+25:00"), 1, "time_zone: must be"),
        (("set", "shop", "--alphabet", "latin1"), 2, "'latin-1'"),
        (("set", "shop", "--ia5-alphabet", "ebcdic"), 2, "--ia5-alphabet"),
        (("set", "shop", "--lane", "fast"), 2, "'marketing'"),
        (("set", ""), 1, "there is no account ''"),
        (("set",), 2, "Missing argument 'NAME'"),
        (("show", "nobody"), 1, "there is no account 'nobody'"),
        (("remove", "nobody"), 1, "there is no account 'nobody'"),
        (("set", "shop", "--time-zone", "Mars"), 1, "time_zone: must be"),
        (("set", "shop", "--id-form", "octal"), 2, "--id-form"),
    ],
)
async def test_what_is_wrong_is_said_in_words(
    run: Run, arguments: tuple[str, ...], status: int, words: str
) -> None:
    assert words in (await run(*arguments, expect=status)).stderr
