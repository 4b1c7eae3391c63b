"""Kill, stall and cut off the parts of a gateway under load, and count what came of it.

    python -m bench.chaos --kills 50 --rate 200 --seed 1

A gateway with its own PostgreSQL, a simulated carrier behind a relay, a customer who submits over
HTTP and hears webhooks: processes of their own, all on this machine. At random moments, drawn from
the seed, one of them is killed with SIGKILL, PostgreSQL is restarted or stands still, connections
to the carrier are cut, or lose one direction. When it is over, everything that was accepted must
have been taken by the carrier and have ended, its webhook called, and the money must add up.
Ends with 1 when a promise broke. Linux only.
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

from bench.chaos.customer import Customer
from bench.chaos.relay import Relay
from bench.chaos.world import RECEIPT_TIMEOUT_S, WINDOW, World

FINISH_TIMEOUT_S: Final = 200.0
SHOWN_MAX: Final = 200
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

    def __init__(self, folder: Path, *, kills: int, rate_per_s: float, seed: int) -> None:
        self.command = f"python -m bench.chaos --kills {kills} --rate {rate_per_s:g} --seed {seed}"
        self._kills = kills
        self._rate_per_s = rate_per_s
        self._chance = random.Random(seed)
        self.world = World(folder)
        self.relay = Relay(self.world.carrier_port)
        self.customer = Customer(self.world.url)
        self.happened: Counter[str] = Counter()
        self.memory_mb = 0.0
        self.statuses: Counter[str] = Counter()
        """Of all messages, when it was over."""
        self.under_way: list[dict[str, Any]] = []
        """Messages that had not come to their end when patience did."""

    async def go(self) -> list[Promise]:
        """Return what was promised beside what was found."""
        await self._start()
        submitting = asyncio.create_task(self.customer.run(self._rate_per_s))
        try:
            await asyncio.sleep(2.0)
            while sum(n for what, n in self.happened.items() if "killed" in what) < self._kills:
                what, fault = self._draw()
                await fault()
                self.happened[what] += 1
                self.memory_mb = max(self.memory_mb, self.world.read_gateway_mb())
                await asyncio.sleep(self._chance.uniform(0.3, 2.5))
            self.customer.stop()
            await asyncio.wait_for(submitting, FINISH_TIMEOUT_S)
        finally:
            submitting.cancel()
        self.statuses = await self._finish()
        return await self._judge(self.statuses)

    async def _start(self) -> None:
        await self.relay.start()
        await self.customer.listen()
        self.world.write_settings(self.relay.port)
        await self.world.start_carrier()
        await self.world.start_gateway()
        made = await self.world.run(
            *("account", "create", "shop", "--sender", "Shop", "--credit", "1000000"),
            *("--webhook-url", f"http://127.0.0.1:{self.customer.webhook_port}/", "--with-key"),
        )
        self.customer.key = made["key"]

    def _draw(self) -> tuple[str, Fault]:
        world, seconds = self.world, self._chance.uniform(0.5, 3.0)
        place = self._chance.random()

        async def cut() -> None:
            self.relay.cut()

        faults: list[tuple[float, str, Fault]] = [
            (5, "gateway killed", world.kill_gateway),
            (3, "PostgreSQL killed", world.kill_database),
            (2, "PostgreSQL's process of a connection killed", lambda: world.kill_backend(place)),
            (2, "carrier killed", world.kill_carrier),
            (1, "PostgreSQL restarted", world.restart_database),
            (1, "PostgreSQL stalled", lambda: world.stall_database(seconds)),
            (2, "connections to the carrier cut", cut),
            (1, "connections to the carrier halved", lambda: self.relay.halve(seconds)),
        ]
        weights = [weight for weight, _, _ in faults]
        _, what, fault = self._chance.choices(faults, weights)[0]
        return what, fault

    async def _finish(self) -> Counter[str]:
        """Wait until nothing is under way and everybody was told; return the final statuses."""
        deadline = time.monotonic() + FINISH_TIMEOUT_S
        async with aiohttp.ClientSession(headers=self.customer.headers) as http:
            while time.monotonic() < deadline:
                if not any([await self._has(http, status) for status in UNDER_WAY]):
                    break
                await asyncio.sleep(0.5)
            while len(self.customer.told) < len(self.customer.accepted):
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(0.2)
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
            self.under_way += [m for m in page["messages"] if m["status"] in UNDER_WAY]
            cursor = page["next_cursor"]
            if not cursor:
                return found

    async def _page(self, http: aiohttp.ClientSession, wanted: dict[str, Any]) -> Any:
        async with http.get(f"{self.world.url}/v1/messages", params=wanted) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def _judge(self, statuses: Counter[str]) -> list[Promise]:
        accepted, sent = self.customer.accepted, self.relay.sent
        duplicates = sum(sent.values()) - len(sent)
        bound = WINDOW * self.relay.breaks
        ended = sum(statuses.values()) - sum(statuses[status] for status in UNDER_WAY)
        audit = await self.world.run("audit")
        async with aiohttp.ClientSession(headers=self.customer.headers) as http:
            async with http.get(f"{self.world.url}/v1/balance") as answer:
                balance = await answer.json()
        due = len(accepted) * 7_500 / 1e6
        count = len(accepted)
        stopped = await self.world.stop()
        told = sum(1 for message_id in accepted.values() if message_id in self.customer.told)
        return [
            _equal("accepted, each under an id of its own", count, len(set(accepted.values()))),
            _equal("stored, no more and no fewer", count, sum(statuses.values())),
            _equal("sent to the carrier, distinct", count, len(sent.keys() & accepted.keys())),
            Promise("sent twice", f"≤ {bound:,}", f"{duplicates:,}", duplicates <= bound),
            _equal("at an end", count, ended),
            _equal("told by webhook", count, told),
            Promise("posted", f"{due:,.4f}", balance["posted"], float(balance["posted"]) == due),
            Promise("reserved", "0", balance["reserved"], balance["reserved"] == "0"),
            Promise("audit", "agrees", json.dumps(audit["agrees"]), audit["agrees"] is True),
            _equal("exit status of the last gateway", 0, stopped),
        ]


def _equal(what: str, expected: int, found: int) -> Promise:
    return Promise(what, f"{expected:,}", f"{found:,}", expected == found)


def show(run: Run, promises: list[Promise], elapsed_s: float) -> None:
    console = Console(width=100)
    what_happened = Table(box=None, show_header=False)
    for what, count in sorted(run.happened.items(), key=lambda item: -item[1]):
        what_happened.add_row(str(count), what)
    what_happened.add_row(str(run.customer.put_off), "batches put off (429, 503)")
    what_happened.add_row(str(run.customer.unanswered), "batches without an answer")
    what_happened.add_row(str(run.customer.calls), "webhook calls")
    what_happened.add_row(f"{run.memory_mb:.0f}", "MB, the most that a gateway had resident")
    for status, count in sorted(run.statuses.items(), key=lambda item: -item[1]):
        what_happened.add_row(f"{count:,}", f"messages ended {status}")
    console.print(what_happened)
    verdict = Table(box=None, header_style="bold")
    for title in ("promise", "expected", "found", ""):
        verdict.add_column(title, justify="left" if title in ("promise", "") else "right")
    for promise in promises:
        word = "kept" if promise.kept else "BROKEN"
        verdict.add_row(promise.what, promise.expected, promise.found, word)
    console.print(verdict)
    untold = [n for n, i in run.customer.accepted.items() if i not in run.customer.told]
    if untold:
        print("not told by webhook:", ", ".join(map(str, sorted(untold)[:SHOWN_MAX])))
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
        promises = uvloop.run(_whole(run))
        show(run, promises, time.perf_counter() - started)
        return 0 if all(promise.kept for promise in promises) else 1
    finally:
        run.world.abandon()
        if options.keep:
            print(f"logs and data are in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


async def _whole(run: Run) -> list[Promise]:
    try:
        return await run.go()
    finally:
        await run.relay.stop()
        await run.customer.close()


assert RECEIPT_TIMEOUT_S < FINISH_TIMEOUT_S, "lost receipts are waited for"

if __name__ == "__main__":
    sys.exit(main())
