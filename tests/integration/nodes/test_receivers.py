"""An account's deliveries are one node's, as long as a receiver is bound there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from gateway.model import AccountId
from gateway.nodes.keeper import Keeper
from gateway.nodes.receivers import Receivers
from gateway.store.postgres import Database

SHOP = AccountId(7)
TIMEOUT_S = 20.0


class Node:
    def __init__(self, keeper: Keeper, database: Database) -> None:
        self.keeper = keeper
        self.gained: list[AccountId] = []
        self.settled = 0
        self.receivers = Receivers(database, keeper)
        self.receivers.join(self.gained.append, self._settle)

    async def _settle(self) -> None:
        self.settled += 1


@pytest.fixture
async def two(
    database: Database,
    make_keeper: Callable[[], Awaitable[Keeper]],
    keeping: Callable[[Keeper], AbstractAsyncContextManager[None]],
) -> AsyncIterator[tuple[Node, Node]]:
    first, second = [Node(await make_keeper(), database) for _ in range(2)]
    running = [asyncio.create_task(node.receivers.run()) for node in (first, second)]
    async with AsyncExitStack() as stack:
        for node in (first, second):
            await stack.enter_async_context(keeping(node.keeper))
        yield first, second
        for task in running:
            task.cancel()


async def until(so: Callable[[], object]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not so():
            await asyncio.sleep(0.01)


async def test_the_first_to_ask_carries_and_the_other_follows_when_all_is_settled(
    two: tuple[Node, Node],
) -> None:
    first, second = two
    assert not first.receivers.want(SHOP)
    await until(lambda: first.gained)
    assert first.receivers.want(SHOP), "it is here already"
    assert not second.receivers.want(SHOP)
    await asyncio.sleep(0.1)
    assert (second.gained, first.settled) == ([], 0)
    first.receivers.release(SHOP)
    await until(lambda: second.gained)
    assert first.settled == 1
    assert second.receivers.valid
    assert not first.receivers.want(SHOP)


async def test_who_comes_back_before_it_was_given_up_goes_on(two: tuple[Node, Node]) -> None:
    first, _ = two
    first.receivers.want(SHOP)
    await until(lambda: first.gained)
    first.receivers.release(SHOP)
    assert first.receivers.want(SHOP)


async def test_who_leaves_before_the_lease_came_is_told_nothing(
    two: tuple[Node, Node], database: Database
) -> None:
    first, second = two
    first.receivers.want(SHOP)
    first.receivers.release(SHOP)
    second.receivers.want(SHOP)
    await until(lambda: second.gained)
    assert first.gained == []


async def test_thousands_of_them_cost_the_beats_nothing(two: tuple[Node, Node]) -> None:
    first, _ = two
    first.receivers.want(SHOP)
    await until(lambda: first.gained)
    await until(lambda: len(first.keeper.board.nodes) == 2)
    assert first.keeper.board.leases == {}
