from __future__ import annotations

import asyncio
import time

import asyncpg
import pytest

from gateway.errors import ConfigError, StoreUnavailable
from gateway.store.migrate import migrate
from gateway.store.partitions import ensure_partitions, name_of
from gateway.store.postgres import Database
from gateway.store.presence import fetch_applied
from gateway.store.schema import Migration, load_migrations
from gateway.text.style import DefaultAlphabet

FIRST = Migration(1, "first", "CREATE TABLE one (id integer)")
SECOND = Migration(2, "second", "CREATE TABLE two (id integer)")
KNOWN = [str(migration) for migration in load_migrations()]


async def fetchval(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_an_empty_database_gets_every_migration_once(empty_database_url: str) -> None:
    assert await migrate(empty_database_url) == KNOWN
    assert await migrate(empty_database_url) == []


async def test_nodes_that_start_together_apply_each_migration_once(
    empty_database_url: str,
) -> None:
    results = await asyncio.gather(*(migrate(empty_database_url) for _ in range(6)))
    assert sorted(results) == [[]] * 5 + [KNOWN]


async def test_only_what_is_missing_is_applied(empty_database_url: str) -> None:
    assert await migrate(empty_database_url, [FIRST]) == ["0001_first"]
    assert await migrate(empty_database_url, [FIRST, SECOND]) == ["0002_second"]


async def test_alphabets_of_an_older_schema_are_spelled_as_now(empty_database_url: str) -> None:
    known = load_migrations()
    names = [each.name for each in known]
    await migrate(empty_database_url, known[: names.index("smpp_alphabets")])
    connection = await asyncpg.connect(empty_database_url)
    try:
        for number, alphabet in enumerate(("gsm7", "latin1", "ascii", "utf8")):
            await connection.execute(
                "WITH a AS (INSERT INTO accounts (name, currency) VALUES ($1, 'EUR') RETURNING id)"
                " INSERT INTO smpp_accounts (account_id, system_id, password, alphabet)"
                " SELECT id, $1, '', $2 FROM a",
                f"shop{number}",
                alphabet,
            )
        await migrate(connection)
        rows = await connection.fetch("SELECT * FROM smpp_accounts ORDER BY system_id")
    finally:
        await connection.close()
    assert [row["alphabet"] for row in rows] == [each.value for each in DefaultAlphabet]
    assert {row["ia5_alphabet"] for row in rows} == {"ascii"}


async def test_days_from_before_the_index_of_rare_statuses_get_it_as_those_after_have_it(
    empty_database_url: str,
) -> None:
    known = load_migrations()
    names = [each.name for each in known]
    await migrate(empty_database_url, known[: names.index("events_by_rare_status")])
    database = await Database.open(empty_database_url, connections=1)
    try:
        now = time.time()
        days = await ensure_partitions(database, now, days_ahead=0)
        await migrate(empty_database_url)
        days += await ensure_partitions(database, now, days_ahead=1)
        rows = await database.pool.fetch(
            "SELECT i.indrelid::regclass::text, i.indisvalid, h.inhparent IS NOT NULL"
            " FROM pg_index i LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid"
            " WHERE pg_get_indexdef(i.indexrelid) LIKE '%message_id) INCLUDE (at, carrier_id)%'"
            " AND i.indrelid <> 'events'::regclass ORDER BY 1"
        )
    finally:
        await database.close()
    assert [tuple(row) for row in rows] == [(name_of("events", day), True, True) for day in days]


async def test_an_open_connection_can_be_migrated_and_stays_open(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    try:
        assert await fetch_applied(connection) == []
        await migrate(connection, [FIRST, SECOND])
        assert [row.version for row in await fetch_applied(connection)] == [1, 2]
    finally:
        await connection.close()


async def test_a_database_newer_than_the_code_is_refused(empty_database_url: str) -> None:
    await migrate(empty_database_url, [FIRST, SECOND])
    with pytest.raises(ConfigError, match=r"newer than this gateway.*0002_second"):
        await migrate(empty_database_url, [FIRST])


async def test_a_migration_changed_after_it_was_applied_is_refused(
    empty_database_url: str,
) -> None:
    await migrate(empty_database_url, [FIRST])
    changed = Migration(1, "first", FIRST.sql + " -- changed")
    with pytest.raises(ConfigError, match="0001_first was changed"):
        await migrate(empty_database_url, [changed, SECOND])
    assert await fetchval(empty_database_url, "SELECT to_regclass('two')::text") is None


async def test_a_migration_that_fails_leaves_nothing_of_itself(empty_database_url: str) -> None:
    broken = Migration(2, "broken", "CREATE TABLE half (id integer); CREATE TABLE one (id text)")
    with pytest.raises(ConfigError, match=r"0002_broken failed: .*already exists"):
        await migrate(empty_database_url, [FIRST, broken])
    assert await fetchval(empty_database_url, "SELECT to_regclass('half')::text") is None
    assert await migrate(empty_database_url, [FIRST, SECOND]) == ["0002_second"]


async def test_a_cut_connection_leaves_the_lock_free_and_the_schema_whole(
    empty_database_url: str, server_url: str
) -> None:
    slow = Migration(1, "slow", "CREATE TABLE slow (id integer); SELECT pg_sleep(30)")
    running = asyncio.create_task(migrate(empty_database_url, [slow]))
    killed = False
    while not killed:
        killed = bool(
            await fetchval(
                server_url,
                "SELECT bool_or(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE query LIKE 'CREATE TABLE slow%'",
            )
        )
    with pytest.raises(StoreUnavailable):
        await running
    assert await migrate(empty_database_url, [FIRST]) == ["0001_first"]
    assert await fetchval(empty_database_url, "SELECT to_regclass('slow')::text") is None


async def test_a_user_without_rights_is_told_what_to_grant(empty_database_url: str) -> None:
    connection = await asyncpg.connect(empty_database_url)
    role = "reader_" + empty_database_url.split("gwt_")[1][:12]
    await connection.execute(f"CREATE ROLE {role}")
    try:
        await connection.execute(f"SET ROLE {role}")
        with pytest.raises(ConfigError, match=r"may not change the schema.*GRANT CREATE"):
            await migrate(connection)
        await connection.execute("RESET ROLE")
    finally:
        await connection.execute(f"DROP ROLE {role}")
        await connection.close()


async def test_a_database_that_does_not_exist_is_a_setting_to_mend(
    empty_database_url: str,
) -> None:
    missing = empty_database_url.replace("/gwt_", "/missing_gwt_")
    with pytest.raises(ConfigError, match="does not exist; create it"):
        await migrate(missing)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailable):
        await migrate("postgresql://nobody@127.0.0.1:1/none")


async def test_a_url_that_is_none_is_a_setting_to_mend() -> None:
    with pytest.raises(ConfigError, match="is not a PostgreSQL URL"):
        await migrate("mysql://localhost/gateway")
