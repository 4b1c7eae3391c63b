"""docs/routing.md says what the command says: its files are written, its commands run, and what
they print is compared."""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.model import Account

DOCUMENT = Path(__file__).parents[2] / "docs" / "routing.md"
BLOCK = re.compile(r"^```(\w+)(?: ([\w.]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES_MIN = 12
NOW = "2026-01-31T21:00:00Z"
"""As the page says, for examples that name no time: some of its routes hold by night alone."""

MakeAccount = Callable[..., Awaitable[Account]]


class Command(msgspec.Struct):
    line: str
    printed: list[str]
    on_database: bool


def read_blocks(folder: Path) -> list[Command]:
    """Write the document's files into a folder and return its commands with what they print."""
    commands: list[Command] = []
    for kind, label, body in BLOCK.findall(DOCUMENT.read_text(encoding="utf-8")):
        if kind in ("toml", "csv"):
            (folder / label).write_text(body, encoding="utf-8")
        elif kind == "console":
            for line in body.splitlines():
                if line.startswith("$ "):
                    commands.append(Command(line[2:], [], label == "database"))
                else:
                    commands[-1].printed.append(line)
    return commands


async def test_every_example_prints_what_the_page_says(
    database_url: str,
    make_account: MakeAccount,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    await make_account("bank")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    commands = read_blocks(tmp_path)
    assert len(commands) >= EXAMPLES_MIN
    for command in commands:
        if command.on_database:
            monkeypatch.setenv("DATABASE_URL", database_url)
        else:
            monkeypatch.delenv("DATABASE_URL", raising=False)
        program, *arguments = shlex.split(command.line)
        assert program == "gateway"
        if arguments[:2] == ["route", "explain"] and "--at" not in arguments:
            arguments += ["--at", NOW]
        result = await asyncio.to_thread(CliRunner().invoke, cli, arguments)
        printed = [line.rstrip() for line in result.output.rstrip("\n").splitlines()]
        expected = [line.rstrip() for line in "\n".join(command.printed).rstrip("\n").splitlines()]
        assert printed == expected, command.line
