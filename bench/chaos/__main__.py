"""Kill, stall and cut off the parts of a gateway under load, and count what came of it.

    python -m bench.chaos --kills 50 --rate 200 --seed 1

A gateway, PostgreSQL on a small disk, a simulated carrier, a customer who submits over HTTP and one
process of his that hears webhooks: all on this machine, with a relay between any two of them.
At random moments, drawn from the seed, one of them is killed with SIGKILL, PostgreSQL is restarted,
stands still or has no room on its disk, connections between two of them are cut or lose one
direction, the gateway's clock is set. When it is over, everything that was accepted must have been
taken by the carrier and have ended, its webhook called, and the money must add up. Ends with 1 when
a promise broke. Linux only; the disk is filled where we may mount one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from bench.chaos.relay import CarrierRelay, Relay, Streams
from bench.chaos.shop import BATCH, Journal
from bench.chaos.world import RECEIPT_TIMEOUT_S, SOCKET_NAME, WINDOW, World

FINISH_TIMEOUT_S: Final = 300.0
CLOCK_MOVED_MAX_S: Final = 60.0
"""How far the gateway's clock is set from the true time, either way."""
SHOWN_MAX: Final = 200
PATIENT: Final = ("carrier", "webhook")
OF_THE_CUSTOMER: Final = ("customer killed", "webhook receiver killed")
"""These kills come on top of those that are asked for."""
TOLD: Final = "told by webhook"
UNDER_WAY: Final = ("accepted", "sending", "submitted")

Fault = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Promise:
    """One line of the verdict."""

    what: str
    expected: str
    found: str
    kept: bool


