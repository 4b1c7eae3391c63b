"""A start with many messages waiting, and how they then leave."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

import uvloop

from bench.bed import SETTINGS, WINDOW, RunningGateway, start_gateway
from bench.growth.fill import Day, fill, settle
from bench.growth.flat import Say, fetch_account_id
from bench.growth.goals import Figure
from bench.peers.carrier import SimulatedCarrier, start_carrier
from bench.peers.cost import MemoryWatch
from bench.peers.processes import find_free_ports

READY_MAX_S: Final = 10.0
MEMORY_MAX_MB: Final = 250.0


def measure_backlog(folder: Path, waiting: int, seconds: float, say: Say) -> list[Figure]:
    """Start with `waiting` messages that nobody has taken, without a carrier and then with one.

    `seconds` is how long each is looked at.
    """
    (nobody,) = find_free_ports(1)
    with start_gateway(folder, _settings(folder, nobody)) as gateway:
        gateway.create_account("bench")
        took_s = uvloop.run(_fill(gateway, waiting))
        say(f"{waiting:,} waiting messages after {took_s:,.0f} s of filling")
    figures = []
    started_s = time.monotonic()
    with start_gateway(folder, _settings(folder, nobody)) as gateway:
        ready_s = time.monotonic() - started_s
        with MemoryWatch({"gateway": (gateway.pid,)}) as memory:
            time.sleep(seconds)
    figures.append(Figure(f"ready with {waiting:,} waiting", ready_s, "s", READY_MAX_S))
    figures.append(Figure("memory while all of them wait", memory.peak_sum_mb, "MB", MEMORY_MAX_MB))
    with (
        start_carrier(folder, 0.0) as carrier,
        start_gateway(folder, _settings(folder, carrier.port)) as gateway,
        MemoryWatch({"gateway": (gateway.pid,)}) as memory,
    ):
        rate = uvloop.run(_watch_leaving(carrier, seconds))
    figures.append(Figure("they leave at", rate, "messages/s"))
    figures.append(Figure("memory while they leave", memory.peak_sum_mb, "MB", MEMORY_MAX_MB))
    return figures


async def _watch_leaving(carrier: SimulatedCarrier, seconds: float) -> float:
    """Return how many receipts a second were acknowledged, for a while."""
    await carrier.wait_bound()
    before, started_s = await carrier.look(), time.monotonic()
    await asyncio.sleep(seconds)
    after = await carrier.look()
    return (after.acknowledged - before.acknowledged) / (time.monotonic() - started_s)


async def _fill(gateway: RunningGateway, waiting: int) -> float:
    account_id = await fetch_account_id(gateway)
    async with gateway.connect() as connection:
        took_s = await fill(connection, account_id, Day.until_now(waiting), 1, waiting, ended=False)
    await settle(await gateway.fetch_database_url())
    return took_s


def _settings(folder: Path, carrier_port: int) -> str:
    return SETTINGS.format(folder=folder, carrier_port=carrier_port, window=WINDOW)
