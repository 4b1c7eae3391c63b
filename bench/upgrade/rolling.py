"""Gateways of two releases on one database, a simulated carrier, and a customer who goes on.

The customer submits each message until it is accepted, under one client_ref, to whichever gateway
it was last told of. A relay before the carrier counts what passes.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg

from bench.chaos.customer import Customer
from bench.chaos.relay import CarrierRelay
from bench.chaos.world import CARRIER_SCRIPT
from bench.peers.processes import find_free_ports
from bench.settings import write_node
from bench.upgrade.releases import Release
from gateway.demo.children import Child
from gateway.lifecycle import Status
from gateway.store.embedded import start_embedded

WINDOW: Final = 20
READY_TIMEOUT_S: Final = 120.0
DRAIN_TIMEOUT_S: Final = 120.0
LOOK_S: Final = 0.1
SEND_BETWEEN: Final = 50
"""Messages that a gateway sends before it is followed, and after it has followed."""
_HAS_CARRIER: Final = '"lease":"carrier:'
_COUNT_DELIVERED: Final = "SELECT count(*) FROM message_states WHERE status = $1"


class Steady(Customer):
    """Goes to several gateways in turn, and knows how long it waited for each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.longest_s = 0.0
        self._turns = itertools.count()

    async def _try(self, http: aiohttp.ClientSession, numbers: range, body: Any) -> bool:
        began = time.monotonic()
        self.url = self.nodes[next(self._turns) % len(self.nodes)].url
        accepted = await super()._try(http, numbers, body)
        if accepted:
            self.longest_s = max(self.longest_s, time.monotonic() - began)
        return accepted


