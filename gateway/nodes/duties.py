"""What one node does for all of them: under which lease, and only while it has that.

A duty changes hands when its node stops or dies, and for a moment two nodes may believe that they
have it. So whatever is done here claims the rows that it changes, or does no harm twice.

Not here: who has which lease (`keeper.py`), what every node does for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from gateway.logs import get_logger
from gateway.periodic import attempt

HOUSEKEEPING: Final = "duty:housekeeping"
"""Partitions, retention, what never got a receipt, erasing, gauges of what all nodes share."""
BOOKS: Final = "duty:books"
"""Usage counted up, low balances told."""
WEBHOOKS: Final = "duty:webhooks"
"""Sent by one, because events of one address arrive in order."""
EMAILS: Final = "duty:emails"
"""Sent by one, because the mail server's rate is the rate of all."""
DUTIES: Final = (HOUSEKEEPING, BOOKS, WEBHOOKS, EMAILS)

LOOK_S = 0.25
"""How late a sender learns that its duty has come or gone."""
LET_GO_LOOK_S = 0.02
HAND_OVER_S = 5.0
"""How long calls that are under way may still take when a duty goes."""

Owns = Callable[[str], bool]
"""Says whether a lease is this node's."""

log = get_logger("nodes")


def owns_all(name: str) -> bool:
    """Stand for the leases of a node that shares with nobody."""
    return True


async def repeat_while_owned(
    owns: Owns, lease: str, name: str, every_s: float, duty: Callable[[], Awaitable[None]]
) -> None:
    """Do a duty again and again while its lease is this node's, until cancelled; at once when that
    comes."""
    while True:
        if owns(lease):
            await attempt(name, duty)
            await asyncio.sleep(every_s)
        else:
            await asyncio.sleep(LOOK_S)


class Sender(Protocol):
    """Claims what is due from the store and carries it away; `run` is called once."""

    def wake(self) -> None: ...

    async def run(self) -> None: ...

    async def stop(self, timeout_s: float) -> None: ...


class SentByOne:
    """A sender that there is while this node has its duty; a `Sender` itself."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Sender],
        holds: Owns = owns_all,
        ring: Callable[[str], None] = lambda name: None,
    ) -> None:
        """`holds` says whether the lease was taken and not given up: a database that is away for
        a while is no reason to forget what was sent and is not recorded yet. `ring` wakes whoever
        has the duty at another node. Raises what `make` raises: wrong settings are told at the
        start, whoever has the duty then."""
        self._name = name
        self._make = make
        self._next: Sender | None = make()
        self._holds = holds
        self._ring = ring
        self._sender: Sender | None = None
        self._stopping = False
        self._stop_timeout_s = HAND_OVER_S
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()

    @property
    def sending(self) -> bool:
        return self._sender is not None

    def wake(self) -> None:
        """Say that there is something to send, here or elsewhere."""
        if self._sender is not None:
            self._sender.wake()
        else:
            self._ring(self._name)

    def wake_here(self) -> None:
        """Take it from another node that there is something to send."""
        if self._sender is not None:
            self._sender.wake()

    async def run(self) -> None:
        """Send whenever it is this node's duty, until `stop`."""
        self._finished.clear()
        try:
            while not self._stopping:
                if self._holds(self._name):
                    await self._send()
                else:
                    await self._pause()
        finally:
            self._finished.set()

    async def stop(self, timeout_s: float) -> None:
        """Send nothing more; what is under way may take `timeout_s`."""
        self._stopping = True
        self._stop_timeout_s = timeout_s
        self._changed.set()
        await self._finished.wait()

    async def let_go(self) -> None:
        """Return once nothing is sent any more, as the duty is about to be another node's."""
        while self._sender is not None:
            self._changed.set()
            await asyncio.sleep(LET_GO_LOOK_S)

    async def _send(self) -> None:
        sender = self._sender = self._next or self._make()
        self._next = None
        log.info("duty_begun", duty=self._name)
        try:
            async with asyncio.TaskGroup() as group:
                running = group.create_task(sender.run(), name=self._name)
                while not self._stopping and not running.done() and self._holds(self._name):
                    await self._pause()
                await sender.stop(self._stop_timeout_s)
        finally:
            self._sender = None
            log.info("duty_ended", duty=self._name)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._changed.wait()
        self._changed.clear()
