"""What nodes ask of each other is done once, and answered within a bounded time or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gateway.errors import Rejected, StoreUnavailable
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.nodes.elsewhere import Elsewhere, NotOurs
from gateway.nodes.errands import Errands
from gateway.nodes.keeper import Keeper
from gateway.store.errands import ErrandStore
from gateway.store.postgres import Database

CARRIER = "carrier:1"
TIMEOUT_S = 20.0

MakeKeeper = Callable[[], Awaitable[Keeper]]
Keeping = Callable[[Keeper], AbstractAsyncContextManager[None]]


class Node:
    """A node with its post office."""

    def __init__(self, keeper: Keeper, database: Database) -> None:
        self.keeper = keeper
        self.errands = Errands(database, keeper)
        self.elsewhere = Elsewhere(self.errands)
        self.asked: list[bytes] = []

    async def note(self, asked: bytes) -> bytes:
        self.asked.append(asked)
        return asked.upper()

    @asynccontextmanager
    async def running(self, keeping: Keeping) -> AsyncIterator[None]:
        async with keeping(self.keeper):
            run = asyncio.create_task(self.errands.run())
            try:
                yield
            finally:
                run.cancel()


@pytest.fixture
async def two(
    database: Database, make_keeper: MakeKeeper, keeping: Keeping
) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes; the first has the carrier."""
    first, second = [Node(await make_keeper(), database) for _ in range(2)]
    first.keeper.want("carriers", [CARRIER], shared=False)
    for node in (first, second):
        node.errands.learn("shout", node.note)
    async with first.running(keeping), second.running(keeping):
        async with asyncio.timeout(TIMEOUT_S):
            while first.keeper.alone or second.keeper.alone or not first.keeper.owns(CARRIER):
                await asyncio.sleep(0.01)
        yield first, second


def a_message(carrier_id: CarrierId) -> Message:
    return Message(
        id=MessageId(5),
        account_id=AccountId(7),
        accepted_at=0.0,
        sender="Shop",
        recipient="447400000001",
        country="GB",
        text="Hello",
        encoding=Encoding.GSM7,
        segments=1,
        lane=Lane.TRANSACTIONAL,
        price_micros=Micros(1),
        routes=(carrier_id,),
        expires_at=3600.0,
    )


async def count(database: Database) -> int:
    found: int = await database.pool.fetchval("SELECT count(*) FROM node_errands")
    return found


async def test_the_node_that_has_a_lease_answers(
    two: tuple[Node, Node], database: Database
) -> None:
    first, second = two
    assert await second.errands.ask(CARRIER, "shout", b"hello") == b"HELLO"
    assert await first.errands.ask(CARRIER, "shout", b"to myself") == b"TO MYSELF"
    assert (first.asked, second.asked) == ([b"hello", b"to myself"], [])
    assert await count(database) == 0


async def test_what_nobody_has_is_told_in_time_and_never_begun(
    two: tuple[Node, Node], database: Database
) -> None:
    first, second = two
    with pytest.raises(StoreUnavailable, match="nothing changed") as caught:
        await second.errands.ask("carrier:9", "shout", b"hello", 0.1)
    assert caught.value.retry_after_s >= 1
    first.keeper.want("carriers", [CARRIER, "carrier:9"], shared=False)
    async with asyncio.timeout(TIMEOUT_S):
        while not first.keeper.owns("carrier:9"):
            await asyncio.sleep(0.01)
    assert await second.errands.ask("carrier:9", "shout", b"again") == b"AGAIN"
    assert first.asked == [b"again"]
    assert await count(database) == 0


async def test_what_was_begun_and_not_answered_is_told_apart(two: tuple[Node, Node]) -> None:
    first, second = two

    async def think(asked: bytes) -> bytes:
        await asyncio.sleep(TIMEOUT_S)
        return b""

    first.errands.learn("think", think)
    with pytest.raises(StoreUnavailable, match="begun"):
        await second.errands.ask(CARRIER, "think", b"", 0.3)


async def test_a_failure_is_answered_in_words(two: tuple[Node, Node]) -> None:
    first, second = two

    async def fail(asked: bytes) -> bytes:
        raise ZeroDivisionError

    first.errands.learn("fail", fail)
    with pytest.raises(StoreUnavailable, match="could not do it"):
        await second.errands.ask(CARRIER, "fail", b"")
    with pytest.raises(StoreUnavailable, match="does not know how"):
        await second.errands.ask(CARRIER, "dance", b"")


async def test_all_others_are_asked_and_one_whose_claim_ended_is_not(
    two: tuple[Node, Node], make_keeper: MakeKeeper
) -> None:
    first, second = two
    await second.errands.ask_all("shout", b"all of you")
    assert (first.asked, second.asked) == ([b"all of you"], [])
    silent = await make_keeper()  # it has a claim and answers nothing
    with pytest.raises(StoreUnavailable):
        await second.errands.ask_all("shout", b"once more", 0.3)
    asking = asyncio.create_task(second.errands.ask_all("shout", b"at last", 1.0))
    await silent.leave()
    await asking


async def test_a_message_elsewhere_is_withdrawn_there_and_refusals_come_back(
    two: tuple[Node, Node],
) -> None:
    first, second = two
    message = a_message(CarrierId(1))
    done: list[tuple[int, int]] = []
    refusal: Exception | None = None

    async def cancel(account_id: AccountId, message_id: MessageId) -> None:
        if refusal is not None:
            raise refusal
        done.append((account_id, message_id))

    first.elsewhere.cancel_by(cancel)
    assert second.elsewhere.has(message)
    assert not first.elsewhere.has(message)
    await second.elsewhere.cancel(message)
    assert done == [(message.account_id, message.id)]
    refusal = Rejected("too_late", "it has left", status=409)
    with pytest.raises(Rejected, match="it has left") as caught:
        await second.elsewhere.cancel(message)
    assert (caught.value.code, caught.value.status) == ("too_late", 409)
    refusal = NotOurs(message)
    with pytest.raises(Rejected, match="another node") as caught:
        await second.elsewhere.cancel(message)
    assert (caught.value.code, caught.value.status) == ("node_unavailable", 503)


async def test_what_its_asker_never_took_back_is_forgotten(database: Database) -> None:
    store = ErrandStore(database)
    await store.put(1, CARRIER, "shout", b"", 0.0)
    await store.forget(3600)
    assert await count(database) == 1
    await store.forget(0)
    assert await count(database) == 0
