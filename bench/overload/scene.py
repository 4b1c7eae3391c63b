"""A gateway that is offered too much: before, meanwhile, afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.backlog.start import read_peak_mb
from bench.bed import RunningGateway, start_gateway
from bench.generator.backlog import Backlog
from bench.generator.driver import Driver, NoProgress
from bench.generator.figures import Figures, percentile
from bench.generator.messages import Messages, Wanted
from bench.generator.smpp import Login
from bench.overload.cases import Case
from bench.overload.probe import Answer, Probe
from bench.overload.pushing import Pushing, PushingSmpp
from bench.peers.carrier import SimulatedCarrier, start_carrier
from bench.peers.cost import read_memory_mb
from bench.peers.processes import find_free_ports
from bench.settings import write_gateway

CALM_S: Final = 5.0
"""Before and after the load, to know what is normal and when it is so again."""
AFTERWARDS_S: Final = 15.0
SETTLE_MAX_S: Final = 600.0
GIVE_UP_S: Final = 60.0
LOOK_S: Final = 1.0
SMPP_BINDS: Final = 2
SMPP_WINDOW: Final = 100
SMPP_FIRST: Final = 500_000_001
ENDLESS: Final = 100_000_000
BACK_TO_NORMAL: Final = 3
"""Answers in a row that are as before."""
NORMAL_FACTOR: Final = 3.0
NORMAL_SLACK_S: Final = 0.1


@dataclass(slots=True)
class Overload:
    """What one case came to."""

    seconds: float
    http: Figures
    smpp: Figures
    before: list[Answer]
    during: list[Answer]
    after: list[Answer]
    memory_mb: list[tuple[float, float]]
    peak_mb: float
    ended_s: float
    """When the load ended, on the monotonic clock."""
    at_carrier: int = 0
    duplicates: int = 0
    acknowledged: int = 0
    settled_s: float = 0.0
    """From the load's end to the last receipt."""
    stalls: list[str] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """Messages whose sender was told so, the probe's too."""
        probes = sum(each.taken for each in (*self.before, *self.during, *self.after))
        return self.http.accepted + self.smpp.accepted + probes

    @property
    def unanswered(self) -> int:
        return self.http.lost + self.smpp.lost + len(self.stalls)

    def find_recovery_s(self) -> float | None:
        """Return after how many seconds answers are as before the load; None: not within
        `AFTERWARDS_S`."""
        normal_s = NORMAL_FACTOR * max(each.seconds for each in self.before) + NORMAL_SLACK_S
        good = 0
        for each in self.after:
            good = good + 1 if each.taken and each.seconds <= normal_s else 0
            if good == BACK_TO_NORMAL:
                first = self.after[self.after.index(each) - BACK_TO_NORMAL + 1]
                return max(0.0, first.asked_s + first.seconds - self.ended_s)
        return None


async def overload(folder: Path, case: Case, seconds: float) -> Overload:
    """Offer a fresh gateway too much for a while; return what was seen."""
    (smpp_port,) = find_free_ports(1)
    with (
        start_carrier(folder, 0.2) as carrier,
        _start(folder, case, carrier, smpp_port) as gateway,
    ):
        await carrier.wait_bound()
        scene = _Scene(gateway, carrier, case, smpp_port)
        await scene.prepare()
        return await scene.run(seconds)


@contextmanager
def _start(
    folder: Path, case: Case, carrier: SimulatedCarrier, smpp_port: int
) -> Iterator[RunningGateway]:
    if case.commit_delay_ms:
        cluster = folder / "data" / "postgresql"
        with start_gateway(folder, _write_settings(folder, case, carrier, smpp_port)):
            pass  # its cluster is made
        with (cluster / "local.conf").open("a", encoding="ascii") as local:
            local.write(f"commit_delay = {case.commit_delay_ms * 1_000}\ncommit_siblings = 0\n")
    with start_gateway(folder, _write_settings(folder, case, carrier, smpp_port)) as gateway:
        yield gateway


def _write_settings(folder: Path, case: Case, carrier: SimulatedCarrier, smpp_port: int) -> str:
    return write_gateway(
        folder, carrier.port, smpp_port=smpp_port, http=case.http, carrier=case.carrier
    )


