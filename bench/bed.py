"""A gateway and a simulated carrier in processes of their own, and what they cost.

Coroutines aside everything blocks; leaving a context stops what it started, the database too.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import psutil

from bench.settings import write_gateway
from gateway.demo.children import Child
from gateway.store.embedded import start_embedded

READY_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds that processes have taken so far, user and system together."""

    gateway_s: float
    database_s: float
    carrier_s: float

    def since(self, before: Cost) -> Cost:
        return Cost(
            self.gateway_s - before.gateway_s,
            self.database_s - before.database_s,
            self.carrier_s - before.carrier_s,
        )


@dataclass(frozen=True, slots=True)
class Counts:
    submitted: int
    received: int


@dataclass(frozen=True, slots=True)
class RunningGateway:
    """A gateway that serves, with its own database; made by `start_gateway`."""

    folder: Path
    settings: Path
    url: str
    pid: int
    database_pid: int
    """PostgreSQL's first process; the others are its children."""

    def create_account(self, name: str, credit: int = 1_000_000) -> str:
        """Make an account and return its API key."""
        words = ("account", "create", name, "--credit", str(credit), "--with-key")
        key: str = self.run(*words)["key"]
        return key

    def run(self, *words: str) -> Any:
        """Run one of the gateway's commands and return what it says, read from JSON."""
        with Child("gateway", "--config", str(self.settings), *words, "--json") as child:
            said = ""
            while True:
                said += _line(child, " ".join(words[:2]))
                try:
                    return json.loads(said)
                except json.JSONDecodeError:
                    continue  # the rest of it is in the next lines

    async def fetch_database_url(self) -> str:
        """Return the address of its database, good for as long as it runs."""
        server = await asyncio.to_thread(start_embedded, self.folder / "data")
        await asyncio.to_thread(server.stop)
        return server.url

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        """Open a connection of our own to its database."""
        connection = await asyncpg.connect(await self.fetch_database_url())
        try:
            yield connection
        finally:
            await connection.close()


@contextmanager
def start_gateway(
    folder: Path,
    settings: str,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    python: Path | None = None,
) -> Iterator[RunningGateway]:
    """Run a gateway whose data, settings and log are in `folder`; `options` are of `serve`, and
    `python` has the gateway that is meant, if that is not this one."""
    file = folder / "gateway.toml"
    file.write_text(settings)
    words = ("--config", str(file), "serve", *options)
    log = folder / "gateway.log"
    with Child("gateway", *words, stderr=log, environment=environment, python=python) as gateway:
        url = _listening(gateway)
        pid_file = folder / "data" / "postgresql" / "postmaster.pid"
        database_pid = int(pid_file.read_text().splitlines()[0])
        yield RunningGateway(folder, file, url, gateway.pid, database_pid)


class Bed:
    """The running parts; made by `lay_bed`."""

    def __init__(self, gateway: RunningGateway, carrier: Child, key: str) -> None:
        self.url = gateway.url
        self.key = key
        self.gateway = gateway
        self._gateway = psutil.Process(gateway.pid)
        self._carrier = psutil.Process(carrier.pid)
        self._database = psutil.Process(gateway.database_pid)

    def read_cost(self) -> Cost:
        servers = [self._database, *self._database.children()]
        return Cost(_cpu_s(self._gateway), sum(map(_cpu_s, servers)), _cpu_s(self._carrier))

    def read_peak_mb(self) -> float:
        """Return the most memory that the gateway has had resident."""
        status = Path(f"/proc/{self._gateway.pid}/status").read_text()
        peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024

    async def read_counts(self, http: aiohttp.ClientSession) -> Counts:
        """Return what the gateway says that it has submitted and received."""
        async with http.get(f"{self.url}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return Counts(
            _sum(lines, "gateway_submissions_total{", 'status="ESME_ROK"'),
            _sum(lines, "gateway_receipts_total{", 'state="delivered"'),
        )


@contextmanager
def lay_bed() -> Iterator[Bed]:
    """Start everything in a temporary folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gwb"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        with Child("bench.smsc", "--port", "0", stderr=folder / "carrier.log") as carrier:
            port = json.loads(_line(carrier, "the simulated carrier"))["ports"][0]
            with start_gateway(folder, write_gateway(folder, port)) as gateway:
                yield Bed(gateway, carrier, gateway.create_account("bench"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _listening(gateway: Child) -> str:
    """Return the address that the gateway says it listens on."""
    while line := gateway.read_line(READY_TIMEOUT_S):
        for word in line.split():
            if word.startswith("http://"):
                return word.rstrip("/.,")
    raise RuntimeError("the gateway did not start")


def _line(child: Child, what: str) -> str:
    line = child.read_line(READY_TIMEOUT_S)
    if not line:
        raise RuntimeError(f"{what} did not answer")
    return line


def _cpu_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def _sum(lines: list[str], name: str, label: str) -> int:
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith(name) and label in line
    )
