"""The processes of the run, on ports that stay theirs: started, killed, stalled, started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import psutil

from bench.chaos.clocked import AHEAD_S
from bench.chaos.shop import Journal
from bench.peers.processes import CannotRun, find_free_ports
from bench.settings import write_node
from gateway.demo.children import Child
from gateway.errors import ConfigError
from gateway.store.embedded import EmbeddedPostgres, start_embedded

READY_TIMEOUT_S: Final = 120.0
STARTS_MAX: Final = 5
SOCKET_NAME: Final = ".s.PGSQL.5432"
DISK_MB: Final = 600
"""Room for a run's rows and for what PostgreSQL keeps of its log."""
WINDOW: Final = 20
RECEIPT_TIMEOUT_S: Final = 60
"""A carrier that is killed takes receipts with it; their messages become "unknown" after this."""

_MORE: Final = """
[log]
format = "json"
[messages]
receipt_timeout_s = {receipt_timeout_s}
[webhooks]
allow_private = true
retry_first_s = 0.5
retry_max_s = 5
"""
CARRIER_SCRIPT: Final = """
identity = "tag"
[[rule]]
latency = 0.005
delay = 0.3
"""


class World:
    """One gateway, its PostgreSQL, one simulated carrier, one customer."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)  # its PostgreSQL may run as another user
        self._data = folder / "data"
        self._data.mkdir(mode=0o755)
        self.disk_is_small = _mount_small(self._data)
        """Whether PostgreSQL's disk is one that can be filled."""
        self._environment = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
        self._clock = folder / "clock"
        self.move_clock(0.0)
        self._postgres: EmbeddedPostgres | None = None
        ports = find_free_ports(4)
        self.http_port, self.carrier_port, self._control_port, self.webhook_port = ports
        self._settings = folder / "gateway.toml"
        self._script = folder / "carrier.toml"
        self._script.write_text(CARRIER_SCRIPT)
        self._gateway: Child | None = None
        self._carrier: Child | None = None
        self._customer: Child | None = None
        self._receiver: Child | None = None
        self._journals = folder / "customer.journal", folder / "receiver.journal"
        self._submitting: tuple[str, str, float] | None = None
        self._lives = 0
        self.failed_starts = 0
        """Of the gateway, since the database went away meanwhile."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def database_socket(self) -> Path:
        return self._data / "postgresql" / SOCKET_NAME

    async def start_database(self) -> None:
        self._postgres = await asyncio.to_thread(start_embedded, self._data)

    async def revive_database(self) -> None:
        """Start it again, when it is not running."""
        assert self._postgres is not None, "started"
        await asyncio.to_thread(self._postgres.revive)

    def write_settings(self, relay_port: int, database_folder: Path) -> None:
        """Have the gateway reach both through these."""
        settings = write_node(
            f"postgresql://postgres@/gateway?host={database_folder}&port=5432",
            {"alpha": relay_port},
            window=WINDOW,
            port=self.http_port,
            node=f'data_dir = "{self.folder}/node"',
            dispatch="stop_timeout_s = 5",
        )
        more = _MORE.format(receipt_timeout_s=RECEIPT_TIMEOUT_S)
        self._settings.write_text(settings + more)

    async def start_gateway(self) -> None:
        """Return once it serves; its log goes to a file of this life.

        It ends when the database goes away while it starts; then it is started again, as a
        supervisor does.
        """
        for tries_left in reversed(range(STARTS_MAX)):
            self._lives += 1
            try:
                self._gateway = await asyncio.to_thread(self._spawn_gateway)
                return
            except CannotRun:
                if not tries_left:
                    raise
            self.failed_starts += 1
            await self.revive_database()

    async def start_carrier(self) -> None:
        self._carrier = await asyncio.to_thread(self._spawn_carrier)

    async def kill_gateway(self) -> None:
        """Kill it, and start the next one at once."""
        await asyncio.to_thread(_kill, self._gateway)
        await self.start_gateway()

    async def kill_carrier(self) -> None:
        await asyncio.to_thread(_kill, self._carrier)
        await self.start_carrier()

    async def start_receiver(self) -> None:
        self._receiver = await asyncio.to_thread(self._spawn_receiver)

    async def start_customer(self, url: str, key: str, rate_per_s: float) -> None:
        """Have the customer submit at a steady rate, until `stop_customer`."""
        self._submitting = url, key, rate_per_s
        self._customer = await asyncio.to_thread(self._spawn_customer)

    async def stop_customer(self, timeout_s: float) -> None:
        """Return once all that it began is accepted."""
        assert self._customer is not None, "started"
        await asyncio.to_thread(self._customer.stop, timeout_s)
        self._customer = None

    async def kill_receiver(self) -> None:
        await asyncio.to_thread(_kill, self._receiver)
        await self.start_receiver()

    async def kill_customer(self) -> None:
        await asyncio.to_thread(_kill, self._customer)
        self._customer = await asyncio.to_thread(self._spawn_customer)

    def read_journal(self) -> Journal:
        """Return what the customer has written down by now."""
        return Journal.read(*self._journals)

    async def kill_database(self) -> None:
        """Kill PostgreSQL's first process, and start it again."""
        self._signal_database(signal.SIGKILL)
        await self.revive_database()

    async def kill_backend(self, place: float) -> None:
        """Kill the process of one of PostgreSQL's connections, which makes it end all the others
        and recover; `place` in [0, 1) says which one."""
        backends = [process for process in self._database()[1:] if _serves_a_client(process)]
        if backends:
            with contextlib.suppress(psutil.NoSuchProcess):
                backends[int(place * len(backends))].kill()

    async def restart_database(self) -> None:
        """Have PostgreSQL shut down at once, in order, and start it again."""
        first = self._database()[:1]
        self._signal_database(signal.SIGINT)
        await asyncio.to_thread(psutil.wait_procs, first, 30.0)
        await self.revive_database()

    async def fill_disk(self, seconds: float) -> None:
        """Leave PostgreSQL's disk without a free block for a while."""
        ballast = self._data / "ballast"
        try:
            with ballast.open("wb") as file:
                for size in (2**20, 4096):
                    with contextlib.suppress(OSError):
                        while True:
                            os.write(file.fileno(), bytes(size))
            await asyncio.sleep(seconds)
        finally:
            ballast.unlink()
        await self.revive_database()

    def move_clock(self, ahead_s: float) -> None:
        """Set the gateway's time of day; every gateway of this world goes by it at once."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(AHEAD_S.pack(ahead_s))

    async def stall_database(self, seconds: float) -> None:
        """Let all of PostgreSQL's processes stand still."""
        stalled = self._database()
        for process in stalled:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        try:
            await asyncio.sleep(seconds)
        finally:
            for process in stalled:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.resume()

    async def run(self, *words: str) -> Any:
        """Run one of the gateway's commands and return what it says, read from JSON."""
        return await asyncio.to_thread(self._command, words)

    async def stop(self) -> int:
        """Stop everything in order; return the gateway's exit status."""
        status = 0
        if self._gateway is not None:
            status = await asyncio.to_thread(self._gateway.stop)
        for child in (self._carrier, self._receiver):
            if child is not None:
                await asyncio.to_thread(child.end)
        if self._postgres is not None:
            await asyncio.to_thread(self._postgres.stop)
        return status

    def abandon(self) -> None:
        """Leave nothing running, whatever happened."""
        for child in (self._customer, self._gateway, self._carrier, self._receiver):
            if child is not None:
                child.end()
        if self._postgres is not None:
            with contextlib.suppress(ConfigError):
                self._postgres.stop()
        if self.disk_is_small:
            subprocess.run(["umount", "--lazy", str(self._data)], check=False)  # noqa: S607
            self.disk_is_small = False

    def read_gateway_mb(self) -> float:
        assert self._gateway is not None
        memory: float = psutil.Process(self._gateway.pid).memory_info().rss / 2**20
        return memory

    def _spawn_gateway(self) -> Child:
        log = self.folder / f"gateway-{self._lives}.log"
        gateway = Child(
            *("bench.chaos.clocked", "--config", str(self._settings), "serve"),
            stderr=log,
            environment=self._environment | {"CHAOS_CLOCK": str(self._clock)},
        )
        return _await_line(gateway, lambda line: "http://" in line, log)

    def _spawn_carrier(self) -> Child:
        words = ("--port", str(self.carrier_port), "--control-port", str(self._control_port))
        log = self.folder / "carrier.log"
        carrier = Child("bench.smsc", *words, "--script", str(self._script), stderr=log)
        return _await_line(carrier, lambda line: line.startswith("{"), log)

    def _spawn_receiver(self) -> Child:
        words = ("hear", "--port", str(self.webhook_port), "--journal", str(self._journals[1]))
        log = self.folder / "receiver.log"
        receiver = Child("bench.chaos.shop", *words, stderr=log)
        return _await_line(receiver, lambda line: line == "hearing", log)

    def _spawn_customer(self) -> Child:
        assert self._submitting is not None, "started"
        url, key, rate_per_s = self._submitting
        words = ("submit", "--url", url, "--rate", str(rate_per_s))
        log = self.folder / "customer.log"
        customer = Child(
            *("bench.chaos.shop", *words, "--journal", str(self._journals[0])),
            stderr=log,
            environment=os.environ | {"CHAOS_KEY": key},
        )
        return _await_line(customer, lambda line: line == "submitting", log)

    def _command(self, words: tuple[str, ...]) -> Any:
        command = ("gateway", "--config", str(self._settings), *words, "--json")
        with Child(*command, environment=self._environment) as child:
            said = ""
            while line := child.read_line(READY_TIMEOUT_S):
                said += line
                with contextlib.suppress(json.JSONDecodeError):
                    return json.loads(said)
        raise CannotRun(f"gateway {' '.join(words)} said {said!r}")

    def _database(self) -> list[psutil.Process]:
        pid_file = self._data / "postgresql" / "postmaster.pid"
        try:
            first = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            return [first, *first.children()]
        except (OSError, IndexError, ValueError, psutil.NoSuchProcess):
            return []  # it is between two lives

    def _signal_database(self, number: signal.Signals) -> None:
        for process in self._database()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)


def _mount_small(folder: Path) -> bool:
    """Give a folder a file system of its own of a few hundred MB, where we may; say whether."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    size = f"size={DISK_MB}m,mode=0755"
    words = ["mount", "-t", "tmpfs", "-o", size, "chaos", str(folder)]
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def _serves_a_client(process: psutil.Process) -> bool:
    try:
        return "[local]" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def _kill(child: Child | None) -> None:
    assert child is not None, "started"
    with contextlib.suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGKILL)
    child.end()


def _await_line(child: Child, wanted: Callable[[str], bool], log: Path) -> Child:
    while line := child.read_line(READY_TIMEOUT_S):
        if wanted(line):
            return child
    child.end()
    raise CannotRun(f"it did not start: {log.read_text()[-1500:]}")
