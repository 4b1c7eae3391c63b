"""Nothing that was told in confidence is ever said again: not in logs, answers, errors or reprs.

Each secret, number and text is a word that occurs nowhere else, and is looked for in all that a
gateway and its command line say while everything goes well, and while it goes wrong.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import click
import pytest
from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.cli.settings import format_toml
from gateway.config import Log
from gateway.config_file import build_config
from gateway.logs import setup_logging
from gateway.model import Account
from gateway.smpp import vocabulary as v
from gateway.store.accounts import update_account
from gateway.store.keys import create_key
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import save_smpp_account

Start = Callable[..., Awaitable[Any]]

CARRIER_PASSWORD = "crr-pw"  # SMPP's have eight characters
MAIL_PASSWORD = "mail-password-of-ours"
DATABASE_PASSWORD = "database-password-of-ours"
CUSTOMER_PASSWORD = "cst-pw-1"
WEBHOOK_SECRET = "webhook-secret-of-the-shop"
GUESSED_PASSWORD = "gss-pw-2"
GUESSED_KEY = "gw_guessed_key_of_a_stranger"
NUMBER = "447400987654"
TEXT = "Your vault opens with the word Xylophone"
PEOPLE = (NUMBER, "Xylophone")


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """Everything that is logged, at debug."""
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    setup_logging(Log(level="debug", format="json"), stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def confidential(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with a secret wherever there can be one."""
    node = settings["node"]
    parts = urlsplit(node["database_url"])
    user, _, place = parts.netloc.rpartition("@")
    name = user.partition(":")[0] or "postgres"
    netloc = f"{name}:{DATABASE_PASSWORD}@{place}"
    node["database_url"] = urlunsplit(parts._replace(netloc=netloc))
    settings["carrier"][0]["password"] = CARRIER_PASSWORD
    settings["email"] = {
        "host": "127.0.0.1",
        "port": 9,
        "sender": "no-reply@shop.example",
        "username": "us",
        "password": MAIL_PASSWORD,
    }
    return settings


async def call(url: str, **request: Any) -> str:
    async with aiohttp.ClientSession() as http, http.request("POST", url, **request) as answer:
        return await answer.text()


