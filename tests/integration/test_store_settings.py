"""Versions of the settings, and what nodes say of themselves, in a real PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from gateway.errors import Rejected
from gateway.store.postgres import Database
from gateway.store.settings import (
    CHANNEL,
    VERSIONS_KEPT,
    NodeReport,
    apply_settings,
    beat_node,
    begin_node,
    end_node,
    fetch_refusal,
    fetch_settings,
    list_nodes,
    list_versions,
    refuse_settings,
)

TREE = {"http": {"port": 8_080}, "messages": {"reassembly_s": 2.0}, "carrier": [{"name": "é"}]}


async def apply(database: Database, base: int, tree: dict[str, object] = TREE) -> int:
    version: int = await apply_settings(database, tree, base=base, author="me", source="/etc/x")
    return version


async def test_a_version_is_read_as_it_was_written(database: Database) -> None:
    assert await fetch_settings(database) is None
    assert await apply(database, 0) == 1
    held = await fetch_settings(database)
    assert held is not None
    assert (held.version, held.author, held.source, held.tree) == (1, "me", "/etc/x", TREE)
    assert isinstance(held.tree["messages"]["reassembly_s"], float)


async def test_of_two_who_apply_at_once_one_has_to_look_again(database: Database) -> None:
    outcomes = await asyncio.gather(apply(database, 0), apply(database, 0), return_exceptions=True)
    (refused,) = [each for each in outcomes if isinstance(each, Rejected)]
    assert refused.code == "settings_changed" and "version 1" in refused.detail
    assert len(await list_versions(database)) == 1


async def test_a_refused_version_never_held(database: Database) -> None:
    await apply(database, 0)
    await apply(database, 1, {})
    await refuse_settings(database, 2, "no such file")
    held = await fetch_settings(database)
    assert held is not None and held.version == 1
    assert await fetch_refusal(database, 2) == "no such file"
    assert await fetch_refusal(database, 1) == ""
    assert await apply(database, 1) == 3, "numbers are not used twice"


async def test_old_versions_are_forgotten(database: Database) -> None:
    for version in range(VERSIONS_KEPT + 5):
        await apply(database, version, {})
    versions = [each.version for each in await list_versions(database)]
    assert versions == list(range(VERSIONS_KEPT + 5, 5, -1))


async def test_nodes_are_told(database: Database, other_session: asyncpg.Connection[Any]) -> None:
    heard = asyncio.Event()
    await other_session.add_listener(CHANNEL, lambda *_: heard.set())
    await apply(database, 0)
    await asyncio.wait_for(heard.wait(), 10)


async def test_a_node_says_how_it_is_and_is_gone_when_it_is_silent(database: Database) -> None:
    await apply(database, 0)
    report = NodeReport(under_way=["alpha: leaves"], at_start=["http.port"], follows=False)
    async with database.acquire() as connection:
        assert await beat_node(connection, 7, 0, report) is None, "it has not begun"
        await begin_node(connection, 7, 0)
        assert await beat_node(connection, 7, 0, report) == 1
    (node,) = await list_nodes(database)
    assert (node.node, node.version, node.report) == (7, 0, report)
    async with database.acquire() as connection:
        await connection.execute("UPDATE nodes SET seen_at = now() - interval '11 s'")
    assert await list_nodes(database) == []
    async with database.acquire() as connection:
        await beat_node(connection, 7, 1, report)
        await end_node(connection, 7)
    assert await list_nodes(database) == []


@pytest.mark.parametrize("version", [1, 2])
async def test_a_version_that_is_not_there_is_none(database: Database, version: int) -> None:
    assert await fetch_settings(database, version) is None
