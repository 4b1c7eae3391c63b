"""Several nodes on one database, each as its keeper; what they are to do is each test's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from gateway.nodes.keeper import Keeper
from gateway.store.postgres import Database, connect_single

TIMEOUT_S = 30.0


@asynccontextmanager
async def _keeping(keeper: Keeper, database: Database) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        await keeper.begin(tasks, database)
        beats = tasks.create_task(keeper.run())
        yield
        beats.cancel()
        await keeper.stop()
    await keeper.leave()


@pytest.fixture
async def make_keeper(database_url: str) -> Callable[[], Awaitable[Keeper]]:
    """Claim a number: `keeper = await make_keeper()`; it does nothing until `keeping`."""

    async def make() -> Keeper:
        keeper = Keeper(partial(connect_single, database_url, "nodes"))
        await keeper.claim()
        return keeper

    return make


@pytest.fixture
def keeping(
    database: Database,
) -> Callable[[Keeper], contextlib.AbstractAsyncContextManager[None]]:
    """Have a keeper beat: `async with keeping(keeper): …`."""
    return lambda keeper: _keeping(keeper, database)
