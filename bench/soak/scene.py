"""The steady load and everything around it: a carrier, a gateway, customers in three ways.

Three messages of four come over HTTP, each with a `client_ref` and its outcome called back; the
fourth comes over SMPP, and its receipt goes up the same bind. The carrier's receipts come after
two seconds. How long idempotency keys live is shortened, so that an hour sees them go; and few
submissions are remembered, so that this memory is full at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from bench.bed import RunningGateway, start_gateway
from bench.generator.backlog import Backlog
from bench.generator.driver import Driver, NoProgress
from bench.generator.figures import Figures
from bench.generator.messages import Messages, Wanted
from bench.generator.smpp import Login, SmppLoad
from bench.peers.carrier import SimulatedCarrier, start_carrier
from bench.peers.processes import find_free_ports
from bench.peers.sink import Sink
from bench.settings import write_gateway
from bench.soak.watch import StoppedClock, Watch
from gateway.lifecycle import Status

RECEIPT_DELAY_S: Final = 2.0
CONNECTIONS: Final = 16
SMPP_WINDOW: Final = 100
SMPP_SHARE: Final = 0.25
SLICE_S: Final = 10.0
LOOK_S: Final = 0.1
SETTLE_MAX_S: Final = 120.0
GIVE_UP_S: Final = 120.0
IDEMPOTENCY_S: Final = 300
REFERENCES_MAX: Final = 2_000
"""Some 0.4 KB each. With the 100,000 that are usual, memory rises until so many messages were sent,
which at 50 a second is half an hour; with few it can be told from a leak."""

_MORE: Final = """
[messages]
idempotency_s = {idempotency_s}
[dispatch]
references_max = {references_max}
[webhooks]
allow_private = true
"""

_ENDS: Final = """
SELECT status, count(DISTINCT message_id) AS n FROM events WHERE status >= 10 GROUP BY status"""

if TYPE_CHECKING:
    _Floats = array[float]
else:
    _Floats = array


class TimedLatencies(_Floats):
    """Latencies that remember when each was measured."""

    def __init__(self, code: str) -> None:
        # array.__new__ has taken the code.
        self.at_s: array[float] = array("d")

    def append(self, latency_s: float, /) -> None:
        super().append(latency_s)
        self.at_s.append(time.perf_counter())

    def extend(self, latencies_s: Iterable[float], /) -> None:
        at_s, before = time.perf_counter(), len(self)
        super().extend(latencies_s)
        self.at_s.extend([at_s] * (len(self) - before))

    def since(self, started_s: float) -> Iterator[tuple[float, float]]:
        """Return (seconds since the start, latency) of each answer."""
        for at_s, latency_s in zip(self.at_s, self, strict=True):
            yield at_s - started_s, latency_s


@dataclass(slots=True)
class Soak:
    """What a run came to."""

    seconds: float
    watch: Watch
    clock: StoppedClock
    http: Figures
    smpp: Figures
    answers: dict[str, list[tuple[float, float]]]
    """(answered at, latency) of each way in."""
    ended_early: list[str] = field(default_factory=list)
    stored: int = 0
    """Messages in the store after the load."""
    states: dict[str, int] = field(default_factory=dict)
    """How they ended; the rest has no end."""
    carrier: dict[str, int] = field(default_factory=dict)
    called_back: int = 0
    went_up: int = 0


@dataclass(frozen=True, slots=True)
class _Bed:
    gateway: RunningGateway
    carrier: SimulatedCarrier
    sink: Sink
    key: str
    login: Login


async def soak(seconds: float, rate_per_s: float) -> Soak:
    """Load a fresh gateway at a steady rate and look at it; return what was seen."""
    async with _lay_bed() as bed, bed.gateway.connect() as connection:
        await bed.carrier.wait_bound()
        await _wait_until_known(bed.login)
        started_s = time.perf_counter()
        watch = Watch(bed.gateway, connection, started_s)
        clock = StoppedClock(started_s)
        customers = _Customers(bed, started_s, seconds, rate_per_s)
        async with asyncio.TaskGroup() as group:
            watching = [group.create_task(clock.run()), group.create_task(watch.run())]
            await customers.run()
            run = customers.tell(watch, clock)
            for task in watching:
                task.cancel()
        await _settle(bed, connection, run)
        return run


class _Customers:
    """Both ways in, each at its share of the rate."""

    def __init__(self, bed: _Bed, started_s: float, seconds: float, rate_per_s: float) -> None:
        self.http = Figures(latencies_s=TimedLatencies("d"))
        self.smpp = Figures(latencies_s=TimedLatencies("d"))
        self.went_up = 0
        self._bed = bed
        self._started_s = started_s
        self._seconds = seconds
        self._rate_per_s = rate_per_s
        self._ended_early: list[str] = []

    async def run(self) -> None:
        await asyncio.gather(self._send_http(), self._send_smpp())

    def tell(self, watch: Watch, clock: StoppedClock) -> Soak:
        answers = {}
        for name, figures in (("HTTP", self.http), ("SMPP", self.smpp)):
            assert isinstance(figures.latencies_s, TimedLatencies)
            answers[name] = list(figures.latencies_s.since(self._started_s))
        return Soak(
            self._seconds,
            watch,
            clock,
            self.http,
            self.smpp,
            answers,
            ended_early=self._ended_early,
            went_up=self.went_up,
        )

    async def _send_http(self) -> None:
        address = urlsplit(self._bed.gateway.url)
        messages = Messages(Wanted(host=address.netloc, key=self._bed.key, run="soak"))
        driver = Driver("127.0.0.1", address.port or 80, messages, repeatable=True)
        await driver.open(CONNECTIONS)
        try:
            for backlog in self._slices(1, self._rate_per_s * (1 - SMPP_SHARE)):
                try:
                    await driver.run(backlog, self.http, GIVE_UP_S)
                except NoProgress as reason:
                    self._note_stall("HTTP", reason)
        finally:
            driver.close()

    async def _send_smpp(self) -> None:
        load: SmppLoad | None = None
        for backlog in self._slices(500_000_001, self._rate_per_s * SMPP_SHARE):
            if load is None:
                load = SmppLoad(
                    self._bed.login, binds=1, window=SMPP_WINDOW, receipts=True, to_prefix="44798"
                )
                await load.bind()
            try:
                await load.run(backlog, self.smpp, GIVE_UP_S)
            except NoProgress as reason:
                # A bind that is lost is made anew for the next slice.
                self._note_stall("SMPP", reason)
                self.went_up += await _leave(load)
                load = None
        if load is not None:
            await self._wait_for_last(load)
            self.went_up += await _leave(load)

    async def _wait_for_last(self, load: SmppLoad) -> None:
        """Return when every receipt has come up, or the last one is overdue."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * RECEIPT_DELAY_S):
                while self.went_up + load.receipts_taken < self.smpp.accepted:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)

    def _slices(self, first: int, rate_per_s: float) -> Iterator[Backlog]:
        """Return the load in slices, one after the other until the time is over.

        What a machine that stood still has missed is not caught up with, except for its slice.
        """
        due_s, end_s = self._started_s, self._started_s + self._seconds
        while due_s < end_s:
            messages = max(1, round(min(SLICE_S, end_s - due_s) * rate_per_s))
            yield Backlog(messages, 1, due_s, rate_per_s, first)
            first += messages
            due_s += messages / rate_per_s
            if time.perf_counter() > due_s + SLICE_S:
                due_s = time.perf_counter()

    def _note_stall(self, way: str, reason: NoProgress) -> None:
        at_s = time.perf_counter() - self._started_s
        self._ended_early.append(f"{way} at {at_s:.0f} s: {reason}")


