"""A gateway and a simulated carrier in processes of their own, and what they cost.

Everything blocks but `read_counts`; leaving the context stops both, the database too.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from gateway.demo.children import Child

READY_TIMEOUT_S: Final = 120.0
WINDOW: Final = 100

_SETTINGS: Final = """
[node]
data_dir = "{folder}/data"
[http]
port = 0
[log]
format = "json"
[[carrier]]
name = "bench"
host = "127.0.0.1"
port = {carrier_port}
system_id = "bench"
window_size = {window}
[[route]]
carriers = ["bench"]
[[price]]
price = "0.0001"
"""


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


class Bed:
    """The running parts; made by `lay_bed`."""

    def __init__(self, folder: Path, gateway: Child, carrier: Child, url: str, key: str) -> None:
        self.url = url
        self.key = key
        self._gateway = psutil.Process(gateway.pid)
        self._carrier = psutil.Process(carrier.pid)
        pid_file = folder / "data" / "postgresql" / "postmaster.pid"
        self._database = psutil.Process(int(pid_file.read_text().splitlines()[0]))

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
            settings = folder / "gateway.toml"
            settings.write_text(_SETTINGS.format(folder=folder, carrier_port=port, window=WINDOW))
            arguments = ("--config", str(settings), "serve")
            with Child("gateway", *arguments, stderr=folder / "gateway.log") as gateway:
                url = _listening(gateway)
                key = _make_account(settings)
                yield Bed(folder, gateway, carrier, url, key)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_account(settings: Path) -> str:
    words = ("account", "create", "bench", "--credit", "1000000", "--with-key", "--json")
    with Child("gateway", "--config", str(settings), *words) as made:
        lines = [_line(made, "the account")]
        while not lines[-1].startswith("}"):
            lines.append(_line(made, "the account"))
        key: str = json.loads("".join(lines))["key"]
        return key


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
        raise RuntimeError(f"{what} did not start")
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
