"""A message's cost beside none and beside millions; reading and starting there."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

import uvloop

from bench.bed import RunningGateway, start_gateway
from bench.generator.figures import percentile
from bench.generator.http import Connection, Response
from bench.generator.messages import Messages, Wanted
from bench.growth.commits import commits_go_on
from bench.growth.fill import RECIPIENTS, Day, fill, number_of, settle
from bench.growth.goals import Figure
from bench.growth.retention import measure_retention
from bench.peers.carrier import SimulatedCarrier, start_carrier
from bench.peers.cost import read_cpu_s
from bench.peers.measure import WARM_UP_MESSAGES, Measurement
from bench.peers.ours import BATCH, BATCH_CONNECTIONS, list_ours
from bench.peers.processes import find_free_ports
from bench.peers.sink import Sink
from bench.peers.system import HttpLoader, Running
from bench.settings import write_gateway
from gateway.api.queries import seal_cursor
from gateway.model import MessageId
from gateway.store.embedded import start_embedded
from gateway.store.partitions import midnight
from gateway.store.postgres import Database
from gateway.store.recipient_index import CLOSED_AFTER_S, INDEX, index_recipients

CONNECTIONS: Final = 64
COST_MAX: Final = 1.2
READ_MAX_MS: Final = 10.0
READS: Final = 100
PAGE: Final = 50
Say = Callable[[str], None]
Keep = Callable[[Sequence[Figure]], None]
"""Takes all figures that there are so far: an hour's run that fails has not measured nothing."""


def measure_flat(
    folder: Path, sizes: Sequence[int], messages: int, rounds: int, say: Say, keep: Keep
) -> list[Figure]:
    """Measure beside each of `sizes` messages and beside none; return all figures.

    `messages` are sent `rounds` times in each way, to the one and the other in turn: what else the
    machine does meanwhile meets both. `say` hears how far it is, and `keep` what was found each
    time that something was.
    """
    with start_carrier(folder, 0.0) as carrier:
        return _Flat(folder, carrier, say, keep).run(sizes, messages, rounds)


@dataclass(slots=True)
class _Store:
    """One gateway with its account, and what a message cost there in each round."""

    gateway: RunningGateway
    key: str
    cpu_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    wal_bytes: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, gateway: RunningGateway) -> _Store:
        return cls(gateway, gateway.create_account("bench"))

    def forget(self) -> None:
        for figures in (self.cpu_us, self.per_s, self.wal_bytes):
            figures.clear()

    def __str__(self) -> str:
        cpu_us, per_s, wal_bytes = map(statistics.median, (self.cpu_us, self.per_s, self.wal_bytes))
        return f"{cpu_us:6.1f} µs of CPU, {per_s:,.0f}/s, {wal_bytes:,.0f} octets of WAL"


