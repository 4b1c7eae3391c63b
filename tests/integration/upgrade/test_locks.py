"""Migrations beside transactions that are open: who waits for whom, how long, and what is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gateway.errors import ConfigError, NotTheOwner, StoreUnavailable
from gateway.model import Account, MessageId
from gateway.store import locks
from gateway.store import migrate as migrating
from gateway.store.leases import LOCK_KEY
from gateway.store.migrate import migrate
from gateway.store.partitions import fetch_days, name_of
from gateway.store.plan import make_plan
from gateway.store.postgres import Database
from gateway.store.presence import connect_node, fetch_applied
from gateway.store.schema import Migration, load_migrations

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]

KNOWN = load_migrations()
CODE = len(KNOWN)
"""Of the release before; the next one has one migration more."""


def following(sql: str, *header: str, oldest_code: int = CODE) -> Migration:
    lines = [f"-- {line}" for line in (f"oldest_code: {oldest_code}", *header)]
    return Migration(CODE + 1, "next", "\n".join([*lines, sql]))


COLUMN = following("ALTER TABLE messages ADD COLUMN note text NOT NULL DEFAULT ''")
INDEX = following("CREATE INDEX CONCURRENTLY messages_by_ref ON messages (account_id, client_ref)")
STOP = following("DROP TABLE needed_texts", "stop_first: a test", oldest_code=CODE + 1)


@asynccontextmanager
async def transaction(url: str, *statements: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Leave one open that has done these."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement)
            yield connection
    finally:
        await connection.close()


async def wait_for(url: str, condition: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(30):
            while not await connection.fetchval(f"SELECT EXISTS ({condition})"):
                await asyncio.sleep(0.01)
    finally:
        await connection.close()


async def terminate_migration(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'gateway migrate'"
    )
    await connection.close()


WAITS_FOR_A_LOCK = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND application_name = 'gateway migrate'"
)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "OLDER_WAIT_S", 0.3)
    monkeypatch.setattr(migrating, "LOCK_WAIT_S", 0.3)


async def test_writers_pass_while_a_migration_waits_for_one_that_is_slow(
    database_url: str, database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    shop = await make_account()
    longest_s = 0.0
    async with transaction(database_url, "DELETE FROM messages WHERE false"):
        running = asyncio.create_task(migrate(database_url, [*KNOWN, COLUMN]))
        await wait_for(database_url, WAITS_FOR_A_LOCK)
        for _ in range(20):
            began = time.monotonic()
            await put_message(shop)
            longest_s = max(longest_s, time.monotonic() - began)
        assert not running.done()
    assert longest_s < 2, "a writer waited behind the migration for as long as that waited"
    assert await running == [str(COLUMN)]
    await put_message(shop, note="a column of the new code")


async def test_a_migration_that_gets_no_lock_says_who_stands_in_the_way(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 2)
    monkeypatch.setattr(locks, "PAUSE_S", 0.05)
    async with transaction(database_url, "LOCK TABLE messages IN ACCESS SHARE MODE") as holder:
        pid = holder.get_server_pid()
        with pytest.raises(StoreUnavailable, match=rf"_next did not get its locks.*session {pid}"):
            await migrate(database_url, [*KNOWN, COLUMN])
    assert await migrate(database_url, [*KNOWN, COLUMN]) == [str(COLUMN)]


async def test_a_migration_that_would_stop_writers_for_long_is_given_up(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TRIES", 1)
    monkeypatch.setattr(migrating, "BLOCK_MAX_S", 0.2)
    slow = following("ALTER TABLE messages ADD COLUMN a int; SELECT pg_sleep(30)")
    with pytest.raises(StoreUnavailable, match="did not get its locks"):
        await migrate(database_url, [*KNOWN, slow])
    assert await migrate(database_url, [*KNOWN, COLUMN]) == [str(COLUMN)]


async def test_a_statement_from_before_a_migration_may_be_repeated(
    database_url: str, database: Database
) -> None:
    """Outside a transaction asyncpg repeats it by itself; inside one it can't."""

    async def look() -> None:
        async with database.acquire() as connection, connection.transaction():
            await connection.fetch("SELECT * FROM messages")

    await look()
    await migrate(database_url, [*KNOWN, COLUMN])
    with pytest.raises(StoreUnavailable):
        await look()
    await look()


