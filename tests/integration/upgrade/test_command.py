"""`gateway migrate` for people and for scripts, and starts of gateways that may not migrate."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from click.testing import CliRunner, Result

from gateway.app import Gateway
from gateway.cli.root import cli
from gateway.config import Config, Http, Node
from gateway.errors import ConfigError
from gateway.store.migrate import migrate
from gateway.store.postgres import Database
from gateway.store.presence import fetch_applied
from gateway.store.schema import load_migrations

Run = Callable[..., Awaitable[Result]]
KNOWN = load_migrations()


@pytest.fixture
def run(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command on an empty database."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    async def run(*arguments: str) -> Result:
        # In a thread, because the command has a loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))

    return run


async def count_applied(url: str) -> int:
    database = await Database.open(url, 1)
    try:
        async with database.acquire() as connection:
            return len(await fetch_applied(connection))
    finally:
        await database.close()


async def test_a_check_says_by_its_status_whether_something_is_missing(
    run: Run, empty_database_url: str
) -> None:
    await migrate(empty_database_url, KNOWN[:-1])
    checked = await run("migrate", "--check", "--json")
    assert checked.exit_code == 1
    answer = json.loads(checked.stdout)
    assert (answer["code"], answer["schema"]) == (len(KNOWN), len(KNOWN) - 1)
    assert [step["migration"] for step in answer["steps"]] == [str(KNOWN[-1])]
    planned = await run("migrate", "--plan")
    assert planned.exit_code == 0
    assert str(KNOWN[-1]) in planned.stdout
    assert await count_applied(empty_database_url) == len(KNOWN) - 1, "neither changes anything"
    assert str(KNOWN[-1]) in (await run("migrate")).stdout
    checked = await run("migrate", "--check")
    assert (checked.exit_code, "up to date" in checked.stdout) == (0, True)


async def test_commands_work_on_a_newer_schema_that_this_code_may_run_on(
    run: Run, empty_database_url: str
) -> None:
    await migrate(empty_database_url)
    database = await Database.open(empty_database_url, 1)
    number = len(KNOWN) + 1
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum, oldest_code)"
            " VALUES ($1, 'next', '', $2)",
            number,
            len(KNOWN),
        )
        checked = await run("migrate", "--check")
        assert (checked.exit_code, f"newer ({number:04})" in checked.stdout) == (0, True)
        assert (await run("account", "list")).exit_code == 0
        await connection.execute("UPDATE schema_migrations SET oldest_code = version")
    await database.close()
    for command in (("migrate", "--check"), ("migrate",), ("account", "list")):
        refused = await run(*command)
        assert refused.exit_code == 2
        assert f"{number:04}_next asks for code that knows migration {number:04}" in refused.stderr


async def test_a_gateway_that_may_not_migrate_says_what_is_missing_and_does_not_start(
    empty_database_url: str,
) -> None:
    await migrate(empty_database_url, KNOWN[:-1])
    config = Config(
        node=Node(database_url=empty_database_url, migrate_at_start=False), http=Http(port=0)
    )
    with pytest.raises(ConfigError, match=rf"schema lacks {KNOWN[-1]}: run `gateway migrate`"):
        await Gateway(config).run()
    assert await count_applied(empty_database_url) == len(KNOWN) - 1


async def test_a_gateway_that_may_not_migrate_runs_on_what_somebody_else_has_made(
    database_url: str,
) -> None:
    config = Config(node=Node(database_url=database_url, migrate_at_start=False), http=Http(port=0))
    gateway = Gateway(config)
    gateway.stop()
    await asyncio.wait_for(gateway.run(), 30)
