"""Nodes that start together agree on the settings that hold."""

from __future__ import annotations

import asyncio

from gateway.config_file import build_config
from gateway.live.settings import Given, begin_settings
from gateway.store.postgres import Database
from gateway.store.settings import list_versions


async def test_nodes_that_start_together_with_their_files_all_start(database: Database) -> None:
    files = [{"messages": {"retention_days": days}} for days in (30, 30, 40)]
    begun = await asyncio.gather(
        *(
            begin_settings(database, Given(tree, "gateway.toml", "test"), build_config(tree))
            for tree in files
        )
    )
    assert [config.messages.retention_days for config, _ in begun] == [30, 30, 40]
    stored = {info.version for info in await list_versions(database)}
    assert {version for _, version in begun} <= stored
    assert len(stored) in (2, 3)
