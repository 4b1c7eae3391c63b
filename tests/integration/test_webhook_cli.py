"""`gateway account webhook …` and `gateway webhook …` as operators use them."""

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
from gateway.store.outbox import PostgresOutbox
from gateway.store.postgres import Database

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


async def put_dead(database: Database, account: Any, count: int) -> list[int]:
    rows = await database.pool.fetch(
        "INSERT INTO outbox (account_id, message_id, body, created_at, next_at, dead, error)"
        " SELECT $1, n, '{\"n\":' || n || '}', $2, $2, true, 'HTTP 410'"
        " FROM generate_series(1, $3) n RETURNING id",
        account.id,
        time.time() - 60,
        count,
    )
    return [row["id"] for row in rows]


async def test_a_secret_is_rotated_and_the_rotation_finished(run: Run, make_account: Any) -> None:
    account = await make_account("shop")
    shown = json.loads((await run("account", "webhook", "show", "shop", "--json")).stdout)
    assert shown == {"account": "shop", "url": "", "old_secret_until": None, "dead": 0}
    rotated = json.loads((await run("account", "webhook", "rotate", "shop", "--json")).stdout)
    assert rotated["secret"] != account.webhook_secret
    assert rotated["old_secret_until"] is not None
    again = await run("account", "webhook", "rotate", "shop", expect=1)
    assert "two secrets sign already" in again.stderr
    assert "signs too until" in (await run("account", "webhook", "show", "shop")).stdout
    assert "one secret" in (await run("account", "webhook", "finish", "shop")).stdout
    assert "already" in (await run("account", "webhook", "finish", "shop")).stdout
    forced = await run("account", "webhook", "rotate", "shop", "--overlap-hours", "0", "--json")
    assert json.loads(forced.stdout)["old_secret_until"] is None


async def test_dead_events_are_listed_and_replayed(
    run: Run, database: Database, make_account: Any
) -> None:
    shop = await make_account("shop")
    ids = await put_dead(database, shop, 5)
    listed = json.loads((await run("webhook", "dead", "shop", "--limit", "3", "--json")).stdout)
    assert [event["id"] for event in listed["events"]] == [str(n) for n in ids[:1:-1]]
    table = (await run("webhook", "dead", "shop")).stdout
    assert "HTTP 410" in table
    one = await run("webhook", "replay", "shop", "--id", str(ids[0]), "--json")
    assert json.loads(one.stdout) == {"account": "shop", "replayed": 1}
    await run("webhook", "replay", "shop", "--id", str(ids[0]), expect=1)
    none = await run("webhook", "replay", "shop", "--since", "2999-01-01", "--json")
    assert json.loads(none.stdout)["replayed"] == 0
    assert "4 events" in (await run("webhook", "replay", "shop", "--all")).stdout
    assert (await PostgresOutbox(database).fetch_depth()).waiting == 5


@pytest.mark.parametrize(
    "options", [(), ("--all", "--id", "1"), ("--since", "2026-01-01", "--all")]
)
async def test_a_replay_says_in_one_way_what_it_is_of(
    run: Run, make_account: Any, options: tuple[str, ...]
) -> None:
    await make_account("shop")
    assert "say one of" in (await run("webhook", "replay", "shop", *options, expect=2)).stderr
