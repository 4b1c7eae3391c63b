"""The composition root: one node from its settings to a stopped process.

Starts and stops the parts in order; `parts.py` builds and joins them. Nothing else knows all.

    start  free ports → database → schema → the lock → writers → backlog → binds → HTTP
           → customers' SMPP
    stop   customers' SMPP, HTTP → intake → binds (windows empty) → outcomes → emails → webhooks
           → database
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import structlog

from gateway.api.pages import NodePages
from gateway.api.serve import HttpServer
from gateway.config import Config
from gateway.errors import GatewayError, StoreUnavailable
from gateway.listening import Seat, check_addresses, keep_addresses
from gateway.live.settings import Given, begin_settings
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.nodes.keeper import Keeper
from gateway.parts import Parts
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.embedded_start import join_embedded
from gateway.store.migrate import check_schema, migrate
from gateway.store.postgres import Database
from gateway.store.presence import connect_node

log = get_logger("gateway")

HTTP_STOP_S = 10.0
LINGER_S = 1.0
"""Where other nodes listen on the same address: how long a client may take to its next request on a
connection, and hear that it is the last there."""
PAGES_STOP_S = 1.0
WEBHOOKS_STOP_S = 5.0
EMAILS_STOP_S = 5.0
FLUSH_STOP_S = 30.0
KEEP_ALIVE_S = 0.5
REVIVE_PAUSE_S = 5.0
"""After a failure that more haste will not mend: a full disk, a folder that is gone."""


class Gateway:
    """One node, from settings to a stopped process."""

    def __init__(
        self,
        config: Config,
        given: Given | None = None,
        *,
        started_at: float | None = None,
        seat: Seat | None = None,
    ) -> None:
        """`given` is where the settings come from; None: they are nobody's to change while the
        gateway runs. `seat` is among nodes that listen on the same addresses, as `config` names
        them; who started them has checked those."""
        self.config = config
        self._given = given
        self.metrics = Metrics()
        self.port = self.https_port = 0
        """Where HTTP is listened on, without and with TLS, once `run` said it is ready; 0: not."""
        self.smpp_port = self.smpp_tls_port = 0
        """The same for customers' SMPP; 0 where they can't bind."""
        self.parts: Parts
        """There once the node owns its database."""
        self._started_at = time.monotonic() if started_at is None else started_at
        self._seat = seat
        self.node = 0
        """The number that it has claimed; its logs carry it too."""
        self.metrics_port = 0
        """The port of this node's own pages, where it shares the others; 0: none."""
        self._stop = asyncio.Event()
        self._renew_certificates: Callable[[], None] = lambda: None
        """Until something is built of them, nothing is to be renewed."""

    def renew_certificates(self) -> None:
        """Have every file of TLS read again, and taken where it is good."""
        self._renew_certificates()

    def stop(self) -> None:
        """Ask `run` to stop in order and return."""
        self._stop.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; raises what kept it from starting or going on.

        ConfigError: settings; CannotListen: a port is taken; NotTheOwner: another node;
        StoreUnavailable: no database at start.
        """
        if self._seat is None:
            await check_addresses(self.config)
        embedded: EmbeddedPostgres | None = None
        url = self.config.database_url
        if not url:
            embedded = await join_embedded(Path(self.config.node.data_dir))
            url = embedded.url
        try:
            await self._run_on(url, embedded, on_ready)
        finally:
            if embedded is not None:
                try:
                    await asyncio.to_thread(embedded.stop)
                except (GatewayError, OSError) as error:
                    log.error("database_not_stopped", error=str(error))

    async def _run_on(
        self, url: str, embedded: EmbeddedPostgres | None, on_ready: Callable[[], None]
    ) -> None:
        await self._bring_schema(url)
        keeper = Keeper(partial(connect_node, url, "nodes"))
        try:
            await keeper.claim()
            self.node = keeper.node
            structlog.contextvars.bind_contextvars(node=self.node)
            database = await Database.open(url, self.config.node.database_connections)
            try:
                await self._run_owning(url, embedded, database, keeper, on_ready)
            finally:
                await database.close()
        finally:
            await keeper.leave()

    async def _bring_schema(self, url: str) -> None:
        if not self.config.node.migrate_at_start:
            await check_schema(url)
        elif applied := await migrate(url):
            log.info("migrated", migrations=applied)

    async def _run_owning(
        self,
        url: str,
        embedded: EmbeddedPostgres | None,
        database: Database,
        keeper: Keeper,
        on_ready: Callable[[], None],
    ) -> None:
        version: int | None = None
        if self._given is not None:
            config, version = await begin_settings(database, self._given, self.config)
            self.config = config if self._seat is None else keep_addresses(config, self.config)
        parts = self.parts = Parts(self.config, self.metrics, url, database, keeper)
        await parts.build(version)
        self._renew_certificates = parts.tls.look_soon
        async with asyncio.TaskGroup() as group:
            background = self._start_background(group, parts, keeper, embedded)
            hooks = group.create_task(parts.hooks.run(), name="webhooks")
            if parts.emails is not None:
                group.create_task(parts.emails.run(), name="emails")
            intake = group.create_task(parts.intake_writer.run(), name="intake")
            outcomes = group.create_task(parts.outcome_writer.run(), name="outcomes")
            await _recover(parts)
            parts.live.carriers.begin(group, self.config.dispatch.stop_timeout_s)
            await keeper.begin(group, database)
            background.append(group.create_task(parts.watch.run(), name="settings"))
            http = HttpServer(parts.api, submit=parts.api.submit, proxies=parts.proxies)
            pages = HttpServer(NodePages(parts.condition, self.metrics.render))
            await self._open_pages(pages, parts)
            await self._listen(http, parts)
            on_ready()
            try:
                await self._stop.wait()
            finally:
                parts.condition.serving = False
                log.info("stopping")
                await keeper.stop()
                await self._stop_in_order(parts, http, intake, outcomes)
                if parts.emails is not None:
                    await parts.emails.stop(EMAILS_STOP_S)
                await parts.hooks.stop(WEBHOOKS_STOP_S)
                for task in (*background, hooks):
                    task.cancel()
                for line in parts.writer_lines:
                    await line.close()
                await pages.stop(PAGES_STOP_S)
        log.info("stopped")

    def _start_background(
        self,
        group: asyncio.TaskGroup,
        parts: Parts,
        keeper: Keeper,
        embedded: EmbeddedPostgres | None,
    ) -> list[asyncio.Task[None]]:
        """Start what runs until it is cancelled."""
        duties = {
            "nodes": keeper.run(),
            "errands": parts.errands.run(),
            "bell": parts.bell.run(),
            "receivers": parts.receivers.run(),
            "shares": parts.shares.run(),
            "desk": parts.desk.watch(),
            "inbound": parts.inbound.watch(),
            "operators": parts.operators.watch(),
            "ineligible": parts.ineligible.run(),
            "customers": parts.customers.run(),
            "feeder": parts.feeder.run(),
            "arrivals": parts.feeder.hear_arrivals(),
            "housekeeper": parts.housekeeper.run(),
            "books": parts.books.run(),
            "certificates": parts.tls.run(),
            "clock": parts.clock.watch(parts.stretches, parts.housekeeper.clock_was_set),
        }
        if embedded is not None:
            duties["postgres"] = _keep_alive(embedded, keeper, parts)
        return [group.create_task(duty, name=name) for name, duty in duties.items()]

    async def _open_pages(self, pages: HttpServer, parts: Parts) -> None:
        """Show this node's own pages, where it shares its addresses with others."""
        if self._seat is not None:
            host, port = self._seat.metrics_address(self.config)
            await pages.start(host, port)
            self.metrics_port = pages.port
            parts.watch.pages = f"{host}:{pages.port}"

    async def _listen(self, http: HttpServer, parts: Parts) -> None:
        settings, shared = self.config.http, self._seat is not None
        if settings.plain:
            await http.start(settings.host, settings.port, shared=shared)
        if (tls := parts.http_tls) is not None:
            await http.start_tls(
                settings.host, settings.tls.port, lambda: tls.context, shared=shared
            )
        self.port, self.https_port = http.port, http.tls_port
        self.smpp_port, self.smpp_tls_port = await parts.customers.listen(shared=shared)
        parts.condition.serving = True
        log.info(
            "ready",
            port=self.port or self.https_port,
            seconds=round(time.monotonic() - self._started_at, 2),
        )

    async def _stop_in_order(
        self,
        parts: Parts,
        http: HttpServer,
        intake: asyncio.Task[None],
        outcomes: asyncio.Task[None],
    ) -> None:
        linger_s = 0.0 if self._seat is None else LINGER_S
        await asyncio.gather(http.stop(HTTP_STOP_S, linger_s=linger_s), parts.customers.stop())
        parts.intake_writer.stop()
        await asyncio.wait([intake], timeout=FLUSH_STOP_S)
        intake.cancel()
        await parts.live.carriers.stop(parts.live.config.dispatch.stop_timeout_s)
        parts.outcome_writer.stop()
        await asyncio.wait([outcomes], timeout=FLUSH_STOP_S)
        outcomes.cancel()
        with contextlib.suppress(StoreUnavailable):
            await parts.ineligible.write()


async def _recover(parts: Parts) -> None:
    await parts.customers.start()
    await parts.inbound.start()  # after it: what goes up depends on who may bind
    await parts.books.start()
    await parts.feeder.begin()


async def _keep_alive(embedded: EmbeddedPostgres, keeper: Keeper, parts: Parts) -> None:
    """Start our own PostgreSQL again when it has died: nobody else looks after it."""
    while True:
        await asyncio.sleep(KEEP_ALIVE_S)
        if not keeper.away and not any(line.away for line in parts.writer_lines):
            continue
        try:
            if await asyncio.to_thread(embedded.revive):
                log.warning("database_revived")
        except (GatewayError, OSError) as error:
            log.error("database_not_revived", error=str(error))
            await asyncio.sleep(REVIVE_PAUSE_S)
