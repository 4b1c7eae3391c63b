"""One node's claim of its number, and the connection by which it is renewed and others are heard.

Not here: what the node has by it (`keeper.py`), until when it may use that (`gateway/lease.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gateway.errors import NotTheOwner
from gateway.lease import Lease
from gateway.logs import get_logger
from gateway.nodes.leases import choose_number
from gateway.processes import is_gone, name_place, name_process
from gateway.store import leases as store

if TYPE_CHECKING:
    from gateway.store.postgres import Connection

log = get_logger("nodes")

TAKE_TIMEOUT_S: Final = 10.0
"""How long a start waits for a gateway of before there were nodes, on its way out."""
LOOK_S: Final = 0.1
GIVE_UP_TIMEOUT_S: Final = 3.0

Hear = Callable[[str], None]
"""Told what a notification carries; "" when some may have been missed."""


class Claim:
    """A number, the epoch that began when it was claimed, and until when that may be used."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]]) -> None:
        self._connect = connect
        self._connection: Connection | None = None
        self._hearers: list[tuple[str, Hear]] = []
        self._listening = False
        self._process = name_process()
        self.lease = Lease()
        self.node = 0
        self.epoch = 0

    @property
    def away(self) -> bool:
        """Whether the database did not answer when it was last asked."""
        return self._connection is None

    def hear(self, channel: str, hear: Hear) -> None:
        """Be told of a channel's notifications, from `listen` on."""
        assert not self._listening, "it listens already"
        self._hearers.append((channel, hear))

    async def take(self, timeout_s: float) -> None:
        """Get a number; raises NotTheOwner when a gateway without nodes keeps all to itself."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        connection = self._connection = await self._connect()
        while not await store.join_nodes(connection):
            if loop.time() >= deadline:
                await self.close()
                raise NotTheOwner("an older gateway runs on this database")
            await asyncio.sleep(LOOK_S)
        while not self.epoch:
            try:
                last = choose_number(await store.fetch_nodes(connection), is_gone)
            except ValueError as error:
                await self.close()
                raise NotTheOwner(str(error)) from None
            asked_at = time.monotonic()
            self.epoch = await store.claim_node(connection, last, self._process, name_place())
            self.node = last.node
        self.lease.renewed(asked_at)
        log.info("node_claimed", node=self.node, epoch=self.epoch)

    async def renew(self, *, ready: bool) -> None:
        """Renew it; raises NotTheOwner when another node has ended it."""
        connection = await self.connected()
        asked_at = time.monotonic()
        if not await store.renew_node(connection, self.node, self.epoch, ready=ready):
            self.lease.lost()
            raise NotTheOwner(
                "another gateway has taken over, as this one's claim was not renewed in time"
            )
        self.lease.renewed(asked_at)

    async def listen(self) -> None:
        """Hear what is told from now on, over lost connections too."""
        self._listening = True
        connection = await self.connected()
        for channel, hear in self._hearers:
            await connection.add_listener(channel, _pass_on(hear))
        for _, hear in self._hearers:
            hear("")

    async def connected(self) -> Connection:
        """Return the connection, a new one where it was lost."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._connection = None
        connection = await self._connect()
        try:
            if not await store.join_nodes(connection):
                raise NotTheOwner("an older gateway has begun to run on this database")
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        if self._listening:
            await self.listen()
        return connection

    def drop(self) -> None:
        """Let go of a connection that does not answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def give_up(self) -> None:
        """End it, so that nobody waits for its end; nothing may be in use any more."""
        self.lease.lost()
        if self.epoch and self._connection is not None and not self._connection.is_closed():
            with suppress(Exception):  # then it ends by itself
                async with asyncio.timeout(GIVE_UP_TIMEOUT_S):
                    await store.give_up_node(self._connection, self.node, self.epoch)
        await self.close()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            await connection.close(timeout=2.0)


def _pass_on(hear: Hear) -> Callable[..., None]:
    return lambda connection, pid, channel, payload: hear(payload)