class Run:
    """One run, from its seed to its verdict."""

    def __init__(
        self, folder: Path, *, kills: int, rate_per_s: float, seed: int, quick: bool = False
    ) -> None:
        """`quick` leaves out what only patience mends: receipts that a killed carrier took with
        it, webhooks that a killed gateway had leased."""
        self._quick = quick
        self.command = f"python -m bench.chaos --kills {kills} --rate {rate_per_s:g} --seed {seed}"
        self._kills = kills
        self._rate_per_s = rate_per_s
        self._chance = random.Random(seed)
        self.world = World(folder)
        self.relay = CarrierRelay(_calls(self.world.carrier_port))
        self._to_database = Relay(
            lambda: asyncio.open_unix_connection(self.world.database_socket),
        )
        self._to_gateway = Relay(_calls(self.world.http_port))
        self._to_webhooks = Relay(_calls(self.world.webhook_port))
        self.relays: dict[str, Relay] = {
            "gateway–carrier": self.relay,
            "gateway–PostgreSQL": self._to_database,
            "customer–gateway": self._to_gateway,
            "gateway–webhook": self._to_webhooks,
        }
        self._key = ""
        self.journal = Journal()
        """The customer's, when it was over."""
        self.happened: Counter[str] = Counter()
        self.memory_mb = 0.0
        self.statuses: Counter[str] = Counter()
        """Of all messages, when it was over."""
        self.status_of: dict[str, str] = {}
        self.hidden: list[int] = []
        """Messages whose acknowledged receipt is not what readers are shown."""
        self.under_way: list[dict[str, Any]] = []
        """Messages that had not come to their end when patience did."""

    async def go(self) -> list[Promise]:
        """Return what was promised beside what was found."""
        await self._start()
        await asyncio.sleep(2.0)
        while self.kills < self._kills:
            what, fault = self.draw()
            await fault()
            self.happened[what] += 1
            self.memory_mb = max(self.memory_mb, self.world.read_gateway_mb())
            await asyncio.sleep(self._chance.uniform(0.3, 2.5))
        self.statuses = await self._finish()
        return await self._judge(self.statuses)

    @property
    def kills(self) -> int:
        """Processes killed, the customer's apart."""
        killed = {what: n for what, n in self.happened.items() if "killed" in what}
        return sum(n for what, n in killed.items() if what not in OF_THE_CUSTOMER)

    @property
    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._key}"}

    async def _start(self) -> None:
        socket_folder = self.world.folder / "relay"
        socket_folder.mkdir()
        await self.world.start_database()
        await self._to_database.start_at(socket_folder / SOCKET_NAME)
        for relay in (self.relay, self._to_gateway, self._to_webhooks):
            await relay.start()
        await self.world.start_receiver()
        self.world.write_settings(self.relay.port, socket_folder)
        await self.world.start_carrier()
        await self.world.start_gateway()
        webhook = ("--webhook-url", f"http://127.0.0.1:{self._to_webhooks.port}/")
        made = await self.world.run(
            *("account", "create", "shop", "--sender", "Shop", "--credit", "1000000"),
            *(("--with-key",) if self._quick else (*webhook, "--with-key")),
        )
        self._key = made["key"]
        url = f"http://127.0.0.1:{self._to_gateway.port}"
        await self.world.start_customer(url, self._key, self._rate_per_s)

    def draw(self) -> tuple[str, Fault]:
        """Choose what happens next."""
        world, seconds = self.world, self._chance.uniform(0.5, 3.0)
        place, up, then_cut = self._chance.random(), *self._chance.choices((True, False), k=2)
        ahead_s = self._chance.uniform(-CLOCK_MOVED_MAX_S, CLOCK_MOVED_MAX_S)
        between, relay = self._chance.choice(list(self.relays.items()))

        async def cut() -> None:
            relay.cut()

        async def move_clock() -> None:
            world.move_clock(ahead_s)

        faults: list[tuple[float, str, Fault]] = [
            (5, "gateway killed", world.kill_gateway),
            (3, "PostgreSQL killed", world.kill_database),
            (2, "PostgreSQL's process of a connection killed", lambda: world.kill_backend(place)),
            (2, "carrier killed", world.kill_carrier),
            (2, "customer killed", world.kill_customer),
            (1, "webhook receiver killed", world.kill_receiver),
            (1, "PostgreSQL restarted", world.restart_database),
            (1, "PostgreSQL stalled", lambda: world.stall_database(seconds)),
            (2, f"connections {between} cut", cut),
            (
                2,
                f"connections {between} halved",
                lambda: relay.halve(seconds, up=up, then_cut=then_cut),
            ),
            (2, "clock of the gateway set", move_clock),
        ]
        if world.disk_is_small:
            faults.append((1, "PostgreSQL's disk full", lambda: world.fill_disk(seconds)))
        if self._quick:
            faults = [each for each in faults if not each[1].startswith(PATIENT)]
        weights = [weight for weight, _, _ in faults]
        _, what, fault = self._chance.choices(faults, weights)[0]
        return what, fault

    async def _finish(self) -> Counter[str]:
        """Wait until nothing is under way and everybody was told; return the final statuses."""
        self.world.move_clock(0.0)
        await self.world.revive_database()
        await self.world.stop_customer(FINISH_TIMEOUT_S)
        deadline = time.monotonic() + FINISH_TIMEOUT_S
        async with aiohttp.ClientSession(headers=self._headers) as http:
            while time.monotonic() < deadline:
                if not any([await self._has(http, status) for status in UNDER_WAY]):
                    break
                await asyncio.sleep(0.5)
            self.journal = self.world.read_journal()
            while not self._quick and len(self.journal.told) < len(self.journal.accepted):
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.5)
                self.journal = self.world.read_journal()
            return await self._count_statuses(http)

    async def _has(self, http: aiohttp.ClientSession, status: str) -> bool:
        return bool((await self._page(http, {"status": status, "limit": 1}))["messages"])

    async def _count_statuses(self, http: aiohttp.ClientSession) -> Counter[str]:
        found: Counter[str] = Counter()
        cursor = ""
        while True:
            wanted: dict[str, Any] = {"limit": 100} | ({"cursor": cursor} if cursor else {})
            page = await self._page(http, wanted)
            found.update(message["status"] for message in page["messages"])
            self.status_of |= {m["id"]: m["status"] for m in page["messages"]}
            self.under_way += [m for m in page["messages"] if m["status"] in UNDER_WAY]
            cursor = page["next_cursor"]
            if not cursor:
                return found

    async def _page(self, http: aiohttp.ClientSession, wanted: dict[str, Any]) -> Any:
        async with http.get(f"{self.world.url}/v1/messages", params=wanted) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _judge(self, statuses: Counter[str]) -> list[Promise]:
        accepted, sent = self.journal.accepted, self.relay.sent
        duplicates = sum(sent.values()) - len(sent)
        bound = WINDOW * self.relay.breaks
        ended = sum(statuses.values()) - sum(statuses[status] for status in UNDER_WAY)
        audit = await self.world.run("audit")
        async with aiohttp.ClientSession(headers=self._headers) as http:
            async with http.get(f"{self.world.url}/v1/balance") as answer:
                balance = await answer.json()
        due = len(accepted) * 7_500 / 1e6
        count = len(accepted)
        reported = [n for n in self.relay.reported & accepted.keys() if sent[n] == 1]
        self.hidden = [n for n in reported if self.status_of.get(accepted[n]) != "delivered"]
        stopped = await self.world.stop()
        told = sum(1 for message_id in accepted.values() if message_id in self.journal.told)
        promises = [
            _equal("begun by the customer, accepted", len(self.journal.begun) * BATCH, count),
            _equal("accepted, each under an id of its own", count, len(set(accepted.values()))),
            _equal("stored, no more and no fewer", count, sum(statuses.values())),
            _equal("sent to the carrier, distinct", count, len(sent.keys() & accepted.keys())),
            Promise("sent twice", f"≤ {bound:,}", f"{duplicates:,}", duplicates <= bound),
            _equal("at an end", count, ended),
            _equal(
                "receipts acknowledged, of those sent once; applied",
                len(reported),
                len(reported) - len(self.hidden),
            ),
            _equal(TOLD, count, told),
            Promise("posted", f"{due:,.4f}", balance["posted"], float(balance["posted"]) == due),
            Promise("reserved", "0", balance["reserved"], balance["reserved"] == "0"),
            Promise("audit", "agrees", json.dumps(audit["agrees"]), audit["agrees"] is True),
            _equal("exit status of the last gateway", 0, stopped),
        ]
        return [p for p in promises if not (self._quick and p.what == TOLD)]