@dataclass(frozen=True, slots=True)
class Ended:
    """How a gateway ended that was to end by itself, and what it said last."""

    status: int
    said: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run."""

    accepted: int
    lost: int
    """Accepted and never sent."""
    repeats: int
    """Sent to the carrier beyond once each."""
    delivered: int
    longest_s: float
    """That the customer waited for an acceptance, of a gateway that answered."""
    schema: int
    broken_indexes: int
    audit_agrees: bool

    @property
    def kept(self) -> bool:
        """Whether nothing was lost, repeated, or left as it should not be."""
        whole = self.accepted == self.delivered and self.audit_agrees
        return whole and not (self.lost or self.repeats or self.broken_indexes)


class Node:
    """One gateway of one release, with a port of its own."""

    def __init__(self, release: Release, folder: Path, port: int, settings: str) -> None:
        self.release = release
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._log = folder
        """Of what it was last started to serve with."""
        self._file = folder / f"{port}.toml"
        self._file.write_text(settings)
        self._child: Child | None = None

    async def start(self, *words: str) -> None:
        """Start it; `serving` says when it serves."""
        await self.end()
        self._child, self._log = await asyncio.to_thread(self._spawn, "serve", *words)

    async def logged(self, word: str) -> None:
        """Wait until it has logged this; raises TimeoutError when it does not."""
        async with asyncio.timeout(READY_TIMEOUT_S):
            while word not in self._log.read_text(errors="replace"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)

    async def serving(self) -> None:
        """Wait until it listens; raises TimeoutError when it does not."""
        child = self._child
        assert child is not None, "started"
        await asyncio.to_thread(_await_line, child, "http://")

    async def stop(self) -> int:
        """Stop it in order; return its exit status."""
        child, self._child = self._child, None
        assert child is not None, "started"
        return await asyncio.to_thread(child.stop)

    async def ended(self) -> Ended:
        """Wait until it has ended by itself."""
        child = self._child
        assert child is not None, "started"
        while await asyncio.to_thread(child.read_line, READY_TIMEOUT_S):
            pass
        status = await self.stop()
        return Ended(status, self._log.read_text(errors="replace").strip().rpartition("\n")[2])

    async def end(self) -> None:
        """Leave nothing running."""
        child, self._child = self._child, None
        if child is not None:
            await asyncio.to_thread(child.end)

    async def run(self, *words: str) -> tuple[int, Any]:
        """Run a command of its release that answers in JSON; return its status and the answer."""
        child, _ = await asyncio.to_thread(self._spawn, *words, "--json")
        said = ""
        while line := await asyncio.to_thread(child.read_line, READY_TIMEOUT_S):
            said += line
        return await asyncio.to_thread(child.stop), json.loads(said or "null")

    def _spawn(self, *words: str) -> tuple[Child, Path]:
        """Start a command of its release with its settings; return also where it logs."""
        log = self._folder / f"{len(list(self._folder.glob('*.log')))}.log"
        words = ("gateway", "--config", str(self._file), *words)
        return Child(*words, stderr=log, environment=self.release.environment()), log


def _await_line(child: Child, wanted: str) -> None:
    while line := child.read_line(READY_TIMEOUT_S):
        if wanted in line:
            return
    raise TimeoutError("it has ended, or does not serve")


class World:
    """A database, a carrier and a customer; use it as an asynchronous context manager."""

    def __init__(
        self, folder: Path, *releases: Release, rate_per_s: float, database_url: str = ""
    ) -> None:
        """`database_url` is of an empty database; without one there is a server for the run."""
        folder.chmod(0o755)  # its PostgreSQL may run as another user
        self._folder = folder
        self._rate_per_s = rate_per_s
        self.database_url = database_url
        self._releases = releases
        self.customer = Steady()
        self.nodes: list[Node] = []
        """One for each release, in their order."""
        self.relay: CarrierRelay
        self._stack = contextlib.AsyncExitStack()
        self._submitting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> World:
        try:
            await self._build()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _build(self) -> None:
        if not self.database_url:
            server = await asyncio.to_thread(start_embedded, self._folder / "data")
            self._stack.push_async_callback(asyncio.to_thread, server.stop)
            self.database_url = server.url
        carrier_port, *ports = find_free_ports(1 + len(self._releases))
        script = self._folder / "carrier.toml"
        script.write_text(CARRIER_SCRIPT)
        words = ("bench.smsc", "--port", str(carrier_port), "--script", str(script))
        carrier = Child(*words, stderr=self._folder / "carrier.log")
        self._stack.push_async_callback(asyncio.to_thread, carrier.end)
        await asyncio.to_thread(_await_line, carrier, "{")
        self.relay = CarrierRelay(lambda: asyncio.open_connection("127.0.0.1", carrier_port))
        await self.relay.start()
        self._stack.push_async_callback(self.relay.stop)
        for release, port in zip(self._releases, ports, strict=True):
            carriers = dict.fromkeys(("alpha", "beta"), self.relay.port)
            settings = write_node(self.database_url, carriers, window=WINDOW, port=port)
            node = Node(release, self._folder, port, settings)
            self._stack.push_async_callback(node.end)
            self.nodes.append(node)

    async def begin(self, node: Node) -> None:
        """Start the first gateway and the customer."""
        await node.start()
        await node.serving()
        words = ("account", "create", "shop", "--sender", "Shop", "--credit", "1000000")
        _, made = await node.run(*words, "--with-key")
        self.customer.key = made["key"]
        self.customer.nodes = [node]
        self._submitting = asyncio.create_task(self.customer.run(self._rate_per_s))
        self._stack.push_async_callback(_cancel, self._submitting)

    async def follow(self, old: Node, new: Node, *, share: bool = True) -> None:
        """Have `new` join `old`, share its carriers unless that is not waited for, and take all of
        them over when `old` is stopped in order. The customer goes to both while both run."""
        await new.start()
        await new.serving()
        self.customer.nodes = [old, new]
        if share:
            await new.logged(_HAS_CARRIER)
        await self.send(SEND_BETWEEN)
        self.customer.nodes = [new]
        status = await old.stop()
        if status:
            raise AssertionError(f"{old.release.name} ended with status {status}")
        await self.send(SEND_BETWEEN)

    async def send(self, count: int) -> None:
        """Wait until so many further messages have passed to the carrier."""
        enough = len(self.relay.sent) + count
        async with asyncio.timeout(DRAIN_TIMEOUT_S):
            while len(self.relay.sent) < enough:  # noqa: ASYNC110 - a relay tells nobody
                await asyncio.sleep(LOOK_S)

    async def finish(self, node: Node) -> Outcome:
        """Stop the customer, let everything come to its end, and count."""
        assert self._submitting is not None, "begun"
        self.customer.stop()
        await asyncio.wait_for(self._submitting, DRAIN_TIMEOUT_S)
        connection = await asyncpg.connect(self.database_url)
        try:
            delivered = await self._count_delivered(connection)
            schema = await connection.fetchval("SELECT max(version) FROM schema_migrations")
            broken = await connection.fetchval("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        finally:
            await connection.close()
        status, _ = await node.run("audit")
        sent = self.relay.sent
        return Outcome(
            accepted=len(self.customer.accepted),
            lost=len(self.customer.accepted.keys() - sent.keys()),
            repeats=sum(sent.values()) - len(sent),
            delivered=delivered,
            longest_s=self.customer.longest_s,
            schema=schema,
            broken_indexes=broken,
            audit_agrees=status == 0,
        )

    async def _count_delivered(self, connection: asyncpg.Connection[asyncpg.Record]) -> int:
        """Return how many messages are delivered, once all are or too much time has passed."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while True:
            delivered: int = await connection.fetchval(_COUNT_DELIVERED, Status.DELIVERED)
            if delivered >= len(self.customer.accepted) or time.monotonic() > deadline:
                return delivered
            await asyncio.sleep(LOOK_S)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def roll(
    folder: Path,
    releases: Sequence[Release],
    rate_per_s: float,
    database_url: str = "",
    *,
    share_back: bool = True,
) -> Outcome:
    """Let each release follow the one before it, under load that never stops.

    Without `share_back` only the first step waits until both have carriers.
    """
    async with World(folder, *releases, rate_per_s=rate_per_s, database_url=database_url) as world:
        await world.begin(world.nodes[0])
        for step, (old, new) in enumerate(pairwise(world.nodes)):
            await world.follow(old, new, share=share_back or step == 0)
        return await world.finish(world.nodes[-1])
