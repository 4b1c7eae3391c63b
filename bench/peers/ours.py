"""This gateway as it comes, with the PostgreSQL that it starts itself: fsync on, every answer after
its commit, every receipt acknowledged after its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.bed import RunningGateway, start_gateway
from bench.generator.messages import Messages, Wanted
from bench.generator.smpp import Login, SmppLoad
from bench.peers.carrier import SimulatedCarrier
from bench.peers.processes import CannotRun, find_free_ports
from bench.peers.sink import Sink
from bench.peers.system import HttpLoader, Loader, ReceiptsEnd, Running, SmppLoader, System
from bench.settings import write_gateway
from gateway.lifecycle import EventKind

BATCH: Final = 1_000
BATCH_CONNECTIONS: Final = 2
SMPP_WINDOW: Final = 100
WINDOW: Final = 2_000
"""Of the bind to the carrier: what is unanswered or not committed yet. With 500 a compiled gateway
and its database take turns; Kannel gains nothing beyond its 500."""
NODES: Final = 2
_SECOND_CARRIER: Final = """
[[carrier]]
name = "second"
host = "127.0.0.1"
port = {port}
system_id = "bench"
window_size = {window}
[[route]]
rank = 1
carriers = ["bench", "second"]
choose = "round_robin"
"""
"""The same simulator under another name, so that each of two nodes has a carrier."""
_KEEPS: Final = "every message and every receipt"
_CONFIGURATION: Final = (
    "as it comes: one process, its own PostgreSQL with fsync and synchronous_commit on, one bind"
    " with a window of {window}"
)
_COUNT: Final = "SELECT count(DISTINCT message_id) FROM events WHERE kind = $1 AND status = 10"


@dataclass(frozen=True, slots=True)
class Build:
    """A way in which this gateway is installed."""

    name: str
    title: str
    note: str
    python: Path | None
    """The interpreter that has it; None: this one."""
    window: int = WINDOW
    """Of its bind to the carrier."""

    def check(self) -> None:
        if self.python is None:
            return
        if not self.python.exists():
            raise CannotRun(f"{self.python} is not there: make compiled")
        if "PYTHONPATH" in os.environ:
            raise CannotRun("PYTHONPATH would hide the compiled files: unset it")


AS_IT_COMES: Final = Build("ours", "this gateway", "", None)
COMPILED: Final = Build(
    "compiled",
    "this gateway, compiled",
    "; the files of its hot path compiled (make compiled)",
    Path(".venv-compiled/bin/python"),
)


def list_ours(connections: int, binds: int, window: int = WINDOW) -> list[System]:
    """Return this gateway under each kind of load, as it comes and compiled."""
    ours = _list_build(replace(AS_IT_COMES, window=window), connections, binds)
    loads = {"compiled-single", "compiled-batch", "compiled-smpp"}
    compiled = _list_build(replace(COMPILED, window=window), connections, binds)
    return ours + [system for system in compiled if system.name in loads]


def _list_build(build: Build, connections: int, binds: int) -> list[System]:

    @contextmanager
    def single(folder: Path, carrier: SimulatedCarrier, sink: Sink) -> Iterator[Running]:
        with _start(build, folder, carrier) as gateway:
            yield _running(gateway, _http(gateway, connections))

    @contextmanager
    def nodes(folder: Path, carrier: SimulatedCarrier, sink: Sink) -> Iterator[Running]:
        second = _SECOND_CARRIER.format(port=carrier.port, window=build.window)
        with _start(build, folder, carrier, second, ("--nodes", str(NODES))) as gateway:
            yield _running(gateway, _http(gateway, connections))

    @contextmanager
    def batch(folder: Path, carrier: SimulatedCarrier, sink: Sink) -> Iterator[Running]:
        with _start(build, folder, carrier) as gateway:
            yield _running(gateway, _http(gateway, BATCH_CONNECTIONS, batch=BATCH))

    @contextmanager
    def smpp(folder: Path, carrier: SimulatedCarrier, sink: Sink) -> Iterator[Running]:
        with _start_with_smpp(build, folder, carrier, binds) as (gateway, login):
            load = SmppLoad(login, binds=binds, window=SMPP_WINDOW, receipts=False)
            yield _running(gateway, SmppLoader(load))

    @contextmanager
    def smpp_receipts(folder: Path, carrier: SimulatedCarrier, sink: Sink) -> Iterator[Running]:
        with _start_with_smpp(build, folder, carrier, binds) as (gateway, login):
            load = SmppLoad(login, binds=binds, window=SMPP_WINDOW, receipts=True)
            yield _running(gateway, SmppLoader(load))

    configuration = _CONFIGURATION.format(window=build.window) + build.note
    of_binds = f"{binds} bind{'s' * (binds > 1)} with a window of {SMPP_WINDOW}"
    return [
        System(
            name=f"{build.name}-single",
            title=f"{build.title}, single submits",
            keeps=_KEEPS,
            configuration=configuration,
            receipts_end=ReceiptsEnd.CARRIER,
            check=build.check,
            start=single,
        ),
        System(
            name=f"{build.name}-nodes",
            title=f"{build.title}, {NODES} nodes, single submits",
            keeps=_KEEPS,
            configuration=(
                f"{configuration}; but {NODES} processes that share a port, and a second bind to"
                " the same carrier, so that each has one: half of the messages change processes"
            ),
            receipts_end=ReceiptsEnd.CARRIER,
            check=build.check,
            start=nodes,
        ),
        System(
            name=f"{build.name}-batch",
            title=f"{build.title}, batches of {BATCH:,}",
            keeps=_KEEPS,
            configuration=f"{configuration}; {BATCH_CONNECTIONS} HTTP connections",
            receipts_end=ReceiptsEnd.CARRIER,
            check=build.check,
            start=batch,
        ),
        System(
            name=f"{build.name}-smpp",
            title=f"{build.title}, SMPP submits",
            keeps=_KEEPS,
            configuration=f"{configuration}; the customer has {of_binds}",
            receipts_end=ReceiptsEnd.CARRIER,
            check=build.check,
            start=smpp,
        ),
        System(
            name=f"{build.name}-smpp-receipts",
            title=f"{build.title}, SMPP, receipts up",
            keeps=_KEEPS,
            configuration=f"{configuration}; the customer has {of_binds} and wants all receipts",
            receipts_end=ReceiptsEnd.CUSTOMER,
            check=build.check,
            start=smpp_receipts,
        ),
    ]


@contextmanager
def _start(
    build: Build,
    folder: Path,
    carrier: SimulatedCarrier,
    more_settings: str = "",
    options: Sequence[str] = (),
    smpp_port: int = 0,
) -> Iterator[RunningGateway]:
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    settings = write_gateway(folder, carrier.port, window=build.window, smpp_port=smpp_port)
    with start_gateway(
        folder, settings + more_settings, options=options, python=build.python
    ) as gateway:
        yield gateway


@contextmanager
def _start_with_smpp(
    build: Build, folder: Path, carrier: SimulatedCarrier, binds: int
) -> Iterator[tuple[RunningGateway, Login]]:
    (port,) = find_free_ports(1)
    with _start(build, folder, carrier, smpp_port=port) as gateway:
        gateway.create_account("bench")
        login = gateway.run("account", "smpp", "set", "bench", "--binds-max", str(binds))
        yield gateway, Login(port=port, system_id="bench", password=login["password"])


def _http(gateway: RunningGateway, connections: int, batch: int = 0) -> HttpLoader:
    address = urlsplit(gateway.url)
    kept = gateway.folder / "key"
    if not kept.exists():  # else it is a restart
        kept.write_text(gateway.create_account("bench"))
    key = kept.read_text()
    wanted = Wanted(host=address.netloc, key=key, mode="batch" if batch else "single")
    return HttpLoader(
        Messages(wanted), address.port or 80, connections=connections, per_request=batch or 1
    )


def _running(gateway: RunningGateway, loader: Loader) -> Running:
    async def count_kept() -> int:
        async with gateway.connect() as connection:
            return int(await connection.fetchval(_COUNT, EventKind.RECEIPT))

    return Running(
        groups={"gateway": (gateway.pid,), "database": (gateway.database_pid,)},
        loader=loader,
        count_kept=count_kept,
    )
