"""How long nothing is sent, and what is sent twice, when the node that has a carrier ends by force.

    python -m bench.failover                          20 ends, of both kinds in turn
    python -m bench.failover --kills 40 --rate 100

Two nodes serve one database, and one of them has the carrier. In turn that one is killed (kill -9),
so that its process is seen to be gone; and frozen (SIGSTOP), so that its claim has to run out as if
its machine were cut off. A frozen one is woken when the other sends: it has to end without sending
anything. The customer goes on with the other node at once.
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
from collections.abc import Awaitable, Callable, Sequence
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
from bench.peers.processes import find_free_ports
from bench.settings import write_node
from gateway.demo.children import Child
from gateway.smpp.shapes import Frame
from gateway.store.embedded import start_embedded

WINDOW: Final = 20
READY_TIMEOUT_S: Final = 120.0
STEADY_S: Final = 2.0
"""Of sending before the next end."""
TAKE_OVER_TIMEOUT_S: Final = 60.0
DRAIN_TIMEOUT_S: Final = 120.0
GAP_MAX_S: Final = 5.0
LANDED_S: Final = 0.05
"""After it what had left when a node ended has passed the relay."""


class Clock(CarrierRelay):
    """A relay that knows when submissions passed."""

    def __init__(self, carrier_port: int) -> None:
        super().__init__(lambda: asyncio.open_connection("127.0.0.1", carrier_port))
        self.last_at = 0.0
        self._passed = asyncio.Event()

    def _see_submission(self, frame: Frame, waiting: dict[int, int]) -> None:
        self.last_at = time.monotonic()
        self._passed.set()
        super()._see_submission(frame, waiting)

    async def next_at(self) -> float:
        """Return when the next submission passes."""
        self._passed.clear()
        await asyncio.wait_for(self._passed.wait(), TAKE_OVER_TIMEOUT_S)
        return self.last_at

    @property
    def repeats(self) -> int:
        return sum(self.sent.values()) - len(self.sent)


@dataclass(frozen=True, slots=True)
class End:
    """What one end by force cost."""

    frozen: bool
    gap_s: float
    """Between the last submission before it and the first one after it."""
    repeats: int


class Pair:
    """Two nodes on one database, each with a port of its own, and a simulated carrier."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)  # its PostgreSQL may run as another user
        self._folder = folder
        self._database = start_embedded(folder / "data")
        self.carrier_port, *self._ports = find_free_ports(3)
        self._owner = 0
        """Which of them has the carrier."""
        self._children: list[Child] = []
        self._nodes: dict[int, Child] = {}

    @property
    def url(self) -> str:
        """Where the node serves that has the carrier."""
        return f"http://127.0.0.1:{self._ports[self._owner]}"

    def start(self, relay_port: int) -> str:
        """Start everything; return an account's key."""
        for place, port in enumerate(self._ports):
            self._file(place).write_text(
                write_node(self._database.url, {"alpha": relay_port}, window=WINDOW, port=port)
            )
        script = self._folder / "carrier.toml"
        script.write_text(CARRIER_SCRIPT)
        carrier = self._spawn(
            "bench.smsc", "--port", str(self.carrier_port), "--script", str(script)
        )
        _await_line(carrier, "{")
        self._start_node(0)
        key = self._make_account()
        self._start_node(1)
        return key

    def _start_node(self, place: int) -> None:
        node = self._spawn("gateway", "--config", str(self._file(place)), "serve")
        self._nodes[place] = node
        _await_line(node, "http://")

    async def end_by_force(
        self, on_ended: Callable[[str], None], taken_over: Awaitable[float], *, frozen: bool
    ) -> float:
        """End the node that has the carrier, see the other one take that over, and start it again.

        `on_ended` hears where to go meanwhile; returns when the other one first sent.
        """
        ended = self._nodes[self._owner]
        os.kill(ended.pid, signal.SIGSTOP if frozen else signal.SIGKILL)
        place, self._owner = self._owner, 1 - self._owner
        on_ended(self.url)
        try:
            await asyncio.sleep(LANDED_S)
            first_at = await taken_over
        finally:
            if frozen:
                os.kill(ended.pid, signal.SIGCONT)
        await asyncio.to_thread(_await_end, ended)
        await asyncio.to_thread(self._start_node, place)
        return first_at

    def stop(self) -> None:
        """Leave nothing running, whatever happened."""
        for child in self._children:
            child.end()
        self._database.stop()

    def _make_account(self) -> str:
        words = ("account", "create", "shop", "--sender", "Shop", "--credit", "1000000")
        made = self._spawn(
            "gateway", "--config", str(self._file(0)), *words, "--with-key", "--json"
        )
        said = ""
        while line := made.read_line(READY_TIMEOUT_S):
            said += line
        key: str = json.loads(said)["key"]
        return key

    def _file(self, place: int) -> Path:
        return self._folder / f"gateway-{place}.toml"

    def _spawn(self, *words: str) -> Child:
        log = self._folder / f"{len(self._children)}.log"
        child = Child(*words, stderr=log)
        self._children.append(child)
        return child


