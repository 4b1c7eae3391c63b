"""Which node carries an account's deliveries up: the one that has the lease of its receivers.

A customer may be bound to several nodes. Its deliveries go up through one of them, so that each is
under way once and they leave in order; the binds elsewhere stand by. The lease is taken when the
first receiver binds, and given up after the last one left, once all that was answered is gone from
the store. With the node it ends by itself.

Not here: the deliveries (`gateway/upstream/postman.py`), the rows (`store/leases.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from gateway.errors import StoreUnavailable
from gateway.logs import get_logger
from gateway.model import AccountId
from gateway.nodes.place import Place
from gateway.store.leases import CHANNEL, give_up_leases, know_leases, take_leases
from gateway.store.postgres import Database

LOOK_S = 1.0
"""How often a lease is asked for that another node has: it may have ended without a word."""
RECEIVERS: Final = "receivers:"

log = get_logger("nodes")


class Receivers:
    """The accounts whose deliveries this node carries, or would."""

    def __init__(self, database: Database, place: Place) -> None:
        self._database = database
        self._place = place
        self._wanted: set[AccountId] = set()
        self._held: set[AccountId] = set()
        self._woken = asyncio.Event()
        self._gained: Callable[[AccountId], None] = lambda account_id: None
        self._settle: Callable[[], Awaitable[None]] | None = None
        place.hear(CHANNEL, self._hear)

    def join(
        self, gained: Callable[[AccountId], None], settle: Callable[[], Awaitable[None]]
    ) -> None:
        """`gained` hears of each lease that was taken and is wanted; `settle` returns once what was
        answered is gone from the store."""
        self._gained, self._settle = gained, settle

    @property
    def alone(self) -> bool:
        return self._place.alone

    @property
    def valid(self) -> bool:
        """Whether what was taken is still this node's: no other one can have it by now."""
        return self._place.valid

    def want(self, account_id: AccountId) -> bool:
        """Ask for an account's lease; True when it is here already, else `gained` will hear."""
        self._wanted.add(account_id)
        if account_id in self._held:
            return True
        self._woken.set()
        return False

    def release(self, account_id: AccountId) -> None:
        """Give an account's lease up, soon."""
        self._wanted.discard(account_id)
        self._woken.set()

    async def run(self) -> None:
        """Take and give up, until cancelled."""
        while True:
            await self._wait()
            try:
                await self._give_up()
                await self._take()
            except StoreUnavailable as error:
                log.warning("receivers_not_leased", error=str(error))
                await asyncio.sleep(LOOK_S)
                self._woken.set()

    async def _wait(self) -> None:
        if self._wanted <= self._held:
            await self._woken.wait()
        else:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._woken.wait()
        self._woken.clear()

    async def _take(self) -> None:
        names = _names(self._wanted - self._held)
        if not names:
            return
        async with self._database.acquire() as connection:
            await know_leases(connection, names)
            taken = await take_leases(connection, names, self._place.node, self._place.epoch)
        for account_id in map(_account_of, taken):
            self._held.add(account_id)
            if account_id in self._wanted:
                self._gained(account_id)

    async def _give_up(self) -> None:
        if self._held <= self._wanted:
            return
        if self._settle is not None:
            await self._settle()
        unwanted = self._held - self._wanted  # a customer may have come back meanwhile
        if not unwanted:
            return
        self._held -= unwanted
        async with self._database.acquire() as connection:
            await give_up_leases(connection, _names(unwanted), self._place.node, self._place.epoch)

    def _hear(self, payload: str) -> None:
        if not self._wanted <= self._held:
            self._woken.set()


def _names(account_ids: Iterable[AccountId]) -> list[str]:
    return [f"{RECEIVERS}{account_id}" for account_id in sorted(account_ids)]


def _account_of(name: str) -> AccountId:
    return AccountId(int(name.removeprefix(RECEIVERS)))
