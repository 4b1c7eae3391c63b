"""Nodes' shares of accounts' ceilings.

Not here: how large they are (`gateway/nodes/portions.py`), when they change (`nodes/shares.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from gateway.model import AccountId
from gateway.nodes.portions import Part
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

LOCK_KEY: Final = 0x73686172  # "shar"

_FETCH = query("fetch_ceiling_shares")
_SAVE = query("save_ceiling_shares")

Parts = dict[AccountId, dict[int, Part]]
"""By account and node."""


async def lock_shares(connection: AnyConnection) -> None:
    """Let one node at a time change shares, until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)


async def fetch_shares(
    connection: AnyConnection, account_ids: Collection[AccountId], node: int
) -> Parts:
    """Return the parts of all live claims: of these accounts, and of those that others need."""
    parts: Parts = {}
    for row in await connection.fetch(_FETCH, list(account_ids), node):
        of_account = parts.setdefault(AccountId(row["account_id"]), {})
        of_account[row["node"]] = Part(row["share"], row["need"])
    return parts


async def save_shares(
    connection: AnyConnection, node: int, epoch: int, parts: Mapping[AccountId, Part]
) -> None:
    """Note what a node has and needs now."""
    account_ids: Iterable[AccountId] = sorted(parts)
    await connection.execute(
        _SAVE,
        node,
        epoch,
        list(account_ids),
        [parts[each].share for each in account_ids],
        [parts[each].need for each in account_ids],
    )
