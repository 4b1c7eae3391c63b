"""Several nodes on one machine under load, one of them killed again and again.

    python -m bench.nodes                          10 kills of one of three nodes
    python -m bench.nodes --kills 30 --rate 200

`gateway serve --nodes N` with a simulated carrier for each, submitted to on the one port. In turn
the node that has the most carriers is killed (kill -9); others take those, it is started again, and
carriers come back to it. Counted is, for each kill, how long one of its carriers was sent nothing
and what was sent twice; at the end, what of the accepted reached no carrier.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import uvloop
from rich.console import Console
from rich.table import Table

from bench.chaos.customer import Customer
from bench.chaos.relay import CarrierRelay
from bench.chaos.world import CARRIER_SCRIPT
from bench.settings import write_node
from gateway.cli.nodes import NodesView, fetch_view
from gateway.demo.children import Child
from gateway.smpp.shapes import Frame
from gateway.store.embedded import EmbeddedPostgres, start_embedded
from gateway.store.postgres import Database

WINDOW: Final = 20
READY_TIMEOUT_S: Final = 120.0
TAKE_OVER_TIMEOUT_S: Final = 60.0
DRAIN_TIMEOUT_S: Final = 120.0
STEADY_S: Final = 2.0
"""Of sending by all carriers before the next kill."""
GAP_MAX_S: Final = 5.0
LOOK_S: Final = 0.1


class Clock(CarrierRelay):
    """A relay that knows when a submission passed last."""

    def __init__(self, carrier_port: int) -> None:
        super().__init__(lambda: asyncio.open_connection("127.0.0.1", carrier_port))
        self.last_at = 0.0

    def _see_submission(self, frame: Frame, waiting: dict[int, int]) -> None:
        self.last_at = time.monotonic()
        super()._see_submission(frame, waiting)


@dataclass(frozen=True, slots=True)
class Kill:
    """What killing a node cost."""

    carriers: int
    """That it had."""
    gap_s: float
    """The longest that one of these was sent nothing."""
    repeats: int


@dataclass(frozen=True, slots=True)
class Outcome:
    kills: list[Kill]
    accepted: int
    lost: int
    exit_status: int
    """Of the process that all nodes are started by."""


class Scene:
    """The nodes, their carriers and database; everything blocks but what says otherwise."""

    def __init__(self, folder: Path, count: int) -> None:
        folder.chmod(0o755)  # its PostgreSQL may run as another user
        self._folder = folder
        self._count = count
        self._children: list[Child] = []
        self._database: EmbeddedPostgres = start_embedded(folder / "data")
        self._gateway: Child
        self.relays: dict[str, Clock] = {}

    def start_carriers(self) -> list[int]:
        """Start a carrier for each node and return their ports."""
        script = self._folder / "carrier.toml"
        script.write_text(CARRIER_SCRIPT)
        ports = [word for _ in range(self._count) for word in ("--port", "0")]
        carriers = self._spawn("bench.smsc", *ports, "--script", str(script))
        found: list[int] = json.loads(_await_line(carriers, "{"))["ports"]
        return found

    async def start_relays(self, carrier_ports: Sequence[int]) -> None:
        for index, port in enumerate(carrier_ports):
            relay = self.relays[f"carrier-{index + 1}"] = Clock(port)
            await relay.start()

    def start_nodes(self) -> tuple[str, str]:
        """Start the nodes; return where they listen, and an account's key."""
        carriers = {name: relay.port for name, relay in self.relays.items()}
        file = self._folder / "gateway.toml"
        file.write_text(
            write_node(self._database.url, carriers, window=WINDOW, node="metrics_port = 0")
        )
        words = ("--config", str(file), "serve", "--nodes", str(self._count))
        self._gateway = self._spawn("gateway", *words)
        url = _await_line(self._gateway, "http://").split()[-1]
        make = ("account", "create", "shop", "--sender", "Shop", "--credit", "1000000")
        made = self._spawn("gateway", "--config", str(file), *make, "--with-key", "--json")
        said = ""
        while line := made.read_line(READY_TIMEOUT_S):
            said += line
        return url, json.loads(said)["key"]

    async def open_database(self) -> Database:
        return await Database.open(self._database.url, connections=1)

    @property
    def repeats(self) -> int:
        """How often something was sent that had been sent before, by whichever carrier."""
        sent = self.sent
        return sum(sent.values()) - len(sent)

    @property
    def sent(self) -> Counter[int]:
        return sum((relay.sent for relay in self.relays.values()), Counter[int]())

    def whole(self, view: NodesView) -> bool:
        """Whether every node serves, and every carrier is somebody's."""
        ready = [node for node in view.nodes if node.state == "ready"]
        return len(ready) == self._count and not view.carriers_of_nobody

    def stop_nodes(self) -> int:
        return self._gateway.stop()

    def stop(self) -> None:
        """Leave nothing running, whatever happened."""
        for child in reversed(self._children):
            child.end()
        self._database.stop()

    def _spawn(self, *words: str) -> Child:
        child = Child(*words, stderr=self._folder / f"{len(self._children)}.log")
        self._children.append(child)
        return child


