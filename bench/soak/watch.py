"""Looking at a running gateway: its memory, its handles, its tables, and the clock.

Not here: what is made of it (`judge.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

import asyncpg

from bench.bed import RunningGateway
from bench.peers.cost import read_cpu_s, read_memory_mb
from bench.soak.judge import Pause

LOOK_S: Final = 10.0
LOOKS_A_DISK: Final = 6
"""Every so many looks it is also looked at what takes longer."""
TICK_S: Final = 0.5
PAUSE_MIN_S: Final = 3.0
"""A tick that comes so much late: not a busy machine, but one that stood still."""

QUEUES: Final = {
    "outbox": "SELECT count(*) FROM outbox",
    "deliveries": "SELECT count(*) FROM deliveries",
    "parked receipts": "SELECT count(*) FROM parked_receipts",
    "connections": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()",
}
"""What is bounded at a steady rate, in rows."""
LONG_QUEUES: Final = {
    "idempotency keys": "SELECT count(*) FROM idempotency",
    "open messages": "SELECT count(*) FROM messages m WHERE NOT EXISTS (SELECT FROM events e"
    " WHERE e.account_id = m.account_id AND e.message_id = m.id AND e.closes)"
    " AND m.id >= (SELECT coalesce(min(open_from), 0) FROM queue_marks)",
}
"""The same, of what takes PostgreSQL longer to count; looked at with the disk."""

_SIZES: Final = """
SELECT c.relname AS name, pg_total_relation_size(c.oid) / 1048576.0 AS mb
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname = 'public'"""

GROWING: Final = frozenset({"usage_days"})
"""Tables that a day's traffic makes longer, by a few rows a day and account."""


class StoppedClock:
    """Notes when the machine stood still, from the gaps of the monotonic clock."""

    def __init__(self, started_s: float) -> None:
        self.pauses: list[Pause] = []
        self._started_s = started_s

    async def run(self) -> None:
        """Watch until cancelled."""
        before = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            if now - before - TICK_S > PAUSE_MIN_S:
                self.pauses.append(Pause(before - self._started_s, now - self._started_s))
            before = now


class Watch:
    """Series by name; each point is (seconds since the start, value)."""

    def __init__(
        self,
        gateway: RunningGateway,
        connection: asyncpg.Connection[asyncpg.Record],
        started_s: float,
    ) -> None:
        self.memory_mb: list[tuple[float, float]] = []
        self.database_mb: list[tuple[float, float]] = []
        """Of PostgreSQL, whose buffers fill up to what they were given."""
        self.rows: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self.disk_mb: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self.cpu_s: list[tuple[float, float]] = []
        """Of the gateway and of its PostgreSQL together, since their start."""
        self._gateway = gateway
        self._connection = connection
        self._started_s = started_s

    async def run(self) -> None:
        """Look at once and then on the beat, until cancelled."""
        next_s = time.monotonic()
        for number in itertools.count():
            await self._look()
            if number % LOOKS_A_DISK == 0:
                await self._look_at_disk()
            next_s = max(next_s + LOOK_S, time.monotonic())
            await asyncio.sleep(next_s - time.monotonic())

    async def _look(self) -> None:
        """Take one sample of what is quickly looked at."""
        at_s, pid, database = self._now(), self._gateway.pid, self._gateway.database_pid
        memory_mb = await asyncio.to_thread(read_memory_mb, [pid])
        database_mb = await asyncio.to_thread(read_memory_mb, [database])
        self.memory_mb.append((at_s, round(memory_mb, 2)))
        self.database_mb.append((at_s, round(database_mb, 2)))
        self.cpu_s.append((at_s, round(read_cpu_s([pid, database]), 2)))
        self.rows["open files"].append((at_s, len(os.listdir(f"/proc/{pid}/fd"))))
        await self._count(QUEUES, at_s)

    async def _look_at_disk(self) -> None:
        """Note how large each table is that should not grow, with its indexes; and count more."""
        at_s = self._now()
        for row in await self._connection.fetch(_SIZES):
            if row["name"] not in GROWING:
                self.disk_mb[row["name"]].append((at_s, round(float(row["mb"]), 2)))
        await self._count(LONG_QUEUES, at_s)

    async def _count(self, queues: Mapping[str, str], at_s: float) -> None:
        for name, statement in queues.items():
            self.rows[name].append((at_s, float(await self._connection.fetchval(statement))))

    def _now(self) -> float:
        return round(time.monotonic() - self._started_s, 2)
