from __future__ import annotations

import asyncio

import asyncpg
import pytest

from gateway.errors import StoreUnavailable
from gateway.store import postgres
from gateway.store.postgres import Database, connect_single, unavailable_as_503


async def test_every_connection_has_our_session_settings(
    database: Database, database_url: str
) -> None:
    single = await connect_single(database_url, "intake")
    async with database.acquire() as pooled:
        for connection, name in ((single, "gateway intake"), (pooled, "gateway pool")):
            assert await connection.fetchval("SHOW application_name") == name
            assert await connection.fetchval("SHOW jit") == "off"
            assert await connection.fetchval("SHOW timezone") == "UTC"
            assert await connection.fetchval("SHOW statement_timeout") == "15s"
            assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "1min"
    await single.close()


@pytest.mark.parametrize(
    ("of_server", "of_session"),
    [("off", "on"), ("on", "on"), ("local", "local"), ("remote_apply", "remote_apply")],
)
async def test_commits_are_on_disk_whatever_the_server_defaults_to(
    database_url: str, of_server: str, of_session: str
) -> None:
    admin = await asyncpg.connect(database_url)
    name = await admin.fetchval("SELECT current_database()")
    await admin.execute(f"ALTER DATABASE {name} SET synchronous_commit = {of_server}")
    await admin.close()
    single = await connect_single(database_url)
    assert await single.fetchval("SHOW synchronous_commit") == of_session
    await single.close()
    database = await Database.open(database_url, connections=1)
    for _ in range(2):  # the same connection, borrowed again
        async with database.acquire() as connection:
            assert await connection.fetchval("SHOW synchronous_commit") == of_session
    await database.close()


async def test_a_statement_past_its_time_is_the_database_being_away(database: Database) -> None:
    with pytest.raises(StoreUnavailable, match="statement timeout"):
        async with database.acquire() as connection, connection.transaction():
            await connection.execute("SET LOCAL statement_timeout = '10ms'")
            await connection.execute("SELECT pg_sleep(5)")


@pytest.mark.parametrize("noticed", [True, False])
async def test_the_pool_recovers_after_its_connections_were_cut(
    database: Database, database_url: str, noticed: bool
) -> None:
    async with database.acquire() as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
    admin = await asyncpg.connect(database_url)
    with pytest.raises(StoreUnavailable):
        async with database.acquire() as connection:
            await admin.execute("SELECT pg_terminate_backend($1)", pid)
            while noticed and not connection.is_closed():
                await asyncio.sleep(0)
            await connection.execute("SELECT 1")
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT pg_backend_pid()") != pid
    await admin.close()


async def test_a_pool_without_a_free_connection_is_away_after_a_while(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "ACQUIRE_TIMEOUT_S", 0.05)
    database = await Database.open(database_url, connections=1)
    async with database.acquire():
        with pytest.raises(StoreUnavailable):
            async with database.acquire():
                pass
    await database.close()


async def test_an_abandoned_transaction_is_not_passed_on(database_url: str) -> None:
    database = await Database.open(database_url, connections=1)
    async with database.acquire() as connection:
        await connection.execute("BEGIN; INSERT INTO carriers (name) VALUES ('left-behind')")
    async with database.acquire() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT count(*) FROM carriers") == 0
    await database.close()


async def test_closing_cuts_off_what_does_not_end(database: Database) -> None:
    started = asyncio.Event()

    @unavailable_as_503()
    async def sleep_in_the_database() -> None:
        async with database.acquire() as connection:
            started.set()
            await connection.execute("SELECT pg_sleep(60)")

    sleeper = asyncio.create_task(sleep_in_the_database())
    await started.wait()
    await database.close(timeout_s=0.05)
    with pytest.raises(StoreUnavailable):
        await sleeper
    with pytest.raises(StoreUnavailable, match="pool is clos"):
        async with database.acquire():
            pass


async def test_a_server_that_refuses_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await Database.open("postgresql://nobody@127.0.0.1:1/none", connections=1)
    with pytest.raises(StoreUnavailable):
        await connect_single("postgresql://nobody@127.0.0.1:1/none")
