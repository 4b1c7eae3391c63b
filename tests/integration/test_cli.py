"""The `gateway` command as operators and their scripts use it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store.keyring import KeyRing
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
Run = Callable[..., Awaitable[Result]]

SETTINGS = """
[[carrier]]
name = "north"
host = "smsc.north.example"
system_id = "us"
password = "hidden-word"
rate_per_s = 50
[[carrier.binds]]
mode = "transceiver"
count = 2

[[carrier]]
name = "south"
host = "smsc.south.example"
port = 3550
system_id = "us"
lost = "hold"
[carrier.tls]
enabled = true
[carrier.statuses]
"0x45" = "permanent"

[[route]]
carriers = ["north", "south"]
countries = ["DE"]

[[price]]
prefix = "49"
price = "0.0075"
"""


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command on this test's database, in an empty folder."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: object) -> Result:
        # In a thread, because the command has a loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, cli, [str(a) for a in arguments])

    return run


async def load(running: Awaitable[Result]) -> Any:
    result = await running
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name)


# ── help and errors ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [(), *all_commands(cli)], ids=" ".join)
def test_every_command_explains_itself_with_examples(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"])
    assert result.exit_code == 0
    assert f"gateway {' '.join(path)}".strip() in result.output
    assert "Examples:" in result.output


FOR_NO_SCRIPT = {("serve",), ("demo",), ("simulate",)}
JSON_ANYWAY = {("privacy", "export")}


@pytest.mark.parametrize(
    "path", [p for p in all_commands(cli) if p not in FOR_NO_SCRIPT | JSON_ANYWAY], ids=" ".join
)
def test_every_command_has_an_answer_for_scripts(path: tuple[str, ...]) -> None:
    assert "--json" in CliRunner().invoke(cli, [*path, "--help"]).output


def test_the_simulator_takes_the_same_options_by_either_name() -> None:
    ours = set(re.findall(r"--[a-z-]+", CliRunner().invoke(cli, ["simulate", "--help"]).output))
    words = [sys.executable, "-m", "bench.smsc", "--help"]
    theirs = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert ours == set(re.findall(r"--[a-z-]+", theirs))


def test_the_simulator_measures_itself() -> None:
    words = [sys.executable, "-m", "gateway", "simulate", "--self-test", "--messages", "200"]
    said = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(said)["messages"] == 200


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--port", "70000"), 2, "70000 is not in the range"),
        (("--port", "0", "--script", "absent.toml"), 2, "absent.toml"),
        (("--port", "0", "--port", "0", "--script", "a", "--nonsense"), 2, "--nonsense"),
        (("--messages", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_is_wrong_with_a_simulation_is_said(
    arguments: tuple[str, ...], status: int, words: str
) -> None:
    result = CliRunner().invoke(cli, ["simulate", *arguments])
    assert result.exit_code == status
    assert words in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["account", "create"],
        ["account", "list", "--no-such-option"],
        ["account", "topup", "shop", "1e3"],
        ["account", "topup", "shop", "0.0000001"],
        ["account", "create", "shop", "--credit", "-1"],
        ["account", "update", "shop"],
        ["message", "list", "--account", "shop", "--from", "yesterday"],
        ["message", "list", "--account", "shop", "--status", "gone"],
        ["message", "show", "x"],
        ["message", "show", "0"],
    ],
    ids=" ".join,
)
async def test_a_wrong_command_line_ends_with_status_2(
    run: Run, make_account: MakeAccount, arguments: list[str]
) -> None:
    await make_account("shop")
    result = await run(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["account", "show", "nobody"], "there is no account 'nobody'"),
        (["account", "create", "shop"], "name: there is an account 'shop' already"),
        (["account", "create", " "], "name: must be 1 to 64 visible characters"),
        (["account", "topup", "shop", "-101"], "amount: the correction would take"),
        (["account", "update", "shop", "--floor", "101"], "floor: less than this floor"),
        (["account", "update", "shop", "--segments-max", "256"], "segments_max: must be 1 to 255"),
        (["account", "key", "create", "nobody"], "there is no account 'nobody'"),
        (["account", "key", "revoke", "shop", "nope"], "shop has no key 'nope'"),
        (["message", "show", "1"], "there is no message 1"),
        (["message", "list", "--account", "nobody"], "there is no account 'nobody'"),
    ],
)
async def test_what_can_not_be_done_is_one_sentence_and_status_1(
    run: Run, make_account: MakeAccount, arguments: list[str], sentence: str
) -> None:
    await make_account("shop")
    result = await run(*arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"gateway: {sentence}")
    assert result.stderr.count("\n") == 1


async def test_a_database_that_is_away_is_one_sentence_and_status_1(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    result = await run("account", "list")
    assert result.exit_code == 1
    assert result.stderr.startswith("gateway: the database is away")
    assert result.stderr.count("\n") == 1


async def test_a_database_without_a_schema_is_to_be_migrated_first(
    run: Run, empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    result = await run("account", "list")
    assert result.exit_code == 2
    assert "run `gateway migrate` first" in result.stderr
    applied = (await load(run("migrate", "--json")))["applied"]
    assert applied[0] == "0001_first"
    assert (await load(run("migrate", "--json")))["applied"] == []
    assert "up to date" in (await run("migrate")).stdout
    assert await load(run("account", "list", "--json")) == []


async def test_a_check_reports_every_problem(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[htpp]\n[http]\nport = 99999\n[log]\nlevel = 'loud'\n")
    result = await run("config", "check", "--config", str(file))
    assert result.exit_code == 2
    assert [line.split()[1] for line in result.stderr.splitlines()] == [
        "htpp:",
        "http.port:",
        "log.level:",
    ]
    file.write_text(
        SETTINGS + '[[route]]\ncarriers = ["north"]\npattern = "("\n'
        '[[route]]\ncarriers = ["north"]\nhours = ["always"]\n'
        '[[price]]\nprice = "cheap"\n'
    )
    result = await run("config", "check", "--json", "--config", str(file))
    assert result.exit_code == 2
    found = json.loads(result.stdout)
    assert found["file"] == str(file)
    assert [problem["key"] for problem in found["problems"]] == [
        "route[1].pattern",
        "route[2].hours",
        "price[1].price",
    ]
    file.write_text("not = toml = at all")
    result = await run("config", "check", "--config", str(file))
    assert result.exit_code == 2
    assert "is not TOML" in result.stderr


@pytest.mark.parametrize("arguments", [["serve"], ["account", "list"], ["config", "check"]])
async def test_a_wrong_setting_is_named_wherever_the_file_is_given(
    run: Run, tmp_path: Path, arguments: list[str]
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text("[http]\nprot = 80\n")
    for line in (["--config", file, *arguments], [*arguments, "--config", file]):
        result = await run(*line)
        assert result.exit_code == 2
        assert "http.prot: unknown key; did you mean 'port'?" in result.stderr
        assert result.stderr.count("\n") == 1


async def test_a_file_that_is_not_there_is_said_so(run: Run) -> None:
    result = await run("config", "check", "--config", "nowhere.toml")
    assert result.exit_code == 2
    assert "can't read nowhere.toml" in result.stderr


async def test_ceilings_are_shown_and_changed_one_by_one(
    run: Run, make_account: MakeAccount
) -> None:
    await make_account("shop")
    await run("account", "ceilings", "shop", "--segments-per-s", 2.5, "--recipient-per-hour", 10)
    await run("account", "ceilings", "shop", "--segments-burst", 4)
    assert await load(run("account", "ceilings", "shop", "--json")) == {
        "segments_per_s": 2.5,
        "segments_burst": 4,
        "recipient_per_minute": -1,
        "recipient_per_hour": 10,
    }
    shown = (await run("account", "ceilings", "shop")).output
    assert "2.5" in shown
    assert "as the settings say" in shown
    refused = await run("account", "ceilings", "shop", "--segments-burst", 0)
    assert refused.exit_code != 0
    assert "segments_burst" in refused.output


# ── accounts ────────────────────────────────────────────────────────────────────────────────


async def test_an_account_is_made_with_credit_and_a_key_that_works(
    run: Run, database: Database
) -> None:
    made = await load(
        run(
            *("account", "create", "shop", "--currency", "EUR", "--credit", "12.5"),
            *("--floor", "-3", "--sender", "Shop", "--with-key", "--json"),
        )
    )
    assert (made["available"], made["deposited"], made["floor"]) == ("12.5", "12.5", "-3")
    assert (made["currency"], made["default_sender"], made["active"]) == ("EUR", "Shop", True)
    assert made["webhook_secret"]
    account = await KeyRing(database).authenticate(made["key"])
    assert account is not None and account.name == "shop"
    async with database.acquire() as connection:
        author = await connection.fetchval("SELECT author FROM deposits")
    assert author.startswith("cli:")


async def test_secrets_are_shown_only_when_asked_for(run: Run) -> None:
    made = await load(run("account", "create", "shop", "--with-key", "--json"))
    secret = made["webhook_secret"]
    for arguments in (["account", "show", "shop"], ["account", "list"]):
        for as_json in ([], ["--json"]):
            output = (await run(*arguments, *as_json)).output
            assert secret not in output
            assert made["key"] not in output
    assert secret in (await run("account", "show", "shop", "--secret")).output
    renewed = await load(run("account", "update", "shop", "--new-secret", "--json"))
    assert renewed["webhook_secret"] not in (secret, None)


async def test_an_account_is_changed_and_told_so(run: Run) -> None:
    await run("account", "create", "shop")
    changed = await load(
        run("account", "update", "shop", "--inactive", "--segments-max", 4, "--json")
    )
    assert (changed["active"], changed["segments_max"]) == (False, 4)
    assert "inactive" in (await run("account", "list")).stdout
    assert (await load(run("account", "update", "shop", "--active", "--json")))["active"]


async def test_credit_is_added_once_for_a_key_and_taken_back_by_a_minus(run: Run) -> None:
    await run("account", "create", "shop")
    topup = ("account", "topup", "shop", "10", "--once", "invoice-7")
    first, again = await load(run(*topup, "--json")), await load(run(*topup, "--json"))
    assert (first["available"], first["replayed"]) == ("10", False)
    assert (again["available"], again["replayed"]) == ("10", True)
    other = await run("account", "topup", "shop", "11", "--once", "invoice-7")
    assert (other.exit_code, other.stdout) == (1, "")
    assert "this key stands for a deposit of 10" in other.stderr
    back = await run("account", "topup", "shop", "-0.25")
    assert back.stdout == "shop has 9.75 credits available\n"


async def test_keys_are_made_listed_and_revoked(run: Run, database: Database) -> None:
    await run("account", "create", "shop")
    made = await load(
        run("account", "key", "create", "shop", "--label", "web", "--days", 2, "--json")
    )
    plain = await run("account", "key", "create", "shop")
    second = re.search(r"gw_\S+", plain.stdout)
    assert second and "not shown again" in plain.stderr
    listed = await load(run("account", "key", "list", "shop", "--json"))
    assert [k["label"] for k in listed] == ["web", ""]
    assert listed[0]["prefix"] == made["prefix"]
    assert made["key"] not in json.dumps(listed)
    # Both forms that people have at hand.
    assert (await run("account", "key", "revoke", "shop", made["prefix"])).exit_code == 0
    assert (await run("account", "key", "revoke", "shop", second[0])).exit_code == 0
    assert (await run("account", "key", "list", "shop")).stdout.count("revoked") == 2
    ring = KeyRing(database)
    assert [await ring.authenticate(key) for key in (made["key"], second[0])] == [None, None]


async def test_a_key_is_limited_and_rotated(run: Run, database: Database) -> None:
    await run("account", "create", "shop")
    made = await load(
        run(
            *("account", "key", "create", "shop", "--label", "reports", "--scope", "read"),
            *("--network", "192.0.2.0/24", "--json"),
        )
    )
    rotated = await load(run("account", "key", "rotate", "shop", made["key"], "--json"))
    assert rotated["old_prefix"] == made["prefix"]
    assert rotated["prefix"] != made["prefix"]
    listed = await load(run("account", "key", "list", "shop", "--json"))
    assert [(k["label"], k["scopes"], k["networks"]) for k in listed] == [
        ("reports", ["read"], ["192.0.2.0/24"])
    ] * 2
    assert listed[0]["expires_at"] and not listed[1]["expires_at"]
    assert "192.0.2.0/24" in (await run("account", "key", "list", "shop")).stdout
    old = await KeyRing(database).authenticate(made["key"])
    assert old is not None and old == await KeyRing(database).authenticate(rotated["key"])
    at_once = await run("account", "key", "rotate", "shop", rotated["prefix"], "--hours", 0)
    assert at_once.exit_code == 0
    assert await KeyRing(database).authenticate(rotated["key"]) is None
    for wrong in (("--scope", "sent"), ("--network", "everywhere")):
        refused = await run("account", "key", "create", "shop", *wrong)
        assert refused.exit_code != 0
    assert len(await load(run("account", "key", "list", "shop", "--json"))) == 3


# ── messages ────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_shown_with_all_that_happened(
    run: Run, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    account = await make_account("shop")
    message_id = await put_message(account, body="first\nsecond \x1b[2J", client_ref="order-7")
    await put_event(account, message_id, EventKind.SUBMITTED, carrier_message_id="abc", code=0)
    await put_event(account, message_id, EventKind.RECEIPT, status=Status.DELIVERED, code=2)
    shown = await run("message", "show", message_id)
    assert shown.exit_code == 0
    for word in ("delivered", "order-7", "abc", "ESME_ROK", "0.0075 credits", "first ⏎ second"):
        assert word in shown.stdout
    assert "\x1b[2J" not in shown.stdout, "a text steers the terminal"
    view = await load(run("message", "show", message_id, "--json"))
    assert view["text"] == "first\nsecond \x1b[2J"
    assert [event["kind"] for event in view["events"]] == ["submitted", "receipt"]


async def test_messages_are_searched_over_as_many_pages_as_it_takes(
    run: Run,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.store.search.SCAN_MESSAGES_MAX", 3)
    monkeypatch.setattr("gateway.cli.message.PAGE_MESSAGES_MAX", 2)
    shop, bank = await make_account("shop"), await make_account("bank")
    ids = [await put_message(shop, recipient=f"49151000000{n:02}") for n in range(9)]
    await put_message(bank)
    await put_event(shop, ids[4], EventKind.REFUSED)
    search = ("message", "list", "--account", "shop", "--json")

    async def found(*filters: object) -> list[int]:
        return [int(m["id"]) for m in (await load(run(*search, *filters)))["messages"]]

    assert await found() == ids[::-1]
    assert await found("--limit", 5) == ids[:3:-1]
    assert await found("--limit", 2, "--before", ids[4]) == [ids[3], ids[2]]
    assert await found("--to", "+4915100000000") == [ids[0]]
    assert await found("--status", "rejected") == [ids[4]]
    assert await found("--until", "2020-01-01") == []
    table = await run("message", "list", "--account", "shop", "--limit", 5)
    assert f"--before {ids[4]}" in table.stderr
    assert str(ids[8]) in table.stdout and str(ids[3]) not in table.stdout


# ── audit ───────────────────────────────────────────────────────────────────────────────────


async def test_the_audit_ends_with_0_when_everything_agrees_and_with_1_when_not(
    run: Run,
    database: Database,
    make_account: MakeAccount,
    put_message: PutMessage,
    put_event: PutEvent,
) -> None:
    account = await make_account("shop")
    message_id = await put_message(account)
    await put_event(account, message_id, EventKind.SUBMITTED)
    good = await run("audit")
    assert (good.exit_code, good.stderr) == (0, "")
    assert "everything agrees" in good.stdout
    assert (await load(run("audit", "--json")))["agrees"] is True
    async with database.acquire() as connection:
        await connection.execute("UPDATE messages SET price_micros = 7499")
    bad = await run("audit")
    assert bad.exit_code == 1
    assert str(message_id) in bad.stdout and "posted and voided" in bad.stdout
    as_json = await run("audit", "--json")
    assert as_json.exit_code == 1
    document = json.loads(as_json.stdout)
    assert document["agrees"] is False
    assert document["report"]["bad_messages"] == 1


# ── settings ────────────────────────────────────────────────────────────────────────────────


async def test_settings_are_printed_as_they_can_be_read_again_without_secrets(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "gateway.toml").write_text(SETTINGS)
    printed = await run("config", "print")
    assert printed.exit_code == 0
    assert "hidden-word" not in printed.stdout
    (tmp_path / "again.toml").write_text(printed.stdout)
    again = await run("config", "print", "--config", "again.toml")
    assert again.stdout == printed.stdout
    tree = await load(run("config", "print", "--json"))
    assert tree["carrier"][1]["statuses"] == {"0x45": "permanent"}
    assert "hidden-word" not in json.dumps(tree)
    assert (await run("config", "check")).stdout == (
        "gateway.toml: 2 carriers, 1 routes, 1 prices\n"
    )


async def test_carriers_are_listed_from_the_settings_and_the_database(
    run: Run, tmp_path: Path, database: Database
) -> None:
    (tmp_path / "gateway.toml").write_text(SETTINGS)
    async with database.acquire() as connection:
        await connection.execute("INSERT INTO carriers (name) VALUES ('north'), ('gone')")
    rows = await load(run("carrier", "list", "--json"))
    assert [(row["name"], row["state"]) for row in rows] == [
        ("north", "configured"),
        ("south", "new"),
        ("gone", "removed"),
    ]
    assert (rows[0]["address"], rows[0]["binds"]) == ("smsc.north.example:2775", "2 transceiver")
    table = (await run("carrier", "list")).stdout
    assert "smsc.south.example:3550" in table and "hold" in table


# ── the gateway's own database ──────────────────────────────────────────────────────────────


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A short, empty folder: a socket's path must stay below 108 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="gwc"))
    folder.chmod(0o711)  # as root, the server's user must pass through
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def gateway(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a process, without any database named."""
    hidden = ("DATABASE_URL", "GATEWAY_CONFIG")
    return subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k not in hidden}
        | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_reading_commands_make_no_database_where_there_is_none(own_folder: Path) -> None:
    for command in (["audit"], ["account", "list"], ["message", "show", "1"]):
        done = gateway(own_folder, *command)
        assert done.returncode == 2
        assert "there is no database in .gateway yet" in done.stderr
    assert gateway(own_folder, "carrier", "list").returncode == 0
    assert list(own_folder.iterdir()) == []


def test_a_command_starts_the_gateways_own_server_and_stops_it_again(own_folder: Path) -> None:
    made = gateway(own_folder, "account", "create", "shop", "--credit", "5", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["available"] == "5"
    pid_file = own_folder / ".gateway" / "postgresql" / "postmaster.pid"
    assert not pid_file.exists()
    started = time.monotonic()
    audited = gateway(own_folder, "audit", "--json")
    assert time.monotonic() - started < 60
    assert audited.returncode == 0, audited.stderr
    assert json.loads(audited.stdout)["report"]["accounts"][0]["available_micros"] == 5_000_000
    assert not pid_file.exists()
