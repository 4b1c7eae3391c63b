"""Several nodes on one database: each as its keeper, what they are to do is each test's; and as
whole gateways in this loop, with simulated carriers that all of them know."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import aiohttp
import pytest

from bench.simulator.script import parse_script
from bench.simulator.submit import Submit
from bench.smsc import Smsc
from gateway.app import Gateway
from gateway.config_file import build_config
from gateway.jobs import Submission
from gateway.model import CarrierId
from gateway.nodes.keeper import Keeper
from gateway.store import accounts, keys
from gateway.store.postgres import Database, connect_single

TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
SCRIPT = 'identity = "content"\n'


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


class Operator:
    """A simulated carrier that keeps what came to it, and when."""

    def __init__(self, prefix: str, script: str) -> None:
        self.prefix = prefix
        self.smsc = Smsc(parse_script(SCRIPT + script))
        self.came: list[tuple[float, str]] = []

    async def start(self) -> None:
        await self.smsc.start()
        intake = self.smsc.carrier.intake
        judge = intake.judge

        def note(submit: Submit, in_flight: int, now: float) -> Any:
            self.came.append((now, submit.destination_addr.decode()))
            return judge(submit, in_flight, now)

        intake.judge = note  # type: ignore[method-assign]

    @property
    def recipients(self) -> list[str]:
        return [recipient for _, recipient in self.came]

    @property
    def repeats(self) -> int:
        return sum(collections.Counter(self.recipients).values()) - len(set(self.recipients))


class Node:
    """One gateway of several."""

    def __init__(self, settings: dict[str, Any], key: str) -> None:
        self.gateway = Gateway(build_config(settings))
        self._key = key
        self.task: asyncio.Task[None]

    async def start(self) -> None:
        ready = asyncio.Event()
        self.task = asyncio.create_task(self.gateway.run(ready.set))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((self.task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not ready.is_set():
            await self.task

    async def stop(self) -> None:
        self.gateway.stop()
        await asyncio.wait_for(self.task, TIMEOUT_S)

    @property
    def bound(self) -> set[str]:
        """The carriers that it is bound to."""
        return {line.name for line in self.gateway.parts.lines.values() if line.bound}

    @property
    def served(self) -> set[str]:
        """The carriers that it has."""
        lines = self.gateway.parts.lines
        ownership = self.gateway.parts.ownership
        return {line.name for line in lines.values() if ownership.has(CarrierId(line.id))}

    async def post(self, to: Sequence[str], **fields: Any) -> None:
        """Have this node accept a message for each of these recipients."""
        body = {"defaults": {"text": "Hello"} | fields, "to": list(to)}
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {self._key}"}) as http,
            http.post(
                f"http://127.0.0.1:{self.gateway.port}/v1/messages/batch", json=body
            ) as answer,
        ):
            assert answer.status == 202, await answer.text()


class Cluster:
    """Nodes and carriers; recipients' numbers begin with the carrier's prefix."""

    def __init__(self, database: Database, url: str, key: str) -> None:
        self.database = database
        self.url = url
        self.nodes: list[Node] = []
        self.operators: dict[str, Operator] = {}
        self.left: dict[str, list[float]] = {}
        """When each segment left, by carrier's name, through whichever node."""
        self._key = key
        self._numbers = itertools.count(1)
        self._carriers: list[dict[str, Any]] = []
        self._routes: list[dict[str, Any]] = []

    async def add_carrier(self, name: str, *others: str, script: str = "", **keys: Any) -> Operator:
        """Start a carrier, and a route to it; `others` follow it on that."""
        operator = Operator(f"4474{len(self.operators):02}", script)
        await operator.start()
        self.operators[name] = operator
        self._carriers.append(
            {
                "name": name,
                "host": "127.0.0.1",
                "port": operator.smsc.port,
                "system_id": "us",
                "reconnect_first_s": 0.1,
                "window_size": 20,
            }
            | keys
        )
        self._routes.append({"prefixes": [operator.prefix], "carriers": [name, *others]})
        return operator

    async def start(self, *, url: str | None = None, **sections: dict[str, Any]) -> Node:
        """Start one more node; `sections` are settings of its own."""
        settings = sections | {
            "node": {"database_url": url or self.url},
            "http": {"port": 0},
            "dispatch": {"stop_timeout_s": 5},
            "carrier": self._carriers,
            "route": self._routes,
            "price": [{"price": "0.0075"}],
        }
        node = Node(settings, self._key)
        await node.start()
        self.nodes.append(node)
        self._note_leaving(node)
        return node

    def _note_leaving(self, node: Node) -> None:
        """Keep when segments leave: the loop that both ends share here may hold them up on their
        way, and bring more of them in one second than left in one."""
        dispatcher = node.gateway.parts.dispatcher
        take = dispatcher.take

        def note(
            carrier_id: CarrierId, room: int, now: float, wall: float
        ) -> tuple[list[Submission], float | None]:
            taken, until = take(carrier_id, room, now, wall)
            times = self.left.setdefault(dispatcher.carriers[carrier_id].policy.name, [])
            times += [each.sent_at for each in taken]
            return taken, until

        dispatcher.take = note  # type: ignore[method-assign]

    def busiest_second(self, carrier: str) -> int:
        """Return the most segments that left for a carrier within any one second."""
        times = sorted(self.left[carrier])
        first = busiest = 0
        for last, at in enumerate(times):
            while times[first] <= at - 1.0:
                first += 1
            busiest = max(busiest, last - first + 1)
        return busiest

    def numbers(self, name: str, count: int) -> list[str]:
        """Return new recipients of a carrier."""
        prefix = self.operators[name].prefix
        return [f"{prefix}{next(self._numbers):06}" for _ in range(count)]

    async def until(self, done: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
        async with asyncio.timeout(timeout_s):
            while not done():
                await asyncio.sleep(0.02)

    async def until_shared(self) -> None:
        """Wait until every carrier is bound by one node, and no node has two more than another."""

        def shared() -> bool:
            bound = [name for node in self.nodes for name in node.bound]
            counts = [len(node.bound) for node in self.nodes]
            return sorted(bound) == sorted(self.operators) and max(counts) - min(counts) <= 1

        await self.until(shared)

    async def until_final(self) -> None:
        """Wait until no message is open any more."""
        async with asyncio.timeout(TIMEOUT_S):
            while await self.fetch("SELECT count(*) FROM message_states WHERE status < 10"):
                await asyncio.sleep(0.05)

    async def fetch(self, query: str) -> Any:
        async with self.database.acquire() as connection:
            return await connection.fetchval(query)

    async def close(self) -> None:
        for node in self.nodes:
            if not node.task.done():
                await node.stop()
        for operator in self.operators.values():
            await operator.smsc.stop()


@pytest.fixture
async def cluster(
    database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Cluster]:
    monkeypatch.setattr("gateway.nodes.keeper.SETTLE_S", 0.2)  # nobody waits to see who else comes
    monkeypatch.delenv("DATABASE_URL", raising=False)
    shop = await accounts.create_account(database, "shop", default_sender="Shop")
    await accounts.deposit(database, shop.id, 10**9, reason="test", author="test")
    key = (await keys.create_key(database, shop.id)).plaintext
    cluster = Cluster(database, database_url, key)
    yield cluster
    await cluster.close()