async def _wait_until_known(login: Login) -> None:
    """Return once the gateway lets this customer in, whom it may not have read yet."""
    load = SmppLoad(login, binds=1, window=1, receipts=False)
    await load.bind()
    await load.close()


async def _leave(load: SmppLoad) -> int:
    """Unbind; return how many receipts had come up."""
    await load.close()
    return load.receipts_taken


async def _settle(bed: _Bed, connection: Any, run: Soak) -> None:
    """Wait until every accepted message has its end, and count what became of all."""
    wanted = run.http.accepted + run.smpp.accepted
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_MAX_S):
            # Another process's state has no event to wait on.
            while (await bed.carrier.look()).acknowledged < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.5)
            while await connection.fetchval("SELECT count(*) FROM outbox"):  # noqa: ASYNC110
                await asyncio.sleep(0.5)
    run.stored = await connection.fetchval("SELECT count(*) FROM messages", timeout=300)
    rows = await connection.fetch(_ENDS, timeout=300)
    run.states = {Status(row["status"]).wire: row["n"] for row in rows}
    seen = await bed.carrier.look()
    run.carrier = {"distinct": seen.distinct, "duplicates": seen.duplicates}
    run.called_back = bed.sink.calls


@asynccontextmanager
async def _lay_bed() -> AsyncIterator[_Bed]:
    """Start everything in a temporary folder that is removed afterwards."""
    smpp_port, sink_port = find_free_ports(2)
    sink = Sink(sink_port)
    await sink.start()
    with _make_folder() as folder, start_carrier(folder, RECEIPT_DELAY_S) as carrier:
        settings = write_gateway(folder, carrier.port, window=100, smpp_port=smpp_port)
        more = _MORE.format(idempotency_s=IDEMPOTENCY_S, references_max=REFERENCES_MAX)
        with start_gateway(folder, settings + more) as gateway:
            try:
                key = gateway.create_account("web")
                gateway.run("account", "update", "web", "--webhook-url", sink.url("events"))
                gateway.create_account("bound")
                login = gateway.run("account", "smpp", "set", "bound")
                yield _Bed(
                    gateway,
                    carrier,
                    sink,
                    key,
                    Login(port=smpp_port, system_id="bound", password=login["password"]),
                )
            finally:
                await sink.stop()


@contextmanager
def _make_folder() -> Iterator[Path]:
    # Short: the path of PostgreSQL's socket must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gws"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