def _await_line(child: Child, wanted: str) -> None:
    while line := child.read_line(READY_TIMEOUT_S):
        if wanted in line:
            return
    raise TimeoutError("it has ended, or does not serve")


def _await_end(child: Child) -> None:
    """See a gateway that was taken over end by itself."""
    deadline = time.monotonic() + TAKE_OVER_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            state = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0]
            if state != "Z":
                time.sleep(0.05)
                continue
        child.end()
        return
    raise TimeoutError("a gateway that was taken over goes on")


async def measure(
    folder: Path, kills: int, rate_per_s: float, steady_s: float = STEADY_S
) -> tuple[list[End], int, int]:
    """Return what each end cost, how many messages were accepted, and how many of them are lost."""
    pair = await asyncio.to_thread(Pair, folder)
    relay, customer = Clock(pair.carrier_port), Customer()
    submitting: asyncio.Task[None] | None = None
    try:
        await relay.start()
        customer.key = await asyncio.to_thread(pair.start, relay.port)
        customer.url = pair.url
        submitting = asyncio.create_task(customer.run(rate_per_s))
        ends = [
            await _end_one(pair, relay, customer, steady_s, frozen=bool(n % 2))
            for n in range(kills)
        ]
        customer.stop()
        await asyncio.wait_for(submitting, DRAIN_TIMEOUT_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                while customer.accepted.keys() - relay.sent.keys():  # noqa: ASYNC110
                    await asyncio.sleep(0.2)
        return ends, len(customer.accepted), len(customer.accepted.keys() - relay.sent.keys())
    finally:
        if submitting is not None:
            submitting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await submitting
        await relay.stop()
        await asyncio.to_thread(pair.stop)


async def _end_one(
    pair: Pair, relay: Clock, customer: Customer, steady_s: float, *, frozen: bool
) -> End:
    await asyncio.sleep(steady_s)
    await relay.next_at()
    repeats = relay.repeats
    last_at = 0.0

    async def see_next() -> float:
        nonlocal last_at
        last_at = relay.last_at
        return await relay.next_at()

    first_at = await pair.end_by_force(partial(setattr, customer, "url"), see_next(), frozen=frozen)
    await asyncio.sleep(steady_s)
    return End(frozen, first_at - last_at, relay.repeats - repeats)


def show(ends: Sequence[End], accepted: int, lost: int) -> None:
    console = Console()
    table = Table("the node that has the carrier is", "times", "no sending, median", "longest")
    table.add_column("sent twice, most")
    table.add_column("in all")
    for frozen, words in ((False, "killed (kill -9)"), (True, "frozen (SIGSTOP)")):
        chosen = [end for end in ends if end.frozen is frozen]
        if chosen:
            gaps = [end.gap_s for end in chosen]
            repeats = [end.repeats for end in chosen]
            table.add_row(
                *(words, str(len(chosen)), f"{statistics.median(gaps):.2f} s"),
                *(f"{max(gaps):.2f} s", str(max(repeats)), str(sum(repeats))),
            )
    console.print(table)
    console.print(f"accepted {accepted:,}, lost {lost:,}; the window is {WINDOW}")


def kept(ends: Sequence[End], lost: int) -> bool:
    """Say whether nothing was lost, no window passed twice, and no take-over took too long."""
    return not lost and all(e.repeats <= WINDOW and e.gap_s <= GAP_MAX_S for e in ends)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=20, help="ends by force (20)")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second (100)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gwf"))
    try:
        ends, accepted, lost = uvloop.run(measure(folder, options.kills, options.rate))
        show(ends, accepted, lost)
        return 0 if kept(ends, lost) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
