"""What several nodes of one machine share, made once, and then their processes.

    start  free ports → simulated carriers → our own PostgreSQL → schema → settings → ports → nodes
    stop   nodes → PostgreSQL → carriers, ports

Our own PostgreSQL is everybody's who uses it: the nodes start it again when it dies, and the last
to leave stops it (`store/embedded.py`). We only outlast them, so that it does not stop in between.
Everything here blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, assert_never

import msgspec

from gateway.config import Config
from gateway.errors import ConfigError
from gateway.listening import Seat, check_seats, hold_addresses
from gateway.live.settings import Given, begin_settings
from gateway.logs import get_logger
from gateway.serve import (
    announce,
    begin_log,
    carriers_of,
    ended_in_words,
    has_terminal,
    provide_key,
)
from gateway.store.embedded import start_embedded
from gateway.store.migrate import check_schema, migrate
from gateway.store.postgres import Database
from gateway.supervisor.children import NodeProcess
from gateway.supervisor.orders import Orders, Ready
from gateway.supervisor.signals import ENDING, Signals
from gateway.supervisor.upkeep import Action, Order, Upkeep

log = get_logger("supervisor")

STOP_SLACK_S: Final = 60.0
"""What a node may take to stop besides the answers that it waits for: last requests, what it has
to write, and letting go of everything."""
EMBEDDED_CONNECTIONS: Final = 240
"""What our own PostgreSQL has for nodes (`store/embedded_settings.py`), a few left for commands."""
LOOK_S: Final = 10.0
"""The longest that nothing is looked at: no word is known to get lost."""
CONNECTIONS_BESIDES: Final = 8
"""Of a node, besides `node.database_connections`: writers, its claim, what it listens to."""


def main(config: Config, given: Given | None, count: int) -> int:
    """Run so many nodes until a signal stops them; return the exit status.

    `given` is as for one node (`serve.main`). SIGHUP has every node read its certificates again,
    SIGUSR2 restarts them one after the other.
    """
    begin_log(config)
    with Signals() as signals, ended_in_words(config) as end:
        with contextlib.ExitStack() as held:
            complete = _prepare(config, given, count, held)

            def start(index: int) -> NodeProcess:
                seat = Seat(index, count)
                author = None if given is None else given.author
                return NodeProcess(Orders(seat=seat, config=complete, author=author))

            def tell(nodes: Sequence[Ready]) -> None:
                key = asyncio.run(provide_key(complete)) if given is None else ""
                ports = [node.metrics_port for node in nodes]
                announce(complete, nodes[0].port, nodes[0].https_port, key, ports)

            supervisor = Supervisor(count, start, signals, tell, stop_timeout_s=_stop_s(complete))
            end.status = supervisor.run()
    return end.status


def _prepare(config: Config, given: Given | None, count: int, held: contextlib.ExitStack) -> Config:
    """Make what all nodes share, until `held` is closed; return their settings."""
    asyncio.run(check_seats(config, count))
    complete = held.enter_context(carriers_of(config, simulated=given is None))
    url = complete.database_url
    if not url:
        _check_connections(complete, count)
        server = start_embedded(Path(complete.node.data_dir))
        held.callback(server.stop)
        url = server.url
    return asyncio.run(_settle(complete, given, count, url, held))


async def _settle(
    config: Config, given: Given | None, count: int, url: str, held: contextlib.ExitStack
) -> Config:
    """Bring schema and settings up to date, and have the ports that they name."""
    await (migrate(url) if config.node.migrate_at_start else check_schema(url))
    if given is not None:
        database = await Database.open(url, connections=1)
        try:
            applied, _ = await begin_settings(database, given, config)
        finally:
            await database.close()
        # The database that is used is the one that they came from.
        where = {"data_dir": config.node.data_dir, "database_url": config.node.database_url}
        config = msgspec.structs.replace(
            applied, node=msgspec.structs.replace(applied.node, **where)
        )
        await check_seats(config, count)
    return await hold_addresses(config, held)


def _check_connections(config: Config, count: int) -> None:
    each = config.node.database_connections + CONNECTIONS_BESIDES
    if count * each > EMBEDDED_CONNECTIONS:
        raise ConfigError(
            "node.database_connections",
            f"{count} nodes would need {count * each} connections, and the gateway's own"
            f" PostgreSQL has {EMBEDDED_CONNECTIONS} for them",
        )


def _stop_s(config: Config) -> float:
    """Return how long a node may take to stop."""
    waits_s = max(config.smpp.stop_timeout_s, 0.0) + config.dispatch.stop_timeout_s
    return waits_s + STOP_SLACK_S


class Supervisor:
    """Obeys `Upkeep` until all nodes have ended."""

    def __init__(
        self,
        count: int,
        start: Callable[[int], NodeProcess],
        signals: Signals,
        announce: Callable[[Sequence[Ready]], None],
        *,
        stop_timeout_s: float,
    ) -> None:
        """`announce` is called once all have come to serve, with what they said."""
        self._upkeep = Upkeep(count, time.monotonic(), stop_timeout_s=stop_timeout_s)
        self._start = start
        self._signals = signals
        self._announce = announce
        self._said: dict[int, Ready] = {}
        self._announced = False
        self._nodes: dict[int, NodeProcess] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> int:
        """Return the exit status; nothing that was started is left then."""
        self._signals.blocked = False
        self._selector.register(self._signals, selectors.EVENT_READ)
        try:
            while (status := self._upkeep.status) is None:
                for order in self._upkeep.step(time.monotonic()):
                    self._obey(order)
                self._wait()
            return status
        finally:
            self._signals.blocked = True
            for node in self._nodes.values():
                node.close()
            self._selector.close()

    def _obey(self, order: Order) -> None:
        match order.action:
            case Action.START:
                node = self._nodes[order.seat] = self._start(order.seat)
                self._selector.register(node, selectors.EVENT_READ, order.seat)
                log.info("node_started", seat=order.seat + 1, pid=node.pid)
            case Action.ASK:
                self._nodes[order.seat].ask()
            case Action.KILL:
                log.error("node_killed", seat=order.seat + 1)
                self._nodes[order.seat].kill()
            case _:
                assert_never(order.action)

    def _wait(self) -> None:
        """Wait for a signal, a node's word or end, or the time to do something."""
        timeout_s = max(0.0, self._upkeep.wake_at - time.monotonic())
        for key, _ in self._selector.select(min(timeout_s, LOOK_S)):
            if key.data is None:
                self._hear_signals()
            else:
                self._hear_node(key.data)
        for index, node in list(self._nodes.items()):
            if (status := node.poll()) is not None:
                self._note_end(index, node, status)

    def _hear_node(self, index: int) -> None:
        node = self._nodes[index]
        try:
            ready = node.read()
        except EOFError:  # its end is near, and heard of by itself
            self._selector.unregister(node)
            return
        if ready is None:
            return
        self._upkeep.ready(index, time.monotonic())
        self._said[index] = ready
        log.info(
            "node_ready", seat=index + 1, serves_as=ready.node, metrics_port=ready.metrics_port
        )
        if self._upkeep.has_served and not self._announced:
            self._announced = True
            self._announce([self._said[seat] for seat in sorted(self._said)])

    def _note_end(self, index: int, node: NodeProcess, status: int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(node)
        del self._nodes[index]
        node.close()
        pause_s = self._upkeep.ended(index, status, time.monotonic())
        tell = log.info if status == 0 else log.warning
        again = None if self._upkeep.stopping else pause_s
        tell("node_ended", seat=index + 1, status=status, again_in_s=again)

    def _hear_signals(self) -> None:
        for number in self._signals.take():
            if number in ENDING or (number == signal.SIGHUP and has_terminal()):
                (log.warning if self._upkeep.stopping else log.info)(
                    "stop_hurried" if self._upkeep.stopping else "stop_asked", signal=number.name
                )
                self._upkeep.stop()
            elif number == signal.SIGHUP:
                for node in self._nodes.values():
                    node.renew()
            elif number == signal.SIGUSR2:
                log.info("round_asked")
                self._upkeep.begin_round()
