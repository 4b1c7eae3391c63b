"""What can wait at a start, one function a kind: filled in, started with, and watched leaving."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import uvloop

from bench.backlog import fill
from bench.backlog.start import LOOK_S, begin
from bench.bed import RunningGateway
from bench.generator.smpp import Login, SmppLoad
from bench.growth.flat import Say, fetch_account_id
from bench.growth.goals import Figure
from bench.peers.carrier import SimulatedCarrier, start_carrier
from bench.peers.processes import find_free_ports
from bench.peers.sink import Sink
from bench.settings import write_gateway
from gateway.store.embedded import start_embedded
from gateway.store.postgres import connect_single

ACCOUNT: Final = "bench"
CALL_TIMEOUT_S: Final = 120.0
"""An endpoint that was away is called again after some seconds, growing to a minute."""
BINDS: Final = 2
_COUNT_EVENTS: Final = "SELECT count(*) FROM outbox"
_WEBHOOKS: Final = """
[webhooks]
allow_private = true
retry_first_s = 1.0
retry_max_s = 5.0
"""


def measure_nothing(folder: Path) -> list[Figure]:
    """Start with an empty database, to compare with."""
    with start_carrier(folder, 0.0) as carrier:
        settings = _settings(folder, carrier.port)
        with begin(folder, settings):
            pass  # the schema is made
        with begin(folder, settings) as start:
            ready_s = uvloop.run(start.wait_ready())
            return [
                *start.tell("nothing waits", goals=False),
                Figure("nothing waits: ready, bound to its carrier, after", ready_s, "s"),
                start.tell_memory("nothing waits: memory", goals=False),
            ]


def measure_messages(folder: Path, count: int, seconds: float, say: Say) -> list[Figure]:
    """Start with `count` messages that nobody has taken, without a carrier and then with one.

    `seconds` is how long each is looked at.
    """
    what = f"{count:,} messages"
    (nobody,) = find_free_ports(1)
    _fill(folder, say, what, lambda c, account_id: fill.fill_messages(c, account_id, count))
    with begin(folder, _settings(folder, nobody)) as start:
        time.sleep(seconds)
        figures = [*start.tell(what), start.tell_memory("memory while all of them wait")]
    with (
        start_carrier(folder, 0.0) as carrier,
        begin(folder, _settings(folder, carrier.port)) as start,
    ):
        first_s = uvloop.run(start.wait_first(carrier))
        figures.append(Figure(f"{what}: the first at the carrier after", first_s, "s"))
        rate = uvloop.run(_watch_receipts(carrier, seconds))
        figures.append(Figure("they leave at", rate, "messages/s"))
        figures.append(start.tell_memory("memory while they leave"))
    return figures


def measure_scheduled(folder: Path, count: int, seconds: float, say: Say) -> list[Figure]:
    """Start shortly before `count` scheduled messages fall due at one and the same time."""
    what = f"{count:,} scheduled messages"
    _fill(
        folder,
        say,
        what,
        lambda c, account_id: fill.fill_scheduled(
            c, account_id, count, time.time() + schedule_ahead_s(count)
        ),
    )
    with (
        start_carrier(folder, 0.0) as carrier,
        begin(folder, _settings(folder, carrier.port)) as start,
    ):
        figures = start.tell(what)
        uvloop.run(start.wait_first(carrier))
        rate = uvloop.run(_watch_receipts(carrier, seconds))
        figures.append(Figure("scheduled ones leave at", rate, "messages/s"))
        figures.append(start.tell_memory("memory until they leave, and while they do"))
    return figures


def measure_events(folder: Path, count: int, seconds: float, say: Say) -> list[Figure]:
    """Start with `count` events that no endpoint has taken; it is away, and then takes them."""
    what = f"{count:,} events"
    (port,) = find_free_ports(1)
    sink = Sink(port)
    _fill(
        folder,
        say,
        what,
        lambda c, account_id: fill.fill_events(c, account_id, count),
        webhook=sink.url("events"),
    )
    with start_carrier(folder, 0.0) as carrier:
        settings = _settings(folder, carrier.port)
        with begin(folder, settings) as start:
            time.sleep(seconds)
            figures = [
                *start.tell(what),
                start.tell_memory("memory while their endpoint is away"),
            ]
            rate = uvloop.run(_watch_events(start.gateway, sink, seconds))
            figures.append(Figure("events are taken at", rate, "a second"))
            figures.append(start.tell_memory("memory while events leave"))
    return figures


def measure_deliveries(folder: Path, count: int, seconds: float, say: Say) -> list[Figure]:
    """Start with `count` receipts that wait for a customer, who then binds."""
    what = f"{count:,} receipts for a customer"
    (port,) = find_free_ports(1)
    password = _fill(
        folder,
        say,
        what,
        lambda c, account_id: fill.fill_deliveries(c, account_id, count),
        binding=True,
    )
    with start_carrier(folder, 0.0) as carrier:
        settings = _settings(folder, carrier.port, port)
        with begin(folder, settings) as start:
            figures = start.tell(what)
            login = Login(port=port, system_id=ACCOUNT, password=password)
            rate = uvloop.run(_watch_deliveries(login, seconds))
            figures.append(Figure("receipts go up at", rate, "a second"))
            figures.append(start.tell_memory("memory while receipts go up"))
    return figures


def measure_parked(folder: Path, count: int, seconds: float, say: Say) -> list[Figure]:
    """Start with `count` receipts that came before their submissions, or belong to nobody."""
    what = f"{count:,} parked receipts"
    _fill(folder, say, what, lambda c, account_id: fill.fill_parked(c, count))
    with start_carrier(folder, 0.0) as carrier:
        settings = _settings(folder, carrier.port)
        with begin(folder, settings) as start:
            uvloop.run(start.wait_ready())
            return [*start.tell(what), start.tell_memory("memory with parked receipts")]


def schedule_ahead_s(count: int) -> float:
    """Return in how many seconds scheduled messages are due: after they were written, and the
    gateway was started."""
    return 20.0 + count * 60e-6


Measure = Callable[[Path, int, float, Say], list[Figure]]
KINDS: Final[dict[str, Measure]] = {
    "messages": measure_messages,
    "scheduled": measure_scheduled,
    "events": measure_events,
    "deliveries": measure_deliveries,
    "parked": measure_parked,
}


# ── filling ──────────────────────────────────────────────────────────────────────────────────


def _fill(
    folder: Path,
    say: Say,
    what: str,
    write: Callable[[fill.Connection, int], Awaitable[None]],
    *,
    webhook: str = "",
    binding: bool = False,
) -> str:
    """Make an account, and have things wait; return its SMPP password if it may bind."""
    (nobody,) = find_free_ports(1)
    password = ""
    with begin(folder, _settings(folder, nobody)) as start:
        start.gateway.create_account(ACCOUNT)
        account_id = uvloop.run(fetch_account_id(start.gateway))
        if webhook:
            start.gateway.run("account", "update", ACCOUNT, "--webhook-url", webhook)
        if binding:
            password = start.gateway.run("account", "smpp", "set", ACCOUNT)["password"]
    began_s = time.monotonic()
    # Without the gateway, which would begin with the first that it sees.
    server = start_embedded(folder / "data")
    try:
        uvloop.run(_write(server.url, account_id, write))
    finally:
        server.stop()
    say(f"{what} after {time.monotonic() - began_s:,.0f} s of filling")
    return password


async def _write(
    url: str, account_id: int, write: Callable[[fill.Connection, int], Awaitable[None]]
) -> None:
    connection = await connect_single(url, "fill")
    try:
        await connection.execute("SET statement_timeout = 0")
        await write(connection, account_id)
    finally:
        await connection.close()
    await fill.settle_all(url)


def _settings(folder: Path, carrier_port: int, smpp_port: int = 0) -> str:
    return write_gateway(folder, carrier_port, smpp_port=smpp_port) + _WEBHOOKS


# ── watching ─────────────────────────────────────────────────────────────────────────────────


async def _watch_receipts(carrier: SimulatedCarrier, seconds: float) -> float:
    """Return how many receipts a second were acknowledged, for a while."""
    before, started_s = await carrier.look(), time.monotonic()
    await asyncio.sleep(seconds)
    after = await carrier.look()
    return (after.acknowledged - before.acknowledged) / (time.monotonic() - started_s)


async def _watch_events(gateway: RunningGateway, sink: Sink, seconds: float) -> float:
    """Let the endpoint come back; return how many events a second it then took."""
    await sink.start()
    try:
        async with gateway.connect() as connection:
            await _wait_for_call(sink)
            before, started_s = await connection.fetchval(_COUNT_EVENTS), time.monotonic()
            await asyncio.sleep(seconds)
            after = await connection.fetchval(_COUNT_EVENTS)
            return float(before - after) / (time.monotonic() - started_s)
    finally:
        await sink.stop()


async def _wait_for_call(sink: Sink) -> None:
    async with asyncio.timeout(CALL_TIMEOUT_S):
        while not sink.calls:  # noqa: ASYNC110 (heard by another part of this loop)
            await asyncio.sleep(LOOK_S)


async def _watch_deliveries(login: Login, seconds: float) -> float:
    load = SmppLoad(login, binds=BINDS, window=1, receipts=True)
    await load.bind()
    try:
        before, started_s = load.receipts_taken, time.monotonic()
        await asyncio.sleep(seconds)
        return (load.receipts_taken - before) / (time.monotonic() - started_s)
    finally:
        await load.close()
