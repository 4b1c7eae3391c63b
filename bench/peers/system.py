"""What every compared system is: how it starts, what runs, how it is loaded, where receipts end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Protocol

from bench.generator.backlog import Backlog
from bench.generator.driver import Dialect, Driver
from bench.generator.figures import Figures
from bench.generator.smpp import SmppLoad
from bench.peers.carrier import SimulatedCarrier
from bench.peers.cost import Groups
from bench.peers.sink import Sink

GIVE_UP_S: Final = 60.0
"""Without any answer for as long, a load ends."""


class ReceiptsEnd(Enum):
    """Where a receipt has come to its end, and is counted."""

    CARRIER = "acknowledged to the carrier"
    """The last that a system does with a receipt before nobody repeats it any more."""
    CALLBACK = "called back over HTTP"
    CUSTOMER = "taken by the customer over SMPP"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Some messages that one run sends."""

    messages: int
    first: int
    rate_per_s: float | None = None
    """Open loop; None: as fast as answers come."""


class Loader(Protocol):
    """Sends loads to a running system. Used in one event loop."""

    per_request: int

    async def open(self) -> None: ...
    async def run(self, load: Load) -> Figures:
        """Return once everything was answered."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A system that takes messages."""

    groups: Groups
    """Its processes: "gateway", and "database" or "brokers"."""
    loader: Loader
    count_kept: Callable[[], Awaitable[int | None]] = field(default=lambda: _unknown())
    """Return how many messages the system itself says have their receipt; None: it can't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One row of the comparison."""

    name: str
    title: str
    keeps: str
    """What of an accepted message outlives a kill -9."""
    configuration: str
    """How it is set, and why that is its best."""
    receipts_end: ReceiptsEnd
    check: Callable[[], None]
    """Raises CannotRun when it is not installed."""
    start: Callable[[Path, SimulatedCarrier, Sink], AbstractContextManager[Running]]
    """Run it in a folder, bound to a carrier."""
    receipt_delay_s: float = 0.0


class HttpLoader:
    """Loads over HTTP connections that stay open from run to run."""

    def __init__(
        self, dialect: Dialect, port: int, *, connections: int, per_request: int = 1
    ) -> None:
        self.per_request = per_request
        self.dialect = dialect
        self.port = port
        self._connections = connections
        self._driver: Driver | None = None

    async def open(self) -> None:
        self._driver = Driver("127.0.0.1", self.port, self.dialect, repeatable=False)
        await self._driver.open(self._connections)

    async def run(self, load: Load) -> Figures:
        assert self._driver is not None, "open comes first"
        # Those that the server has closed meanwhile are opened again before anything is timed.
        await self._driver.open(self._connections)
        figures = Figures()
        await self._driver.run(_backlog(load, self.per_request), figures, GIVE_UP_S)
        return figures

    async def close(self) -> None:
        if self._driver is not None:
            self._driver.close()


class SmppLoader:
    """Loads over a customer's binds, which stay bound from run to run."""

    def __init__(self, load: SmppLoad) -> None:
        self.per_request = 1
        self.load = load

    async def open(self) -> None:
        await self.load.bind()

    async def run(self, load: Load) -> Figures:
        figures = Figures()
        await self.load.run(_backlog(load, 1), figures, GIVE_UP_S)
        return figures

    async def close(self) -> None:
        await self.load.close()


def _backlog(load: Load, per_request: int) -> Backlog:
    return Backlog(load.messages, per_request, time.perf_counter(), load.rate_per_s, load.first)


async def _unknown() -> None:
    return None