def _await_line(child: Child, wanted: str) -> str:
    while line := child.read_line(READY_TIMEOUT_S):
        if wanted in line:
            return line
    raise TimeoutError("it has ended, or does not serve")


async def measure(
    folder: Path, count: int, kills: int, rate_per_s: float, steady_s: float = STEADY_S
) -> Outcome:
    """Run all of it and return what came of it."""
    scene = await asyncio.to_thread(Scene, folder, count)
    customer = Customer()
    try:
        async with contextlib.AsyncExitStack() as held:
            ports = await asyncio.to_thread(scene.start_carriers)
            await scene.start_relays(ports)
            for relay in scene.relays.values():
                held.push_async_callback(relay.stop)
            customer.url, customer.key = await asyncio.to_thread(scene.start_nodes)
            database = await scene.open_database()
            held.push_async_callback(database.close)
            submitting = asyncio.create_task(customer.run(rate_per_s))
            held.push_async_callback(_end, submitting)
            found = [await _kill_one(scene, database, steady_s) for _ in range(kills)]
            customer.stop()
            await asyncio.wait_for(submitting, DRAIN_TIMEOUT_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_TIMEOUT_S):
                    while customer.accepted.keys() - scene.sent.keys():  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_S)
            status = await asyncio.to_thread(scene.stop_nodes)
            lost = len(customer.accepted.keys() - scene.sent.keys())
            return Outcome(found, len(customer.accepted), lost, status)
    finally:
        await asyncio.to_thread(scene.stop)


async def _end(submitting: asyncio.Task[None]) -> None:
    submitting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await submitting


async def _kill_one(scene: Scene, database: Database, steady_s: float) -> Kill:
    """Kill the node that has the most carriers, and wait until all is as it was."""
    view = await _await_whole(scene, database)
    for relay in scene.relays.values():
        await _next_after(relay, time.monotonic())
    await asyncio.sleep(steady_s)
    busiest = max(view.nodes, key=lambda node: len(node.carriers))
    relays = [scene.relays[name] for name in busiest.carriers]
    repeats = scene.repeats
    os.kill(int(busiest.process.rpartition(":")[2]), signal.SIGKILL)
    killed_at = time.monotonic()
    await asyncio.sleep(0.05)  # what had left when it ended has passed
    lasts = [relay.last_at for relay in relays]
    firsts = [await _next_after(relay, max(killed_at, relay.last_at)) for relay in relays]
    gap_s = max(first - last for first, last in zip(firsts, lasts, strict=True))
    await _await_whole(scene, database)
    await asyncio.sleep(steady_s)
    return Kill(len(relays), gap_s, scene.repeats - repeats)


async def _next_after(relay: Clock, moment: float) -> float:
    """Return when something passed after this moment."""
    async with asyncio.timeout(TAKE_OVER_TIMEOUT_S):
        while relay.last_at <= moment:  # noqa: ASYNC110 - one look costs less than an event each
            await asyncio.sleep(0.005)
    return relay.last_at


async def _await_whole(scene: Scene, database: Database) -> NodesView:
    async with asyncio.timeout(TAKE_OVER_TIMEOUT_S):
        while not scene.whole(view := await fetch_view(database)):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_S)
        return view


def show(outcome: Outcome) -> None:
    console = Console()
    table = Table("kills", "a carrier without sending, median", "longest", "sent twice, most")
    table.add_column("in all")
    gaps = [kill.gap_s for kill in outcome.kills]
    repeats = [kill.repeats for kill in outcome.kills]
    table.add_row(
        *(str(len(gaps)), f"{statistics.median(gaps):.2f} s", f"{max(gaps):.2f} s"),
        *(str(max(repeats)), str(sum(repeats))),
    )
    console.print(table)
    console.print(
        f"accepted {outcome.accepted:,}, lost {outcome.lost:,}; the window is {WINDOW};"
        f" exit status {outcome.exit_status}"
    )


def kept(outcome: Outcome) -> bool:
    """Say whether nothing was lost, no window was sent twice, and no carrier waited too long."""
    bounded = all(k.repeats <= WINDOW * k.carriers for k in outcome.kills)
    soon = all(k.gap_s <= GAP_MAX_S for k in outcome.kills)
    return bounded and soon and not outcome.lost and not outcome.exit_status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.nodes", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--nodes", type=int, default=3, help="nodes, and carriers (3)")
    parser.add_argument("--kills", type=int, default=10, help="(10)")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second (100)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gwn"))
    try:
        run = partial(measure, folder, options.nodes, options.kills, options.rate)
        outcome = uvloop.run(run())
        show(outcome)
        return 0 if kept(outcome) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
