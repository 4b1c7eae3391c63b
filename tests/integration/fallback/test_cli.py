"""`gateway account fallback …` and `gateway email test` as operators use them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from click.testing import CliRunner, Result

from gateway.cli.root import cli
from gateway.model import EmailRequest
from gateway.store import accounts
from gateway.store.postgres import Database

Run = Callable[..., Awaitable[Result]]
RULE = ("account", "fallback")


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


async def rule_of(database: Database) -> EmailRequest | None:
    standing = await accounts.find_account(database, "shop")
    assert standing is not None
    return standing.account.fallback


async def test_a_rule_is_set_changed_shown_and_removed(
    run: Run, database: Database, make_account: Any, tmp_path: Path
) -> None:
    await make_account("shop")
    page = tmp_path / "mail.html"
    page.write_text("<p>{{ text }}</p>", encoding="utf-8")
    result = await run(
        *(*RULE, "set", "shop", "--subject", "Your code", "--html-file", str(page)),
        *("--after-s", "120", "--on", "undelivered", "--on", "no_receipt"),
    )
    assert "as each message says" in result.stdout
    assert "nothing will be sent" in result.stderr
    expected = EmailRequest(
        subject="Your code",
        html="<p>{{ text }}</p>",
        after_s=120,
        on=("undelivered", "no_receipt"),
    )
    assert await rule_of(database) == expected
    result = await run(
        *(*RULE, "set", "shop", "--to", "{{ client_ref }}", "--after-s", "0", "--json")
    )
    assert json.loads(result.stdout)["email"]["to"] == "{{ client_ref }}"
    shown = json.loads((await run(*RULE, "show", "shop", "--json")).stdout)
    assert (shown["email"]["after_s"], shown["email"]["subject"]) == (None, "Your code")
    assert "Your code" in (await run(*RULE, "show", "shop")).stdout
    await run(*RULE, "remove", "shop")
    assert await rule_of(database) is None
    assert "shop has no fallback" in (await run(*RULE, "show", "shop", expect=1)).stderr
    await run(*RULE, "remove", "shop", expect=1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--subject", "x"), "needs a text"),
        (("--text", "x"), "needs a subject"),
        (("--subject", "{{ nobody }}", "--text", "x"), "there is no nobody"),
        (("--subject", "x", "--text", "{% for %}"), "fallback.email.text"),
        (("--subject", "x", "--text", "x", "--reply-to", "me"), "has no @"),
        (("--subject", "x", "--text", "x", "--after-s", "99999999"), "after_s is 1 to"),
    ],
)
async def test_a_rule_that_could_not_be_used_is_not_set(
    run: Run, database: Database, make_account: Any, options: tuple[str, ...], words: str
) -> None:
    await make_account("shop")
    result = await run(*RULE, "set", "shop", *options, expect=1)
    assert words in result.stderr
    assert await rule_of(database) is None


async def test_a_rule_without_anything_to_set_is_a_mistake(run: Run, make_account: Any) -> None:
    await make_account("shop")
    assert "name at least one option" in (await run(*RULE, "set", "shop", expect=2)).stderr


class _Mail:
    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.taken: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(envelope.content)
        return self.answer


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [("250 taken", 0, "sent: 250 taken"), ("554 spam", 1, "not sent: 554 spam")],
)
async def test_the_mail_server_can_be_tried(
    run: Run, tmp_path: Path, answer: str, status: int, said: str
) -> None:
    mail = _Mail(answer)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mail, loop=loop), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    (tmp_path / "gateway.toml").write_text(
        f'[email]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "plain"\n'
        'sender = "Shop <no-reply@shop.example>"\n'
    )
    result = await run("email", "test", "ops@example.com", expect=status)
    assert result.stdout.strip() == said
    assert b"Subject: Test of the SMS gateway" in mail.taken[0]
    result = await run("email", "test", "ops@example.com", "--json", expect=status)
    assert json.loads(result.stdout) == {"sent": status == 0, "reply": answer}
    assert "has no @" in (await run("email", "test", "ops", expect=1)).stderr
    server.close()
    await server.wait_closed()


async def test_without_a_mail_server_there_is_nothing_to_try(run: Run) -> None:
    assert "email.host" in (await run("email", "test", "ops@example.com", expect=2)).stderr
