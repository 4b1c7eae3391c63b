"""Messages that other nodes have: asking those nodes to withdraw, exchange or forget them.

A message is in the memory of the node that has the carrier of its turn. Whatever changes it, or
relies on nobody remembering it, goes there.

Not here: how something is asked (`errands.py`), what is done here when another node asks
(`submissions.py`, `upstream/errands.py`, `erasing.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

import msgspec

from gateway.errors import Rejected, StoreUnavailable
from gateway.message import Message
from gateway.model import AccountId, MessageId
from gateway.nodes.errands import Errands, Unanswered
from gateway.nodes.leases import name_carrier_lease

CANCEL: Final = "cancel"
REPLACE: Final = "replace"
LET_GO: Final = "let_go"


class NotOurs(Exception):
    """Another node has the message: that one is to be asked."""

    def __init__(self, message: Message) -> None:
        super().__init__("another node has the message")
        self.message = message


class Named(msgspec.Struct, frozen=True):
    """Whose message, and which."""

    account_id: AccountId
    message_id: MessageId


class Replacing(msgspec.Struct, frozen=True):
    """A replace_sm as its customer sent it."""

    account_id: AccountId
    message_id: MessageId
    fields: dict[str, int | str]
    octets: dict[str, bytes]
    """Those of its fields that are neither numbers nor text."""
    tlvs: list[tuple[int, bytes]]


class _Refusal(msgspec.Struct, frozen=True):
    """A `Rejected` on its way to the node that asked."""

    code: str
    detail: str
    field: str
    status: int
    retry_after_s: float | None


_read_refusal = msgspec.msgpack.Decoder(_Refusal | None).decode
_read_named = msgspec.msgpack.Decoder(Named).decode
_read_replacing = msgspec.msgpack.Decoder(Replacing).decode
_read_ids = msgspec.msgpack.Decoder(list[MessageId]).decode
_write = msgspec.msgpack.Encoder().encode


class Elsewhere:
    """What this node knows of messages that are not its own, and asks about them."""

    def __init__(self, errands: Errands) -> None:
        self._errands = errands

    def has(self, message: Message) -> bool:
        """Say whether a message is another node's, or nobody's just now."""
        return not self._errands.has(name_carrier_lease(message.routes[0]))

    async def cancel(self, message: Message) -> None:
        """Have a message withdrawn, and that committed; raises Rejected or StoreUnavailable."""
        await self._ask(message, CANCEL, _write(Named(message.account_id, message.id)))

    async def replace(self, message: Message, replacing: Replacing) -> None:
        """Have a message exchanged, and that committed; raises Rejected or StoreUnavailable."""
        await self._ask(message, REPLACE, _write(replacing))

    async def let_go(self, message_ids: Collection[MessageId] = ()) -> None:
        """Return once the other nodes have written all that they had to write by now, and remember
        nothing of these messages; raises StoreUnavailable."""
        await self._errands.ask_all(LET_GO, _write(list(message_ids)))

    async def forget_errands(self) -> None:
        """Forget what was asked by nodes that never took it back; raises StoreUnavailable."""
        await self._errands.forget()

    async def _ask(self, message: Message, kind: str, asked: bytes) -> None:
        try:
            answer = await self._errands.ask(name_carrier_lease(message.routes[0]), kind, asked)
        except Unanswered as error:
            raise Rejected(
                "node_unavailable", str(error), status=503, retry_after_s=error.retry_after_s
            ) from None
        refusal = _read_refusal(answer)
        if refusal is not None:
            raise Rejected(
                refusal.code,
                refusal.detail,
                field=refusal.field,
                status=refusal.status,
                retry_after_s=refusal.retry_after_s,
            )

    # ── what others ask of this node ─────────────────────────────────────────────────────────

    def cancel_by(self, cancel: Callable[[AccountId, MessageId], Awaitable[None]]) -> None:
        """Have messages withdrawn by this when another node asks for it."""

        async def run(asked: bytes) -> bytes:
            named = _read_named(asked)
            return await _answer(cancel(named.account_id, named.message_id))

        self._errands.learn(CANCEL, run)

    def replace_by(self, replace: Callable[[Replacing], Awaitable[None]]) -> None:
        """Have messages exchanged by this when another node asks for it."""

        async def run(asked: bytes) -> bytes:
            return await _answer(replace(_read_replacing(asked)))

        self._errands.learn(REPLACE, run)

    def let_go_by(self, let_go: Callable[[Collection[MessageId]], Awaitable[None]]) -> None:
        """Have messages forgotten by this when another node asks for it."""

        async def run(asked: bytes) -> bytes:
            await let_go(set(_read_ids(asked)))
            return b""

        self._errands.learn(LET_GO, run)


async def _answer(done: Awaitable[None]) -> bytes:
    try:
        await done
    except Rejected as error:
        refusal = _Refusal(error.code, error.detail, error.field, error.status, error.retry_after_s)
        return _write(refusal)
    except NotOurs:
        raise StoreUnavailable("the message has just gone to another node") from None
    return _write(None)