class _Flat:
    """A gateway with a growing store beside one that has next to nothing."""

    def __init__(self, folder: Path, carrier: SimulatedCarrier, say: Say, keep: Keep) -> None:
        self._folder = folder
        self._carrier = carrier
        self._say = say
        self._keep = keep
        self._first = 1

    def run(self, sizes: Sequence[int], messages: int, rounds: int) -> list[Figure]:
        """Measure beside each of `sizes` messages; return all figures."""
        with self._start("held") as gateway:
            full = _Store.of(gateway)
            account_id = uvloop.run(fetch_account_id(gateway))
            figures = self._measure_costs(full, account_id, sizes, messages, rounds)
            figures += uvloop.run(measure_reading(gateway, account_id, full.key))
            self._keep(figures)
        self._say("starting again …")
        started_s = time.monotonic()
        with self._start("held") as gateway:
            took_s = time.monotonic() - started_s
            figures.append(
                Figure(f"start beside {sizes[-1]:,}, PostgreSQL's own included", took_s, "s")
            )
            self._say("the day as if it were over …")
            figures += uvloop.run(measure_closed_day(gateway, full.key, sizes[-1]))
        self._keep(figures)
        self._say("retention …")
        server = start_embedded(self._folder / "held" / "data")
        try:
            return figures + uvloop.run(measure_retention(server.url, account_id, sizes[-1]))
        finally:
            server.stop()

    def _start(self, name: str) -> AbstractContextManager[RunningGateway]:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)  # its PostgreSQL may run as another user
        return start_gateway(folder, write_gateway(folder, self._carrier.port))

    # ── cost ─────────────────────────────────────────────────────────────────────────────────

    def _measure_costs(
        self, full: _Store, account_id: int, sizes: Sequence[int], messages: int, rounds: int
    ) -> list[Figure]:
        day, figures = Day.until_now(max(sizes)), []
        for before, size in zip((0, *sizes), sizes, strict=False):
            took_s = uvloop.run(self._fill(full.gateway, account_id, day, before + 1, size))
            self._say(f"{size:,} messages after {took_s:,.0f} s more of filling")
            if size == sizes[-1]:
                figures += self._measure_disk(full.gateway, size)
            figures += self._compare(full, size, messages, rounds)
            self._keep(figures)
        return figures

    def _compare(self, full: _Store, size: int, messages: int, rounds: int) -> list[Figure]:
        """Return what a message costs beside `size` others and beside none, in the same minutes."""
        figures = []
        with self._start(f"none-{size}") as gateway:
            empty = _Store.of(gateway)
            for mode, batch in (("single", 0), ("batch", BATCH)):
                stores = {"none": empty, f"{size:,}": full}
                for store in stores.values():
                    store.forget()
                for number in range(rounds):
                    for store in (empty, full) if number % 2 else (full, empty):
                        self._measure(store, messages, batch)
                for beside, store in stores.items():
                    self._say(f"beside {beside:>11}: {mode:<7} {store}")
                    what = f"a {mode} message beside {beside}"
                    if store is empty:
                        what += f", while it was measured beside {size:,}"
                    figures += [
                        Figure(f"CPU of {what}", statistics.median(store.cpu_us), "µs"),
                        Figure(f"WAL of {what}", statistics.median(store.wal_bytes), "octets"),
                    ]
                growth = statistics.median(full.cpu_us) / statistics.median(empty.cpu_us)
                what = f"{mode}: cost beside {size:,} to that beside none"
                figures.append(Figure(what, growth, "×", COST_MAX))
        return figures

    def _measure_disk(self, gateway: RunningGateway, size: int) -> list[Figure]:
        """Return what a message takes on disk, with its two events and all indexes."""
        sizes = uvloop.run(_fetch_sizes(gateway))
        return [
            Figure(f"disk of a message's {table}", octets / size, "octets")
            for table, octets in sizes.items()
        ]

    async def _fill(
        self, gateway: RunningGateway, account_id: int, day: Day, first: int, last: int
    ) -> float:
        started_s = time.monotonic()

        def tell(done: int) -> None:
            each_s = (time.monotonic() - started_s) / (done - first + 1)
            self._say(f"{done:,} messages; about {(last - done) * each_s:,.0f} s to {last:,}")

        async with gateway.connect() as connection:
            took_s = await fill(connection, account_id, day, first, last, on_progress=tell)
        self._say("vacuum …")
        await settle(await gateway.fetch_database_url())
        return took_s

    def _measure(self, store: _Store, messages: int, batch: int) -> None:
        gateway = store.gateway
        address = urlsplit(gateway.url)
        wanted = Wanted(host=address.netloc, key=store.key, mode="batch" if batch else "single")
        loader = HttpLoader(
            Messages(wanted),
            address.port or 80,
            connections=BATCH_CONNECTIONS if batch else CONNECTIONS,
            per_request=batch or 1,
        )
        running = Running(
            groups={"gateway": (gateway.pid,), "database": (gateway.database_pid,)}, loader=loader
        )
        name = "ours-batch" if batch else "ours-single"
        system = next(each for each in list_ours(CONNECTIONS, 1) if each.name == name)
        sink = Sink(find_free_ports(1)[0])
        measurement = Measurement(system, running, self._carrier, sink, self._first)
        self._first += 2 * messages
        wal_before = uvloop.run(_fetch_wal_bytes(gateway))
        figures = uvloop.run(measurement.run(messages, half_s=0))
        wal = uvloop.run(_fetch_wal_bytes(gateway)) - wal_before
        store.wal_bytes.append(wal / (messages + WARM_UP_MESSAGES))
        store.cpu_us.append(figures["cpu_us_system"])
        store.per_s.append(figures["end_to_end_per_s"])


# ── reading ──────────────────────────────────────────────────────────────────────────────────


async def measure_reading(gateway: RunningGateway, account_id: int, key: str) -> list[Figure]:
    """Return how long single messages and pages of a search take, one request after the other."""
    async with gateway.connect() as connection:
        bounds = await connection.fetchrow(
            "SELECT min(id) AS first, max(id) AS last FROM messages WHERE account_id = $1",
            account_id,
        )
        assert bounds is not None
        ids = [
            await connection.fetchval(
                "SELECT id FROM messages WHERE account_id = $1 AND id >= $2 ORDER BY id LIMIT 1",
                account_id,
                random.randint(bounds["first"], bounds["last"]),
            )
            for _ in range(READS)
        ]
    kinds: dict[str, Callable[[int], str]] = {
        "one message": lambda n: f"/v1/messages/{ids[n]}",
        "the newest page": lambda n: _search(),
        "a page in the middle": lambda n: _search(below=ids[n]),
        "a page by a rare status": lambda n: _search(status="undelivered", below=ids[n]),
        "a page by a usual status": lambda n: _search(status="delivered", below=ids[n]),
        "a page by a status that none has": lambda n: _search(status="submitted", below=ids[n]),
        "a page by recipient": lambda n: _search(to=number_of(n), below=ids[n]),
        "a page by tag": lambda n: _search(tag="spring", below=ids[n]),
    }
    return await _measure_reads(gateway, key, kinds)


