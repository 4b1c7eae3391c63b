"""`gateway privacy …` as an operator uses it, beside no gateway."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.lifecycle import EventKind
from gateway.model import Account, MessageId

Run = Callable[..., Awaitable[Result]]
NUMBER = "447400900123"


@pytest.fixture
def run(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)

    async def run(*arguments: str, expect: int = 0, said: str = "") -> Result:
        # In a thread, because the command has a loop of its own.
        result = await asyncio.to_thread(CliRunner().invoke, cli, list(arguments), said)
        assert result.exit_code == expect, result.output
        return result

    return run


async def test_a_number_is_exported_erased_and_then_told_as_erased(
    run: Run,
    tmp_path: Path,
    make_account: Callable[..., Awaitable[Account]],
    put_message: Callable[..., Awaitable[MessageId]],
    put_event: Callable[..., Awaitable[None]],
) -> None:
    shop = await make_account()
    ended = await put_message(shop, recipient=NUMBER, body="Your code is 1234")
    await put_event(shop, ended, EventKind.CANCELED)
    under_way = await put_message(shop, recipient=NUMBER)

    await run("privacy", "export", "+44 7400 900123", "--output", "person.jsonl")
    file = tmp_path / "person.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["text"] for line in lines] == ["Your code is 1234", "Hello"]
    again = await run("privacy", "export", NUMBER, "--output", "person.jsonl", expect=1)
    assert "File exists" in again.output

    words = ("privacy", "erase", f"+{NUMBER}", "--reason", "case 17", "--author", "Ann")
    await run(*words, expect=1, said="n\n")
    done = json.loads((await run(*words, "--yes", "--json")).stdout)
    assert done["waiting_for"] == [str(under_way)]
    assert (done["erased"], done["finished_at"], done["author"]) == ({"messages": 1}, "", "Ann")

    shown = json.loads((await run("message", "show", str(ended), "--json")).stdout)
    assert (shown["to"], shown["text"], shown["text_erased"]) == ("erased", None, True)
    assert "erased" in (await run("message", "list", "--account", "shop")).stdout
    listed = await run("privacy", "list", "--number", NUMBER)
    assert "case 17" in listed.stdout
    assert NUMBER not in listed.stdout


async def test_what_is_no_number_is_refused(run: Run) -> None:
    result = await run("privacy", "export", "Shop", expect=1)
    assert "'Shop' is no number" in result.output
