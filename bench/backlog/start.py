"""A gateway watched from its first instruction on, and its peak of memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from bench.bed import RunningGateway, start_gateway
from bench.growth.goals import Figure
from bench.peers.carrier import SimulatedCarrier
from bench.peers.cost import read_cpu_s

READY_MAX_S: Final = 10.0
MEMORY_MAX_MB: Final = 250.0
FIRST_TIMEOUT_S: Final = 120.0
LOOK_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a gateway; times are seconds from its first instruction."""

    gateway: RunningGateway
    began_s: float
    """On the monotonic clock."""
    listening_s: float
    """Until HTTP was answered, PostgreSQL's own start included."""
    cpu_s: float
    """Of the gateway alone until then."""

    def tell(self, waiting: str, *, goals: bool = True) -> list[Figure]:
        """Return the figures of the start with so much waiting."""
        return [
            Figure(f"{waiting}: serves after", self.listening_s, "s", _goal(goals, READY_MAX_S)),
            Figure(f"{waiting}: its CPU until then", self.cpu_s, "s"),
        ]

    def tell_memory(self, what: str, *, goals: bool = True) -> Figure:
        """Return the most memory since it was started or last told."""
        peak_mb = read_peak_mb(self.gateway.pid)
        forget_peak(self.gateway.pid)
        return Figure(what, peak_mb, "MB", _goal(goals, MEMORY_MAX_MB))

    async def wait_ready(self) -> float:
        """Return after how many seconds `/readyz` said yes. Raises TimeoutError."""
        async with aiohttp.ClientSession() as http, asyncio.timeout(FIRST_TIMEOUT_S):
            while True:
                async with http.get(f"{self.gateway.url}/readyz") as answer:
                    if answer.status == 200:
                        return time.monotonic() - self.began_s
                await asyncio.sleep(LOOK_S)

    async def wait_first(self, carrier: SimulatedCarrier) -> float:
        """Return after how many seconds the carrier had a message. Raises TimeoutError."""
        async with asyncio.timeout(FIRST_TIMEOUT_S):
            # Another process's state has no event to wait on.
            while not (await carrier.look()).submitted:  # noqa: ASYNC110
                await asyncio.sleep(LOOK_S)
        return time.monotonic() - self.began_s


@contextmanager
def begin(folder: Path, settings: str) -> Iterator[Start]:
    """Start a gateway in a folder that may hold a database already."""
    began_s = time.monotonic()
    with start_gateway(folder, settings) as gateway:
        listening_s = time.monotonic() - began_s
        yield Start(gateway, began_s, listening_s, read_cpu_s([gateway.pid]))


def read_peak_mb(pid: int) -> float:
    """Return the most memory that a process has had resident since its peak was forgotten."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) / 1024


def forget_peak(pid: int) -> None:
    """Have the peak begin anew (proc(5), clear_refs)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def _goal(goals: bool, limit: float) -> float | None:
    return limit if goals else None