async def measure_closed_day(gateway: RunningGateway, key: str, size: int) -> list[Figure]:
    """Give today its index by recipient, as an hour after its end, and find numbers by it.

    The gateway must not have searched for a number before: it looks for indexes once a minute.
    """
    database = await Database.open(await gateway.fetch_database_url(), connections=2)
    try:
        today = datetime.now(UTC).date()
        async with commits_go_on(database.url) as commits:
            started_s = time.monotonic()
            await index_recipients(database, midnight(today + timedelta(days=1)) + CLOSED_AFTER_S)
            took_s = time.monotonic() - started_s
            longest = commits.tell("it is built")
        octets = await database.pool.fetchval(
            "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname ~ $1",
            f"_{INDEX.name}$",
        )
    finally:
        await database.close()
    kinds: dict[str, Callable[[int], str]] = {
        "a page by recipient, of a day that is over": lambda n: _search(
            to=number_of(random.randint(1, min(size, RECIPIENTS)))
        )
    }
    return [
        Figure(f"index by recipient of a day of {size:,}", took_s, "s"),
        longest,
        Figure("disk of a message's place in it", int(octets) / size, "octets"),
        *await _measure_reads(gateway, key, kinds),
    ]


async def _measure_reads(
    gateway: RunningGateway, key: str, kinds: Mapping[str, Callable[[int], str]]
) -> list[Figure]:
    reads, figures = Reads(gateway.url, key), list[Figure]()
    try:
        for what, target in kinds.items():
            await reads.time_ms(target(0))  # a connection plans its queries once
            cpu_s = _read_cpu_s(gateway)
            times_ms = sorted([await reads.time_ms(target(n)) for n in range(READS)])
            each_ms = (_read_cpu_s(gateway) - cpu_s) / READS * 1_000
            figures.append(Figure(f"{what}, CPU of all", each_ms, "ms"))
            figures.append(Figure(f"{what}, median", percentile(times_ms, 50), "ms"))
            figures.append(Figure(f"{what}, p99", percentile(times_ms, 99), "ms", READ_MAX_MS))
    finally:
        reads.close()
    return figures


def _read_cpu_s(gateway: RunningGateway) -> float:
    return read_cpu_s([gateway.pid, gateway.database_pid])


class Reads:
    """GETs over one connection that is kept open, each awaited before the next."""

    def __init__(self, url: str, key: str) -> None:
        self._address = urlsplit(url)
        self._head = (
            f" HTTP/1.1\r\nHost: {self._address.netloc}\r\nAuthorization: Bearer {key}\r\n\r\n"
        )
        self._connection: Connection | None = None
        self._answer: asyncio.Future[Response] | None = None

    async def time_ms(self, target: str) -> float:
        """Return how long one answer took; raises ValueError when it is not 200."""
        if self._connection is None:
            await self._connect()
        assert self._connection is not None
        self._answer = asyncio.get_running_loop().create_future()
        started_s = time.perf_counter()
        self._connection.send(f"GET {target}{self._head}".encode())
        answer = await self._answer
        took_ms = (time.perf_counter() - started_s) * 1_000
        if answer.status != 200:
            raise ValueError(f"GET {target} answers {answer.status}: {answer.body[:200]!r}")
        return took_ms

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_connection(
            lambda: Connection(self._take, lambda connection: None),
            self._address.hostname or "127.0.0.1",
            self._address.port or 80,
        )

    def _take(self, connection: Connection, response: Response) -> None:
        assert self._answer is not None
        self._answer.set_result(response)


def _search(below: int | None = None, **filters: object) -> str:
    if below is not None:
        filters["cursor"] = seal_cursor(MessageId(below))
    return "/v1/messages?" + urlencode({"limit": PAGE} | filters)


async def _fetch_wal_bytes(gateway: RunningGateway) -> int:
    async with gateway.connect() as connection:
        return int(await connection.fetchval("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))


async def _fetch_sizes(gateway: RunningGateway) -> dict[str, int]:
    """Return the octets of the rows and of the indexes of messages and events."""
    async with gateway.connect() as connection:
        rows = await connection.fetch(
            "SELECT parent.relname AS name, sum(pg_table_size(part.oid))::bigint AS rows,"
            " sum(pg_indexes_size(part.oid))::bigint AS indexes"
            " FROM pg_inherits JOIN pg_class part ON part.oid = inhrelid"
            " JOIN pg_class parent ON parent.oid = inhparent"
            " WHERE inhparent IN ('messages'::regclass, 'events'::regclass) GROUP BY 1 ORDER BY 1"
        )
    sizes = {}
    for row in rows:
        sizes[f"{row['name']} (rows)"] = row["rows"]
        sizes[f"{row['name']} (indexes)"] = row["indexes"]
    return sizes


async def fetch_account_id(gateway: RunningGateway) -> int:
    async with gateway.connect() as connection:
        return int(await connection.fetchval("SELECT id FROM accounts WHERE name = 'bench'"))