class _Scene:
    def __init__(
        self, gateway: RunningGateway, carrier: SimulatedCarrier, case: Case, smpp_port: int
    ) -> None:
        self._gateway = gateway
        self._carrier = carrier
        self._case = case
        self._smpp_port = smpp_port
        self._memory_mb: list[tuple[float, float]] = []
        self._stalls: list[str] = []

    async def prepare(self) -> None:
        """Make the accounts; everything that pushes is connected before it does."""
        gateway = self._gateway
        address = urlsplit(gateway.url)
        key = await asyncio.to_thread(gateway.create_account, "pushes")
        bank = await asyncio.to_thread(gateway.create_account, "bank")
        login = await asyncio.to_thread(gateway.run, "account", "smpp", "set", "pushes")
        self._probe = Probe(gateway.url, bank)
        self._messages = Messages(Wanted(host=address.netloc, key=key))
        self._port = address.port or 80
        self._smpp = PushingSmpp(
            Login(port=self._smpp_port, system_id="pushes", password=login["password"]),
            binds=SMPP_BINDS,
            window=SMPP_WINDOW,
            receipts=False,
            to_prefix="44798",
        )
        if self._case.smpp_rate_per_s:
            await self._smpp.bind()

    async def run(self, seconds: float) -> Overload:
        """Look, push and look; return once everything that was accepted is through."""
        async with asyncio.TaskGroup() as group:
            looking = [group.create_task(self._probe.run()), group.create_task(self._watch())]
            await asyncio.sleep(CALM_S)
            before = self._take_answers()
            http, smpp = Figures(), Figures()
            await asyncio.gather(self._push_http(http, seconds), self._push_smpp(smpp, seconds))
            ended_s = time.monotonic()
            during = self._take_answers()
            await asyncio.sleep(AFTERWARDS_S)
            for task in looking:
                task.cancel()
        found = Overload(
            seconds,
            http,
            smpp,
            before,
            during,
            self._take_answers(),
            self._memory_mb,
            read_peak_mb(self._gateway.pid),
            ended_s,
            stalls=self._stalls,
        )
        await self._settle(found)
        await self._smpp.close()
        return found

    def _take_answers(self) -> list[Answer]:
        answers, self._probe.answers = self._probe.answers, []
        return answers

    async def _push_http(self, figures: Figures, seconds: float) -> None:
        driver = Driver("127.0.0.1", self._port, Pushing(self._messages), repeatable=False)
        await driver.open(self._case.connections)
        rate_per_s = self._case.rate_per_s
        count = int(rate_per_s * seconds) if rate_per_s else ENDLESS
        backlog = Backlog(count, 1, time.perf_counter(), rate_per_s)
        if not rate_per_s:
            asyncio.get_running_loop().call_later(seconds, backlog.end)
        try:
            await driver.run(backlog, figures, GIVE_UP_S)
        except NoProgress as reason:
            self._stalls.append(f"HTTP: {reason}")
        finally:
            driver.close()

    async def _push_smpp(self, figures: Figures, seconds: float) -> None:
        rate_per_s = self._case.smpp_rate_per_s
        if not rate_per_s:
            return
        count = int(rate_per_s * seconds)
        backlog = Backlog(count, 1, time.perf_counter(), rate_per_s, SMPP_FIRST)
        try:
            await self._smpp.run(backlog, figures, GIVE_UP_S)
        except NoProgress as reason:
            self._stalls.append(f"SMPP: {reason}")

    async def _watch(self) -> None:
        started_s = time.monotonic()
        while True:
            memory_mb = await asyncio.to_thread(read_memory_mb, [self._gateway.pid])
            self._memory_mb.append((round(time.monotonic() - started_s, 1), round(memory_mb, 1)))
            await asyncio.sleep(LOOK_S)

    async def _settle(self, found: Overload) -> None:
        """Wait until everything accepted has its receipt, or nothing moves any more."""
        deadline_s = time.monotonic() + SETTLE_MAX_S
        while True:
            seen = await self._carrier.look()
            if seen.acknowledged >= found.accepted or time.monotonic() > deadline_s:
                break
            await asyncio.sleep(LOOK_S)
        found.at_carrier, found.duplicates = seen.distinct, seen.duplicates
        found.acknowledged = seen.acknowledged
        found.settled_s = max(0.0, seen.acknowledged_s - found.ended_s)


def tell_ms(seconds: list[float]) -> str:
    """Return the median, the 99th percentile and the most of some times."""
    if not seconds:
        return "none"
    ordered = sorted(seconds)
    return " / ".join(
        f"{value * 1_000:,.0f}"
        for value in (percentile(ordered, 50), percentile(ordered, 99), ordered[-1])
    )