def _calls(port: int) -> Callable[[], Awaitable[Streams]]:
    return lambda: _call(port)


async def _call(port: int) -> Streams:
    return await asyncio.open_connection("127.0.0.1", port)


def _equal(what: str, expected: int, found: int) -> Promise:
    return Promise(what, f"{expected:,}", f"{found:,}", expected == found)


def show(run: Run, promises: list[Promise], elapsed_s: float) -> None:
    console = Console(width=100)
    what_happened = Table(box=None, show_header=False)
    for what, count in sorted(run.happened.items(), key=lambda item: -item[1]):
        what_happened.add_row(str(count), what)
    what_happened.add_row(str(run.world.failed_starts), "starts that the database broke off")
    what_happened.add_row(str(run.journal.put_off), "batches put off (429, 503)")
    what_happened.add_row(str(run.journal.unanswered), "batches without an answer")
    what_happened.add_row(str(run.journal.calls), "webhook calls")
    what_happened.add_row(f"{run.memory_mb:.0f}", "MB, the most that a gateway had resident")
    for status, count in sorted(run.statuses.items(), key=lambda item: -item[1]):
        what_happened.add_row(f"{count:,}", f"messages ended {status}")
    console.print(what_happened)
    if not run.world.disk_is_small:
        console.print("no disk was filled: none may be mounted here")
    verdict = Table(box=None, header_style="bold")
    for title in ("promise", "expected", "found", ""):
        verdict.add_column(title, justify="left" if title in ("promise", "") else "right")
    for promise in promises:
        word = "kept" if promise.kept else "BROKEN"
        verdict.add_row(promise.what, promise.expected, promise.found, word)
    console.print(verdict)
    untold = [n for n, i in run.journal.accepted.items() if i not in run.journal.told]
    if untold:
        print("not told by webhook:", ", ".join(map(str, sorted(untold)[:SHOWN_MAX])))
    for number in run.hidden[:SHOWN_MAX]:
        message_id = run.journal.accepted[number]
        print("receipt not applied:", number, message_id, run.status_of.get(message_id))
    for message in run.under_way[:SHOWN_MAX]:
        print("still under way:", json.dumps(message))
    print(f"{elapsed_s:.0f} s; every promise kept" if all(p.kept for p in promises) else "BROKEN")
    print(f"repeated by: {run.command}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, default=50, help="processes killed (50)")
    parser.add_argument("--rate", type=float, default=200.0, help="messages a second (200)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="keep the logs and say where")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="gwc"))
    run = Run(folder, kills=options.kills, rate_per_s=options.rate, seed=options.seed)
    started = time.perf_counter()
    try:
        promises = uvloop.run(run_whole(run))
        show(run, promises, time.perf_counter() - started)
        return 0 if all(promise.kept for promise in promises) else 1
    finally:
        run.world.abandon()
        if options.keep:
            print(f"logs and data are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def run_whole(run: Run) -> list[Promise]:
    """Let a run go to its verdict, and close what it opened in this process."""
    try:
        return await run.go()
    finally:
        for relay in run.relays.values():
            await relay.stop()


assert RECEIPT_TIMEOUT_S < FINISH_TIMEOUT_S, "lost receipts are waited for"

if __name__ == "__main__":
    sys.exit(main())
