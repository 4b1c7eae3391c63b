"""Carries out what was asked to be erased, and waits for what still needs its number or text.

In a running gateway it is a duty of one node: what any node remembers of a message must be let
go of before its row is changed, or a late receipt would bring the number back. Without a gateway
the command does it by itself.

Not here: the rows (`store/erasures.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Protocol

from gateway.dispatch import Dispatcher
from gateway.errors import Rejected
from gateway.logs import get_logger
from gateway.model import AccountId, MessageId
from gateway.nodes.elsewhere import Elsewhere
from gateway.receipts import ReceiptBook
from gateway.store.backlog import Backlog
from gateway.store.erasures import Erasure, Erasures, FoundMessage, Unerased, erasable_of
from gateway.store.outcome_writer import OutcomeWriter

log = get_logger("erasing")

LOOK_AGAIN_S = 30.0
"""How often it is looked whether what an erasure waits for has ended."""


class Memory(Protocol):
    """What is known of messages beside their rows."""

    async def settle(self) -> None:
        """Return once all of it that changes rows is written."""
        ...

    async def forget(self, message_ids: Collection[MessageId]) -> None:
        """Settle, and let go of messages that have ended."""
        ...

    async def withdraw(self, account_id: AccountId, message_id: MessageId) -> None:
        """Cancel a message, if none of it has left."""
        ...


class NoMemory:
    """Where no gateway runs. What is to be withdrawn waits for the next one."""

    async def settle(self) -> None:
        pass

    async def forget(self, message_ids: Collection[MessageId]) -> None:
        pass

    async def withdraw(self, account_id: AccountId, message_id: MessageId) -> None:
        pass


class GatewayMemory:
    """A running gateway's: this node's, and what the others remember."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        book: ReceiptBook,
        outcomes: OutcomeWriter,
        backlog: Backlog,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """`elsewhere`: the other nodes, where there may be some."""
        self._dispatcher = dispatcher
        self._book = book
        self._outcomes = outcomes
        self._backlog = backlog
        self._elsewhere = elsewhere
        if elsewhere is not None:
            elsewhere.let_go_by(self.let_go_here)

    async def settle(self) -> None:
        await self._outcomes.flush()
        if self._elsewhere is not None:
            await self._elsewhere.let_go()

    async def forget(self, message_ids: Collection[MessageId]) -> None:
        await self.let_go_here(message_ids)
        if self._elsewhere is not None:
            await self._elsewhere.let_go(message_ids)

    async def let_go_here(self, message_ids: Collection[MessageId]) -> None:
        """Settle what this node remembers, and forget these messages."""
        await self._outcomes.flush()
        if message_ids:
            self._book.references.forget(message_ids)

    async def withdraw(self, account_id: AccountId, message_id: MessageId) -> None:
        if self._dispatcher.find(message_id) is not None:
            self._dispatcher.cancel(message_id, time.time())
            return
        self._dispatcher.begin_refill()
        try:
            job = await self._backlog.fetch_one(account_id, message_id)
            if job is None:
                return
            if self._elsewhere is None or not self._elsewhere.has(job.message):
                self._dispatcher.cancel_read(job, time.time())
                return
        finally:
            self._dispatcher.end_refill()
        with suppress(Rejected):  # it has begun to leave, or has ended
            await self._elsewhere.cancel(job.message)


class Eraser:
    """Does the steps of erasures."""

    def __init__(
        self,
        erasures: Erasures,
        memory: Memory,
        on_advanced: Callable[[Erasure, Unerased], None] = lambda erasure, left: None,
    ) -> None:
        """`on_advanced` hears what is left of an erasure each time that it was gone through."""
        self._on_advanced = on_advanced
        self._erasures = erasures
        self._memory = memory
        self._looked_at: dict[int, float] = {}
        """When each unfinished erasure was last gone through; the loop's clock."""

    async def advance_all(self) -> None:
        """Begin what is new, and go on with what may have stopped waiting."""
        now = asyncio.get_running_loop().time()
        unfinished = await self._erasures.fetch_unfinished()
        for erasure in unfinished:
            last = self._looked_at.get(erasure.id)
            if last is None or now - last >= LOOK_AGAIN_S:
                self._looked_at[erasure.id] = now
                await self.advance(erasure)
        known = {erasure.id for erasure in unfinished}
        self._looked_at = {id: at for id, at in self._looked_at.items() if id in known}

    async def advance(self, erasure: Erasure) -> None:
        """Erase what can be erased now, and finish when nothing is left."""
        await self._erasures.search(erasure)
        if erasure.withdraw:
            await self._withdraw(erasure)
        await self._erase_messages(erasure)
        await self._memory.settle()
        await self._erasures.erase_remains(erasure)
        left = await self._erasures.measure(erasure)
        if left:
            await self._erasures.note(erasure, time.time())
        else:
            await self._erasures.finish(erasure, time.time())
        self._on_advanced(erasure, left)

    async def _withdraw(self, erasure: Erasure) -> None:
        after = (0, 0)
        while found := await self._erasures.fetch_found(erasure, after):
            for message in found:
                if not (message.status.final or message.dropped):
                    await self._memory.withdraw(message.account_id, message.message_id)
            await self._memory.settle()
            after = _key(found[-1])

    async def _erase_messages(self, erasure: Erasure) -> None:
        after = (0, 0)
        while found := await self._erasures.fetch_found(erasure, after):
            if ready := erasable_of(found, time.time()):
                await self._memory.forget({message.message_id for message in ready})
                await self._erasures.erase_messages(erasure, ready)
            after = _key(found[-1])


def log_advance(erasure: Erasure, left: Unerased) -> None:
    """Log what is left; never the number."""
    log.info(
        "erasure_waits" if left else "erasure_finished",
        erasure=erasure.id,
        messages=left.messages,
        webhooks=left.webhooks,
        deliveries=left.deliveries,
        inbound_parts=left.inbound_parts,
    )


def _key(message: FoundMessage) -> tuple[int, int]:
    return message.account_id, message.message_id
