"""An account's ceiling is one over all nodes, at every moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest

from gateway.model import Account, AccountId
from gateway.nodes import shares
from gateway.nodes.keeper import Keeper
from gateway.nodes.shares import Shares
from gateway.store.postgres import Database

TIMEOUT_S = 30.0

Keeping = Callable[[Keeper], AbstractAsyncContextManager[None]]


class Ceiling:
    """One account's, as a dispatcher keeps it; what is needed of it is the test's to say."""

    def __init__(self, account_id: AccountId) -> None:
        self.account_id = account_id
        self.need = self.share = 0.0

    def needs(self, now: float) -> Mapping[AccountId, float]:
        return {self.account_id: self.need}

    def shares(self) -> Mapping[AccountId, float]:
        return {self.account_id: self.share}

    def set_share(self, account_id: AccountId, share: float, now: float) -> None:
        self.share = share


class Node:
    def __init__(self, keeper: Keeper, database: Database, account_id: AccountId) -> None:
        self.keeper = keeper
        self.ceiling = Ceiling(account_id)
        self._shares = Shares(database, keeper, self.ceiling, lambda: None)
        self._keeping = AsyncExitStack()
        self._running: asyncio.Task[None] | None = None

    async def begin(self, keeping: Keeping) -> None:
        await self._keeping.enter_async_context(keeping(self.keeper))
        self._running = asyncio.create_task(self._shares.run())

    async def end(self) -> None:
        if self._running is not None:
            self._running.cancel()
            self._running = None
            self.ceiling.share = 0.0  # its process is gone
            await self._keeping.aclose()


@pytest.fixture
async def shop(make_account: Callable[..., Awaitable[Account]]) -> Account:
    return await make_account("shop")


@pytest.fixture
async def nodes(
    database: Database,
    shop: Account,
    make_keeper: Callable[[], Awaitable[Keeper]],
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[list[Node]]:
    monkeypatch.setattr(shares, "LOOK_S", 0.05)
    made = [Node(await make_keeper(), database, shop.id) for _ in range(2)]
    yield made
    for node in made:
        await node.end()


async def until(so: Callable[[], object], nodes: list[Node]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not so():
            assert sum(node.ceiling.share for node in nodes) <= 1.0
            await asyncio.sleep(0.002)


async def test_a_ceiling_follows_who_needs_it_and_is_never_passed(
    nodes: list[Node], keeping: Keeping
) -> None:
    first, second = nodes
    await first.begin(keeping)
    await until(lambda: first.ceiling.share == 1.0, nodes)
    first.ceiling.need = 1.0
    await second.begin(keeping)
    await asyncio.sleep(0.2)
    assert second.ceiling.share == 0.0, "nobody has asked for it there"
    second.ceiling.need = 1.0
    await until(lambda: second.ceiling.share == pytest.approx(0.5), nodes)
    first.ceiling.need = 0.0
    await until(lambda: second.ceiling.share == pytest.approx(1.0), nodes)
    await second.end()
    first.ceiling.need = 0.5
    await until(lambda: first.ceiling.share == pytest.approx(1.0), nodes)
