"""Binds that do nothing: what they take of a core and of memory."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvloop

from bench.bed import RunningGateway, start_gateway
from bench.generator.smpp import Login, SmppLoad
from bench.growth.goals import Figure
from bench.peers.cost import read_cpu_s, read_memory_mb
from bench.peers.processes import find_free_ports
from gateway.demo.children import Child
from gateway.store import accounts, upstream_accounts
from gateway.store.embedded import start_embedded
from gateway.store.postgres import Database

CORE_MAX: Final = 0.03
SETTLE_S: Final = 10.0
PASSWORD: Final = "bench123"  # noqa: S105 (of accounts that live for minutes)
CUSTOMER_BINDS: Final = 4
CARRIERS_TIMEOUT_S: Final = 60.0

_NODE: Final = """
[node]
data_dir = "{folder}/data"
[http]
port = 0
[log]
format = "json"
"""
_CARRIER: Final = """
[[carrier]]
name = "carrier{number}"
host = "127.0.0.1"
port = {port}
system_id = "bench"
binds = [{binds}]
"""
_SMPP: Final = """
[smpp]
enabled = true
port = {port}
connections_max = {connections}
unbound_per_address_max = {connections}
[[carrier]]
name = "bench"
host = "127.0.0.1"
port = {carrier_port}
system_id = "bench"
[[route]]
carriers = ["bench"]
"""


def measure_carriers(folder: Path, carriers: int, binds: int, seconds: float) -> list[Figure]:
    """Hold `binds` binds to each of `carriers` carriers, and look at the gateway for `seconds`."""
    with _start_carriers(folder, carriers) as (ports, control_port):
        mode = ", ".join(['{mode = "transceiver"}'] * binds)
        settings = _NODE.format(folder=folder) + "".join(
            _CARRIER.format(number=n, port=port, binds=mode) for n, port in enumerate(ports)
        )
        with start_gateway(folder, settings) as gateway:
            asyncio.run(_wait_bound(control_port, carriers * binds))
            time.sleep(SETTLE_S)
            share, database = _watch(gateway, seconds)
            memory_mb = read_memory_mb([gateway.pid])
    what = f"{carriers * binds:,} idle binds to {carriers} carriers"
    return [
        Figure(f"{what}: the gateway", share, "of a core", CORE_MAX),
        Figure(f"{what}: its PostgreSQL", database, "of a core"),
        Figure(f"{what}: the gateway's memory", memory_mb, "MB"),
    ]


def measure_customers(folder: Path, binds: int, seconds: float) -> list[Figure]:
    """Let customers hold `binds` binds, four each, and look at the gateway for `seconds`."""
    (port, carrier_port) = find_free_ports(2)
    settings = _NODE.format(folder=folder) + _SMPP.format(
        port=port, connections=binds + 100, carrier_port=carrier_port
    )
    customers = binds // CUSTOMER_BINDS
    server = start_embedded(folder / "data")
    try:
        with start_gateway(folder, settings) as gateway:
            asyncio.run(_make_customers(server.url, customers))
            time.sleep(SETTLE_S)  # until the gateway has read them
            before_mb = read_memory_mb([gateway.pid])
            return uvloop.run(_hold(gateway, port, customers, before_mb, seconds))
    finally:
        server.stop()


async def _hold(
    gateway: RunningGateway, port: int, customers: int, before_mb: float, seconds: float
) -> list[Figure]:
    loads = [
        SmppLoad(
            Login(port=port, system_id=f"c{number}", password=PASSWORD),
            binds=CUSTOMER_BINDS,
            window=1,
            receipts=True,
        )
        for number in range(customers)
    ]
    for load in loads:
        await load.bind()
    await asyncio.sleep(SETTLE_S)
    cpu_s, started_s = read_cpu_s([gateway.pid]), time.monotonic()
    await asyncio.sleep(seconds)  # answering enquire_link
    share = (read_cpu_s([gateway.pid]) - cpu_s) / (time.monotonic() - started_s)
    each_kb = (read_memory_mb([gateway.pid]) - before_mb) * 1024 / (customers * CUSTOMER_BINDS)
    for load in loads:
        await load.close()
    what = f"{customers * CUSTOMER_BINDS:,} idle binds of {customers} customers"
    return [
        Figure(f"{what}: the gateway", share, "of a core"),
        Figure(f"{what}: memory of each", each_kb, "KB"),
    ]


async def _make_customers(database_url: str, customers: int) -> None:
    """Make accounts that may bind. One password's hash serves all: making each takes long."""
    database = await Database.open(database_url, connections=2)
    try:
        first = await accounts.create_account(database, "c0")
        await upstream_accounts.save_smpp_account(
            database, first.id, system_id="c0", password=PASSWORD
        )
        async with database.acquire() as connection:
            for number in range(1, customers):
                other = await accounts.create_account(database, f"c{number}")
                await connection.execute(
                    "INSERT INTO smpp_accounts (account_id, system_id, password)"
                    " SELECT $1, $2, password FROM smpp_accounts WHERE account_id = $3",
                    other.id,
                    f"c{number}",
                    first.id,
                )
    finally:
        await database.close()


def _watch(gateway: RunningGateway, seconds: float) -> tuple[float, float]:
    """Return the share of a core that the gateway and its database take."""
    roots = ([gateway.pid], [gateway.database_pid])
    before, started_s = [read_cpu_s(each) for each in roots], time.monotonic()
    time.sleep(seconds)
    elapsed_s = time.monotonic() - started_s
    own, database = (
        (read_cpu_s(each) - earlier) / elapsed_s
        for each, earlier in zip(roots, before, strict=True)
    )
    return own, database


@contextmanager
def _start_carriers(folder: Path, carriers: int) -> Iterator[tuple[list[int], int]]:
    """Run simulated carriers in one process; return their ports and the one to ask about them."""
    words = ["--control-port", "0"]
    for _ in range(carriers):
        words += ["--port", "0"]
    with Child("bench.smsc", *words, stderr=folder / "carriers.log") as child:
        ready = json.loads(child.read_line(CARRIERS_TIMEOUT_S))
        yield ready["ports"], ready["control_port"]


async def _wait_bound(control_port: int, binds: int) -> None:
    async with asyncio.timeout(CARRIERS_TIMEOUT_S):
        while await _count_bound(control_port) < binds:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.2)


async def _count_bound(control_port: int) -> int:
    # A line of counts of a hundred carriers is longer than what a stream takes by default.
    reader, writer = await asyncio.open_connection("127.0.0.1", control_port, limit=1 << 24)
    try:
        writer.write(b'{"do": "stats"}\n')
        answer: dict[str, Any] = json.loads(await reader.readline())
    finally:
        writer.close()
    return sum(carrier["binds"]["open"] for carrier in answer["carriers"])
