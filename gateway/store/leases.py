"""Nodes and leases in the store: claimed, renewed, ended, taken and given up.

Every statement names the epoch that it speaks for, so that one that comes late changes nothing.
Whoever ends an epoch makes its writers' lines unusable in the same transaction: what is nobody's
is never written for any more (`commit_line.py`).

Not here: who takes what (`gateway/nodes/leases.py`), when (`gateway/nodes/keeper.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from gateway.lease import MARGIN_S, TTL_S
from gateway.nodes.leases import START_TTL_S, Board, Ended, LeaseRow, NodeRow
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Database

_FETCH_NODES = query("fetch_node_leases")
_FETCH_LEASES = query("fetch_leases")
_CLAIM = query("claim_node")
_RENEW = query("renew_node")
_END = query("end_node_lease")
_GIVE_UP_NODE = query("give_up_node")
_FENCE = query("fence_writers")
_KNOW = query("know_leases")
_TAKE = query("take_leases")
_GIVE_UP = query("give_up_leases")
_TELL_USABLE = query("tell_usable")

CHANNEL: Final = "gateway_leases"
"""Told when something has become free, or can be used again."""
_NOTIFY: Final = f"NOTIFY {CHANNEL}"

LOCK_KEY: Final = 0x736D73_67  # "smsg"
"""Held by every gateway that runs; alone by those of before there were leases."""

_IS_SERVED = """SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = $1)"""


def name_writers(node: int) -> tuple[str, str]:
    """Return the names under which a node's intake and outcomes are written."""
    return f"intake-{node}", f"outcomes-{node}"


async def is_served(database: Database) -> bool:
    """Whether any gateway runs on this database."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(_IS_SERVED, LOCK_KEY))


async def join_nodes(connection: AnyConnection) -> bool:
    """Keep out gateways that know no other nodes, for as long as the connection lasts; False while
    one of them runs."""
    return bool(await connection.fetchval("SELECT pg_try_advisory_lock_shared($1)", LOCK_KEY))


async def fetch_nodes(connection: AnyConnection) -> list[NodeRow]:
    return [NodeRow(**row) for row in await connection.fetch(_FETCH_NODES)]


async def fetch_board(connection: AnyConnection) -> Board:
    """Return all nodes and leases; an epoch that ends in between is seen as ended."""
    leases = [LeaseRow(**row) for row in await connection.fetch(_FETCH_LEASES)]
    nodes = await fetch_nodes(connection)
    return Board({each.node: each for each in nodes}, {each.name: each for each in leases})


async def claim_node(connection: AnyConnection, last: Ended, process: str, place: str) -> int:
    """Claim a number after its last epoch; return the new one, 0 when somebody was faster."""
    async with connection.transaction():
        epoch = await connection.fetchval(
            _CLAIM, last.node, last.epoch, START_TTL_S, last.gone, process, place, MARGIN_S
        )
        if epoch:
            await _fence(connection, last.node)
    return int(epoch or 0)


async def renew_node(connection: AnyConnection, node: int, epoch: int, *, ready: bool) -> bool:
    """Renew a node's claim; False when its epoch has ended."""
    return await connection.fetchval(_RENEW, node, epoch, TTL_S, ready) is not None


async def end_node(connection: AnyConnection, ended: Ended) -> bool:
    """End an epoch that expired or whose process is gone; False when it did neither after all."""
    async with connection.transaction():
        found = await connection.fetchval(_END, ended.node, ended.epoch, ended.gone, MARGIN_S)
        if found is None:
            return False
        await _fence(connection, ended.node)
    return True


async def give_up_node(connection: AnyConnection, node: int, epoch: int) -> None:
    """End one's own epoch, and with it whatever leases it has."""
    async with connection.transaction():
        if (await connection.execute(_GIVE_UP_NODE, node, epoch)).endswith(" 1"):
            await _fence(connection, node)


async def _fence(connection: AnyConnection, node: int) -> None:
    """Have nothing more written by an epoch that ends here; waits for what it has running."""
    await connection.execute(_FENCE, list(name_writers(node)))
    await connection.execute(_NOTIFY)


async def know_leases(connection: AnyConnection, names: Iterable[str]) -> None:
    """Have leases of these names."""
    await connection.execute(_KNOW, sorted(names))


async def take_leases(
    connection: AnyConnection, names: Iterable[str], node: int, epoch: int
) -> dict[str, float]:
    """Take what of these is nobody's; return for how long nothing was sent under each."""
    rows = await connection.fetch(_TAKE, sorted(names), node, epoch)
    return {row["name"]: row["quiet_s"] for row in rows}


async def give_up_leases(
    connection: AnyConnection, names: Iterable[str], node: int, epoch: int
) -> None:
    async with connection.transaction():
        await connection.execute(_GIVE_UP, sorted(names), node, epoch)
        await connection.execute(_NOTIFY)


async def tell_usable(
    connection: AnyConnection, usable: Mapping[str, bool], node: int, epoch: int
) -> None:
    """Say of one's leases whether their carriers can be used."""
    async with connection.transaction():
        await connection.execute(_TELL_USABLE, list(usable), list(usable.values()), node, epoch)
        await connection.execute(_NOTIFY)