async def fetch(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as answer:
        return await answer.text()


async def test_no_secret_number_or_text_is_said_again(
    said: io.StringIO,
    confidential: dict[str, Any],
    start: Start,
    shop: Account,
    database: Database,
    tmp_path: Path,
) -> None:
    key = (await create_key(database, shop.id)).plaintext
    await save_smpp_account(database, shop.id, password=CUSTOMER_PASSWORD)
    await update_account(
        database,
        shop.id,
        webhook_url="https://hooks.shop.invalid/events",
        webhook_secret=WEBHOOK_SECRET,
    )
    running = await start()
    base = f"http://127.0.0.1:{running.gateway.port}"
    heard = [await fetch(f"{base}{path}") for path in ("/openapi.json", "/docs")]

    statements_seen: set[str] = set()
    watching = asyncio.create_task(_watch_statements(database, statements_seen))

    # It goes well …
    message = {"to": f"+{NUMBER}", "from": "Shop", "text": TEXT}
    right = {"Authorization": f"Bearer {key}"}
    assert '"id"' in await call(f"{base}/v1/messages", json=message, headers=right)
    customer = await running.connect(v.BIND_TRANSCEIVER, password=CUSTOMER_PASSWORD)
    customer.submit(TEXT, to=NUMBER)
    assert (await customer.submitted())[0] == v.ESME_ROK
    await customer.receive_delivery()

    # … and wrong: a key, a password, JSON, octets, an address, and a fault of ours.
    wrong = {"Authorization": f"Bearer {GUESSED_KEY}"}
    heard.append(await call(f"{base}/v1/messages", json=message, headers=wrong))
    stranger = await running.connect()
    assert (await stranger.bind(password=GUESSED_PASSWORD)).status == v.ESME_RINVPASWD
    await call(f"{base}/v1/messages", data=json.dumps(message)[:-1], headers=right)
    await call(f"{base}/v1/messages", json=message | {"from": ""}, headers=right)
    customer.send(b"\x00\x00\x00\x40\x00\x00\x00\x04" + TEXT.encode()[:40] + NUMBER.encode() * 2)
    await customer.receive()  # a refusal of some kind
    running.gateway.parts.intake.accept = None  # what is called next raises TypeError
    await call(f"{base}/v1/messages", json=message, headers=right)
    heard.append(await fetch(f"{base}/metrics"))
    watching.cancel()
    await running.stop()

    config = running.gateway.config
    heard += [repr(config), repr(config.carrier), repr(config.email), repr(config.node)]
    heard.append(_raise_about(config))
    file = tmp_path / "gateway.toml"
    file.write_text(format_toml(confidential))
    for words in reading_commands():
        for form in ([], ["--json"]):
            heard.append(await _run(["--debug", *words, *form, "--config", str(file)]))
    heard.append(
        await _run(["--debug", "message", "list", "--account", "nobody", "--config", str(file)])
    )
    file.write_text(format_toml(confidential | {"carriers": []}))
    heard.append(await _run(["--debug", "config", "check", "--config", str(file)]))

    logged = said.getvalue()
    assert '"customer_bound"' in logged
    assert '"customer_refused"' in logged
    secrets = (
        *(key, key.rpartition("_")[2], CARRIER_PASSWORD, MAIL_PASSWORD, DATABASE_PASSWORD),
        *(CUSTOMER_PASSWORD, WEBHOOK_SECRET, GUESSED_PASSWORD, GUESSED_KEY),
    )
    statements = "\n".join(statements_seen)
    everything = [logged, statements, *heard]
    assert "$1" in statements
    assert [
        (word, _around(word, text)) for text in everything for word in secrets if word in text
    ] == []
    for text in (logged, statements):
        assert [(word, _around(word, text)) for word in PEOPLE if word in text] == []


CHANGING = {
    *("account create", "account update", "account topup", "account key create"),
    *("account key rotate", "account key revoke", "account smpp set", "account smpp remove"),
    *("account fallback set", "account fallback remove", "account webhook rotate"),
    *("account webhook finish", "apply", "carrier drain", "carrier resume", "migrate"),
    *("number add", "number remove", "operator import", "operator port", "privacy erase"),
    *("receipts rematch", "webhook replay", "email test", "demo", "serve", "simulate"),
}
"""Commands that change something, or run until they are stopped; all others only tell."""
GIVEN = {"name": "shop", "account": "shop", "id": "382745719976497152", "number": "447400000001"}
GIVEN |= {"to": "447400000001"}


def reading_commands() -> Iterator[list[str]]:
    """Yield every command that only tells, with what it asks for."""
    for path, command in walk_commands(cli):
        if " ".join(path) in CHANGING:
            continue
        words = list(path)
        for parameter in command.params:
            if parameter.required:
                assert parameter.name in GIVEN, f"say in GIVEN what {path} gets, or in CHANGING"
                option = [] if isinstance(parameter, click.Argument) else [parameter.opts[0]]
                words += [*option, GIVEN[parameter.name]]
        yield words


def walk_commands(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from walk_commands(inner, (*path, name))


def test_the_commands_that_change_something_are_all_there() -> None:
    assert {" ".join(path) for path, _ in walk_commands(cli)} >= CHANGING


async def test_no_process_of_a_gateway_shows_a_secret_in_its_arguments(
    confidential: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD_OF_MAIL", MAIL_PASSWORD)
    secret = tmp_path / "password"
    secret.write_text(CARRIER_PASSWORD)
    confidential["email"]["password"] = "env:PASSWORD_OF_MAIL"
    confidential["carrier"][0]["password"] = f"file:{secret}"
    file = tmp_path / "gateway.toml"
    file.write_text(format_toml(confidential))
    words = ("-m", "gateway", "--config", str(file), "serve")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(60):
            while b"Ctrl-C" not in await process.stdout.readline():
                pass
        shown = b"\n".join(
            path.read_bytes()
            for pid in _family(process.pid)
            for path in (Path(f"/proc/{pid}/cmdline"), Path(f"/proc/{pid}/comm"))
        )
    finally:
        process.terminate()
        said = b"".join(await process.communicate())
    assert b"gateway" in shown
    for word in (MAIL_PASSWORD, CARRIER_PASSWORD, DATABASE_PASSWORD):
        assert word.encode() not in shown + said


def _family(pid: int) -> list[int]:
    """Return a process and all that it has started."""
    children = [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]
    return [pid, *(each for child in children for each in _family(child))]


async def _watch_statements(database: Database, seen: set[str]) -> None:
    """Note what the database shows of everybody's statements, for as long as this is not ended."""
    async with database.acquire() as connection:
        while True:
            rows = await connection.fetch("SELECT query FROM pg_stat_activity")
            seen.update(row["query"] for row in rows)
            await asyncio.sleep(0.002)


async def _run(words: list[str]) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli, words)
    return result.output + "".join(traceback.format_exception(result.exception))


def _raise_about(config: object) -> str:
    """Return a traceback whose message quotes the settings, as a fault of ours might."""
    try:
        raise ValueError(f"can't use {config!r}")
    except ValueError:
        return traceback.format_exc()


def _around(word: str, text: str) -> str:
    at = text.index(word)
    return text[max(0, at - 120) : at + 120]


def test_what_a_section_prints_has_its_values_and_not_its_secrets() -> None:
    config = build_config(
        {"email": {"host": "mx.test", "sender": "a@b.example", "password": "pw-1"}}
    )
    assert "host='mx.test'" in repr(config)
    assert "pw-1" not in repr(config)
