"""Settings as they were applied, one version after another, and the nodes that run them.

What stands in a version is the file's tree, with references to secrets in the place of secrets.
Not here: comparing two of them, and making one so (`gateway/live/`).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.errors import Rejected
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
from gateway.store.schema import name_code
from gateway.views import CarrierView

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

CHANNEL = "gateway_live"
"""Nodes listen here for new settings and drained carriers, and look by themselves now and then."""
VERSIONS_KEPT = 100
NODE_GONE_S = 10.0
"""A node that was not seen for so long does not run; it says that it does every other second."""

_LOCK = query("lock_settings")
_FETCH = query("fetch_settings")
_VERSIONS = query("fetch_settings_versions")
_INSERT = query("insert_settings")
_FORGET = query("forget_settings")
_REFUSAL = query("fetch_refusal")
_REFUSE = query("refuse_settings")
_BEGIN_NODE = query("begin_node")
_BEAT_NODE = query("beat_node")
_END_NODE = query("end_node")
_NODES = query("fetch_nodes")


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """One version of the settings."""

    version: int
    applied_at: datetime.datetime
    author: str
    source: str
    tree: dict[str, Any]
    written_by: str | None = None
    """The code that has (`schema.name_code`); None: it did not say."""


class VersionInfo(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    applied_at: datetime.datetime
    author: str
    source: str
    refused: str = ""
    """Why a node could not use it."""


class FullQueue(msgspec.Struct, frozen=True):
    """A carrier's lane that has as many messages as it may."""

    carrier_id: int
    lane: int
    wait_s: float
    """Until it has room for one more."""


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says of itself."""

    carriers: list[CarrierView] = []
    under_way: list[str] = []
    """What of its settings is not so yet, in words."""
    follows: bool = True
    """Whether it makes so what is applied: not with simulated carriers."""
    at_start: list[str] = []
    """Keys whose new values wait for its next start."""
    pages: str = ""
    """Where it alone says how it is, as host:port; "" where it shares no port."""
    binds: dict[int, int] = {}
    """By account: its customers' binds."""
    open: dict[int, int] = {}
    """By account with a ceiling for it: messages that came, less those that ended, since the node's
    start."""
    full: list[FullQueue] = []


class NodeInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A node that runs."""

    node: int
    started_at: datetime.datetime
    version: int
    """Of the settings that it runs; 0 when they are none that were stored."""
    report: NodeReport


@unavailable_as_503()
async def fetch_settings(database: Database, version: int | None = None) -> Applied | None:
    """Return the version that holds, or a given one unless a node has refused it."""
    async with database.acquire() as connection:
        return await _fetch(connection, version)


@unavailable_as_503()
async def apply_settings(
    database: Database, tree: Mapping[str, Any], *, base: int, author: str, source: str
) -> int:
    """Store settings as the version that holds, tell the nodes, and return its number.

    `base` is the version that they were compared with, 0 for none; raises Rejected when another
    one holds by now.
    """
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(_LOCK)
        held = await _fetch(connection)
        if (held.version if held else 0) != base:
            assert held is not None
            raise Rejected(
                "settings_changed",
                f"{held.author} has applied version {held.version} meanwhile: look again",
                status=409,
            )
        version: int = await connection.fetchval(
            _INSERT, author, source, msgspec.json.encode(tree).decode(), name_code()
        )
        await connection.execute(_FORGET, VERSIONS_KEPT)
        await notify_nodes(connection)
    return version


@unavailable_as_503()
async def refuse_settings(database: Database, version: int, reason: str) -> None:
    """Note that a node can't use a version: the one before it holds again."""
    async with database.acquire() as connection:
        await connection.execute(_REFUSE, version, reason)
        await notify_nodes(connection)


@unavailable_as_503()
async def fetch_refusal(database: Database, version: int) -> str:
    """Return why a node can't use a version; "" when none has refused it."""
    async with database.acquire() as connection:
        return await connection.fetchval(_REFUSAL, version) or ""


@unavailable_as_503()
async def list_versions(database: Database, limit: int = VERSIONS_KEPT) -> list[VersionInfo]:
    """Return the versions that are kept, the newest first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_VERSIONS, limit)
    return [VersionInfo(**{**row, "refused": row["refused"] or ""}) for row in rows]


@unavailable_as_503()
async def list_nodes(database: Database) -> list[NodeInfo]:
    """Return the nodes that run."""
    async with database.acquire() as connection:
        return await fetch_nodes(connection, NODE_GONE_S)


async def fetch_nodes(connection: AnyConnection, seen_s: float) -> list[NodeInfo]:
    """Return the nodes that said something in the last `seen_s`."""
    return [
        NodeInfo(
            node=row["node"],
            started_at=row["started_at"],
            version=row["version"],
            report=msgspec.json.decode(row["report"], type=NodeReport),
        )
        for row in await connection.fetch(_NODES, seen_s)
    ]


async def begin_node(connection: AnyConnection, node: int, version: int) -> None:
    """Say that a node has started."""
    await connection.execute(_BEGIN_NODE, node, version)


async def beat_node(
    connection: AnyConnection, node: int, version: int, report: NodeReport
) -> int | None:
    """Say that a node runs, and how; return the version that holds, None to begin anew."""
    held: int | None = await connection.fetchval(
        _BEAT_NODE, node, version, msgspec.json.encode(report).decode()
    )
    return held


async def end_node(connection: AnyConnection, node: int) -> None:
    """Say that a node has stopped."""
    await connection.execute(_END_NODE, node)


async def notify_nodes(connection: AnyConnection) -> None:
    """Have the nodes look for what is new, once the transaction is committed."""
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


async def _fetch(connection: AnyConnection, version: int | None = None) -> Applied | None:
    row = await connection.fetchrow(_FETCH, version)
    if row is None:
        return None
    return Applied(**{**row, "tree": msgspec.json.decode(row["tree"])})
