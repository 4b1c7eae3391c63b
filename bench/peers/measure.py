"""One measurement of one running system: warmed up, loaded, waited for until its last receipt."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from bench.generator.figures import Figures
from bench.peers.carrier import Seen, SimulatedCarrier
from bench.peers.cost import MachineWatch, MemoryWatch, read_cpu_s
from bench.peers.sink import Sink
from bench.peers.system import Load, ReceiptsEnd, Running, SmppLoader, System

POLL_S: Final = 0.1
STALLED_S: Final = 45.0
"""Without a new receipt for as long, what is missing counts as lost."""
WARM_UP_MESSAGES: Final = 500
HALF_S: Final = 4.0
"""How long the load at half of capacity lasts, unless said otherwise."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """Receipts at their end, and when the last one was."""

    count: int
    last_s: float


@dataclass(frozen=True, slots=True)
class _Run:
    """One load and what came back; times are of the monotonic clock."""

    figures: Figures
    started_s: float
    accepted_s: float
    receipts: int
    ended_s: float
    """When the last receipt was at its end."""


class Measurement:
    """A system that runs, and what is asked about it. Used in one event loop."""

    def __init__(
        self,
        system: System,
        running: Running,
        carrier: SimulatedCarrier,
        sink: Sink,
        first: int = 1,
    ) -> None:
        """`first` is the number of the first message; no number may come twice to one carrier."""
        self._system = system
        self._running = running
        self._carrier = carrier
        self._sink = sink
        self._first = first

    async def run(self, messages: int, half_s: float = HALF_S) -> dict[str, Any]:
        """Measure and return the figures; raises CannotRun and NoProgress."""
        await self._sink.start()
        try:
            await self._carrier.wait_bound()
            await self._running.loader.open()
            await self._load(WARM_UP_MESSAGES)
            figures = await self._measure(messages)
            if not half_s:
                return figures
            return figures | await self._measure_half(figures["end_to_end_per_s"] / 2, half_s)
        finally:
            await self._running.loader.close()
            await self._sink.stop()

    async def _measure(self, messages: int) -> dict[str, Any]:
        running = self._running
        kept_before = await running.count_kept() or 0
        before, cpu_before = await self._carrier.look(), self._read_cpu()
        machine = MachineWatch()
        with MemoryWatch(running.groups) as memory:
            run = await self._load(messages)
        cpu = {name: s - cpu_before[name] for name, s in self._read_cpu().items()}
        after, kept = await self._carrier.look(), await running.count_kept()
        wall_s = run.ended_s - run.started_s
        distinct = after.distinct - before.distinct
        report = run.figures.report(run.accepted_s - run.started_s)
        return {
            "messages": messages,
            "accepted": run.figures.accepted,
            "rejected": report["rejected"],
            "retried": report["retried"],
            "accepted_per_s": report["accepted_per_s"],
            "submitted_per_s": round(distinct / (after.submitted_s - run.started_s), 1),
            "end_to_end_per_s": round(run.receipts / wall_s, 1),
            "wall_s": round(wall_s, 3),
            "accept_ms": report["latency_ms"],
            "cpu_us": {name: round(s / messages * 1e6, 1) for name, s in cpu.items()},
            "cpu_us_system": round(sum(cpu[name] for name in running.groups) / messages * 1e6, 1),
            "core_share": {name: round(s / wall_s, 3) for name, s in cpu.items()},
            "memory_peak_mb": {name: round(mb, 1) for name, mb in memory.peak_mb.items()},
            "memory_peak_sum_mb": round(memory.peak_sum_mb, 1),
            "lost": run.figures.accepted - distinct,
            "duplicated": after.duplicates - before.duplicates,
            "receipts_lost": distinct - run.receipts,
            "receipts_kept": None if kept is None else kept - kept_before,
            "in_flight_max": after.in_flight_max,
            "machine": machine.report(sum(cpu.values())),
        }

    async def _measure_half(self, rate_per_s: float, half_s: float) -> dict[str, Any]:
        """Return how long it takes to be accepted when nothing is near its limit."""
        per_request = self._running.loader.per_request
        messages = max(1, round(rate_per_s * half_s / per_request)) * per_request
        run = await self._load(messages, rate_per_s)
        latency_ms = run.figures.report(1.0)["latency_ms"]
        return {"half": {"rate_per_s": round(rate_per_s, 1), "accept_ms": latency_ms}}

    async def _load(self, messages: int, rate_per_s: float | None = None) -> _Run:
        """Send messages and wait for the receipts of all that were accepted."""
        count_before = self._ended(await self._carrier.look()).count
        first, self._first = self._first, self._first + messages
        started_s = time.monotonic()
        load = Load(messages=messages, first=first, rate_per_s=rate_per_s)
        figures = await self._running.loader.run(load)
        accepted_s = progressed_s = time.monotonic()
        count = 0
        while True:
            ended = self._ended(await self._carrier.look())
            if ended.count - count_before > count:
                count, progressed_s = ended.count - count_before, time.monotonic()
            if count >= figures.accepted or time.monotonic() - progressed_s > STALLED_S:
                return _Run(figures, started_s, accepted_s, count, max(ended.last_s, started_s))
            await asyncio.sleep(POLL_S)

    def _ended(self, seen: Seen) -> _Ended:
        match self._system.receipts_end:
            case ReceiptsEnd.CARRIER:
                return _Ended(seen.acknowledged, seen.acknowledged_s)
            case ReceiptsEnd.CALLBACK:
                return _Ended(self._sink.distinct, self._sink.last_s)
            case ReceiptsEnd.CUSTOMER:
                loader = self._running.loader
                assert isinstance(loader, SmppLoader)
                return _Ended(loader.load.receipts_taken, loader.load.receipt_s)

    def _read_cpu(self) -> dict[str, float]:
        """Return the CPU seconds of each group, of the carrier, and of the load (this process)."""
        groups = {name: read_cpu_s(roots) for name, roots in self._running.groups.items()}
        return groups | {
            "carrier": read_cpu_s([self._carrier.pid]),
            "load": time.process_time(),
        }
