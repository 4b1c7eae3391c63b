"""Every named query is known to the real schema, and asked for by somebody."""

from __future__ import annotations

import re
from pathlib import Path

import asyncpg

import gateway
from gateway.lifecycle import Status
from gateway.store.postgres import Database
from gateway.store.queries import QUERIES
from gateway.store.search import _PAGES, Way


async def test_every_query_is_accepted_by_the_schema(database: Database) -> None:
    refused = {}
    async with database.acquire() as connection:
        for name, sql in QUERIES.items():
            try:
                await connection.prepare(sql)
            except asyncpg.PostgresError as error:
                refused[name] = str(error)
    assert refused == {}


def test_every_query_is_used() -> None:
    sources = Path(gateway.__file__).parent.rglob("*.py")
    used = {
        name
        for source in sources
        for name in re.findall(r'query\("(\w+)"\)', source.read_text(encoding="utf-8"))
    }
    assert used == QUERIES.keys()


async def test_all_pages_of_a_search_have_the_same_columns(database: Database) -> None:
    columns = {}
    async with database.acquire() as connection:
        for way, sql in _PAGES.items():
            statement = await connection.prepare(sql)
            columns[way] = [(each.name, each.type.name) for each in statement.get_attributes()]
    assert columns.keys() == set(Way)
    assert all(each == columns[Way.NEWEST] for each in columns.values()), columns


async def test_the_store_ranks_states_as_the_gateway_does(database: Database) -> None:
    ranks = await database.pool.fetch(
        "SELECT s AS status, status_rank(s) AS rank FROM unnest($1::smallint[]) s", list(Status)
    )
    assert {row["status"]: row["rank"] for row in ranks} == {s.value: s.rank for s in Status}