# ── indexes ──────────────────────────────────────────────────────────────────────────────────


async def fetch_indexes(database: Database) -> dict[str, bool]:
    """Whether each index of that name, and those attached to it, can be used."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
            " WHERE indexrelid::regclass::text LIKE '%messages_by_ref%'"
        )
        return dict(rows)  # type: ignore[arg-type]


async def partitions_of(database: Database) -> list[str]:
    async with database.acquire() as connection:
        return [name_of("messages", day) for day in await fetch_days(connection)]


async def test_an_index_is_built_on_every_partition_while_others_write(
    database_url: str, database: Database, make_account: MakeAccount, put_message: PutMessage
) -> None:
    shop = await make_account()
    async with transaction(database_url, "DELETE FROM messages WHERE false"):
        running = asyncio.create_task(migrate(database_url, [*KNOWN, INDEX]))
        await wait_for(database_url, WAITS_FOR_A_LOCK)
        for number in range(20):
            await put_message(shop, client_ref=f"r{number}")
        assert not running.done()
    assert await running == [str(INDEX)]
    built = await fetch_indexes(database)
    partitions = await partitions_of(database)
    assert built == {"messages_by_ref": True} | {f"{p}_messages_by_ref": True for p in partitions}


async def test_an_index_whose_build_was_cut_off_is_built_anew(
    database_url: str, database: Database
) -> None:
    last = (await partitions_of(database))[-1]
    async with transaction(database_url, f"LOCK {last} IN ROW EXCLUSIVE MODE"):
        running = asyncio.create_task(migrate(database_url, [*KNOWN, INDEX]))
        await wait_for(database_url, f"{WAITS_FOR_A_LOCK} AND query LIKE 'CREATE INDEX CONC%'")
        await terminate_migration(database_url)
        with pytest.raises(StoreUnavailable):
            await running
    assert not all((await fetch_indexes(database)).values())
    assert await migrate(database_url, [*KNOWN, INDEX]) == [str(INDEX)]
    built = await fetch_indexes(database)
    assert all(built.values())
    assert len(built) == len(await partitions_of(database)) + 1


async def test_a_unique_index_that_can_not_be_is_refused_and_leaves_nothing(
    database_url: str, database: Database
) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO retired SELECT n, 1, 0, 0 FROM generate_series(1, 2) n"
        )
    unique = following("CREATE UNIQUE INDEX CONCURRENTLY once ON retired (priced_micros)")
    with pytest.raises(ConfigError, match="_next failed: could not create unique index"):
        await migrate(database_url, [*KNOWN, unique])
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT to_regclass('once')") is None
        await connection.execute("UPDATE retired SET priced_micros = account_id")
    assert await migrate(database_url, [*KNOWN, unique]) == [str(unique)]


async def test_nodes_that_start_together_build_an_index_once_and_wait_for_nobody_for_ever(
    database_url: str,
) -> None:
    results = await asyncio.gather(*(migrate(database_url, [*KNOWN, INDEX]) for _ in range(4)))
    assert sorted(results) == [[], [], [], [str(INDEX)]]


# ── which code runs ──────────────────────────────────────────────────────────────────────────


async def test_a_newer_schema_that_older_code_may_run_on_keeps_it_running(
    database_url: str,
) -> None:
    older = await connect_node(database_url, "owner", CODE)
    try:
        assert await migrate(database_url, [*KNOWN, COLUMN]) == [str(COLUMN)]
        assert (await fetch_applied(older))[-1].oldest_code == CODE
    finally:
        await older.close()
    assert await migrate(database_url, KNOWN) == [], "older code starts on it, too"
    again = await connect_node(database_url, "owner", CODE)
    await again.close()


async def test_a_migration_that_older_code_can_not_outlive_waits_until_that_has_ended(
    database_url: str,
) -> None:
    older = await connect_node(database_url, "owner", CODE)
    running = asyncio.create_task(migrate(database_url, [*KNOWN, STOP]))
    await asyncio.sleep(0.3)
    assert not running.done()
    await older.close()
    assert await running == [str(STOP)]
    with pytest.raises(ConfigError, match=rf"asks for code that knows migration {CODE + 1:04}"):
        await migrate(database_url, KNOWN)
    with pytest.raises(ConfigError, match="install the newer gateway"):
        await connect_node(database_url, "owner", CODE)


@pytest.mark.usefixtures("quick")
async def test_it_is_not_applied_while_older_code_runs_and_names_that(
    database_url: str,
) -> None:
    older = await connect_node(database_url, "owner", CODE)
    newer = await connect_node(database_url, "owner", CODE + 1)
    pid = older.get_server_pid()
    try:
        with pytest.raises(NotTheOwner, match=rf"code {CODE} on .*session {pid}\); stop them"):
            await migrate(database_url, [*KNOWN, STOP])
    finally:
        await older.close()
    assert await migrate(database_url, [*KNOWN, STOP]) == [str(STOP)], "newer code may run"
    await newer.close()


@pytest.mark.usefixtures("quick")
async def test_gateways_of_before_codes_had_numbers_are_seen_as_well(database_url: str) -> None:
    older = await asyncpg.connect(database_url)
    await older.execute(f"SELECT pg_advisory_lock_shared({LOCK_KEY})")
    with pytest.raises(NotTheOwner, match="code without a number"):
        await migrate(database_url, [*KNOWN, STOP])
    await older.close()
    assert await migrate(database_url, [*KNOWN, STOP]) == [str(STOP)]


async def test_older_code_does_not_start_while_such_a_migration_is_applied(
    database_url: str,
) -> None:
    slow = following("SELECT pg_sleep(30)", "stop_first: a test", oldest_code=CODE + 1)
    running = asyncio.create_task(migrate(database_url, [*KNOWN, slow]))
    await wait_for(
        database_url,
        "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(30)' AND"
        " datname = current_database() AND pid <> pg_backend_pid()",
    )
    with pytest.raises(StoreUnavailable, match="the schema is being changed"):
        await connect_node(database_url, "owner", CODE)
    newer = await connect_node(database_url, "owner", CODE + 1)
    await newer.close()
    await terminate_migration(database_url)
    with pytest.raises(StoreUnavailable):
        await running


@pytest.mark.usefixtures("quick")
async def test_a_node_does_not_wait_for_ever_while_another_migrates(database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    await other.execute(f"SELECT pg_advisory_lock({migrating.MIGRATING_LOCK})")
    with pytest.raises(StoreUnavailable, match="another node has been migrating"):
        await migrate(database_url, [*KNOWN, COLUMN])
    assert await migrate(database_url, KNOWN) == [], "with nothing to do it does not wait at all"
    await other.close()


async def test_a_plan_says_what_would_wait_and_changes_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.plan.load_migrations", lambda: [*KNOWN, COLUMN])
    plan = await make_plan(database_url)
    assert (plan.code, plan.schema) == (CODE + 1, CODE)
    (step,) = plan.steps
    assert (step.migration, step.locks, step.oldest_code) == (str(COLUMN), ["messages"], CODE)
    assert (step.builds_index_on, step.waits_for) == (None, [])
    older = await connect_node(database_url, "owner", CODE)
    monkeypatch.setattr("gateway.store.plan.load_migrations", lambda: [*KNOWN, STOP])
    (step,) = (await make_plan(database_url)).steps
    assert f"code {CODE} on" in step.waits_for[0]
    await older.close()
    assert await migrate(database_url, [*KNOWN, INDEX]) == [str(INDEX)]
