"""Keeps accounts' ceilings over all nodes: each node paces by its share of them.

While there are other nodes, each says twice a second what it needs of the ceilings that it comes up
against. A share that goes down is kept to before it is told, one that goes up only once that is
committed. A node that has no share of an account yet sends nothing of it: it has one within a
second, or at once where it is alone.

Not here: how a ceiling is divided (`portions.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from gateway.model import AccountId
from gateway.nodes.place import Place
from gateway.nodes.portions import Part, choose_share
from gateway.periodic import attempt
from gateway.store.postgres import Database
from gateway.store.shares import fetch_shares, lock_shares, save_shares

LOOK_S = 0.5
NOTHING = Part(0.0, 0.0)


class Shared(Protocol):
    """The ceilings as they are kept here (`gateway/ceilings.py`)."""

    def needs(self, now: float) -> Mapping[AccountId, float]:
        """Return what fraction of each account's ceiling has been needed here lately."""
        ...

    def shares(self) -> Mapping[AccountId, float]:
        """Return the share by which each account is paced."""
        ...

    def set_share(self, account_id: AccountId, share: float, now: float) -> None: ...


class Shares:
    """One node's part in it; `run` lasts as long as the node."""

    def __init__(
        self, database: Database, place: Place, shared: Shared, freed: Callable[[], None]
    ) -> None:
        """`freed` is called when more may leave than before."""
        self._database = database
        self._place = place
        self._shared = shared
        self._freed = freed
        self._told: dict[AccountId, Part] = {}
        self._woken = asyncio.Event()

    def look_soon(self) -> None:
        """Look: accounts have ceilings that had none."""
        self._woken.set()

    async def run(self) -> None:
        """Adjust shares, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
            self._woken.clear()
            await attempt("ceiling_shares", self._look)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        needs = self._shared.needs(now)
        present = self._shared.shares()
        self._told = {key: part for key, part in self._told.items() if key in present}
        if not present:
            return
        new = present.keys() - self._told.keys()
        if self._place.alone and not new and all(share == 1.0 for share in present.values()):
            return
        asked = {
            key for key, need in needs.items() if need or self._told.get(key, NOTHING).need
        } | new
        async with self._database.acquire() as connection, connection.transaction():
            await lock_shares(connection)
            parts = await fetch_shares(connection, asked, self._place.node)
            chosen: dict[AccountId, Part] = {}
            for account_id in (asked | parts.keys()) & present.keys():
                mine = Part(present[account_id], needs.get(account_id, 0.0))
                of_account = parts.get(account_id, {}) | {self._place.node: mine}
                share = choose_share(self._place.node, of_account)
                chosen[account_id] = Part(share, mine.need)
            changed = {k: part for k, part in chosen.items() if part != self._told.get(k)}
            for account_id, part in changed.items():
                if part.share < present[account_id]:
                    self._shared.set_share(account_id, part.share, now)
            if changed:
                await save_shares(connection, self._place.node, self._place.epoch, changed)
        self._told |= changed
        for account_id, part in changed.items():
            if part.share > present[account_id]:
                self._shared.set_share(account_id, part.share, now)
        self._freed()
