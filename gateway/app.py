"""The composition root: builds every part, joins them, starts and stops them in order.

The only file that knows all of the others.

    start  database → schema → the lock → writers → backlog → binds → HTTP → customers' SMPP
    stop   customers' SMPP, HTTP → intake → binds (windows empty) → outcomes → webhooks → database
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from gateway.api.app import build_api
from gateway.api.serve import HttpServer
from gateway.carriers import CarrierDesk, Line
from gateway.condition import Condition
from gateway.config import Config
from gateway.directory import Directory
from gateway.dispatch import Dispatcher
from gateway.errors import GatewayError
from gateway.feeding import Feeder
from gateway.hooks.webhooks import WebhookSender
from gateway.housekeeping import Housekeeper
from gateway.ids import IdGenerator, accepted_at
from gateway.inbound.book import Origin
from gateway.inbound.desk import InboundDesk
from gateway.intake import Intake
from gateway.lines import build_binds, build_line, build_state, build_style, build_tables
from gateway.logs import get_logger
from gateway.metrics import Metrics
from gateway.model import AccountId, CarrierId, Lane, Message
from gateway.outcomes import Event
from gateway.owner import Owner
from gateway.receipts import ReceiptBook
from gateway.retry import RetryLimits
from gateway.store.accounts import list_accounts
from gateway.store.backlog import Backlog
from gateway.store.commit_line import CommitLine
from gateway.store.embedded import EmbeddedPostgres, start_embedded
from gateway.store.inbound import InboundStore
from gateway.store.intake_writer import IntakeWriter
from gateway.store.keyring import KeyRing
from gateway.store.maintenance import Maintenance
from gateway.store.migrate import migrate
from gateway.store.outbox import PostgresOutbox
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database, connect_single
from gateway.store.reader import Reader
from gateway.store.upstream_reader import fetch_last_delivery_id
from gateway.submissions import Intakes
from gateway.upstream.front import CustomersFront

log = get_logger("gateway")

NODE = 0
"""The only node, as long as one lock covers all carriers (`owner.py`)."""
HTTP_STOP_S = 10.0
WEBHOOKS_STOP_S = 5.0
FLUSH_STOP_S = 30.0
KEEP_ALIVE_S = 0.5
REVIVE_PAUSE_S = 5.0
"""After a failure that more haste will not mend: a full disk, a folder that is gone."""


class Gateway:
    """One node, from settings to a stopped process."""

    def __init__(self, config: Config, *, started_at: float | None = None) -> None:
        self.config = config
        self.metrics = Metrics()
        self.port = 0
        """Where HTTP is listened on, once `run` said it is ready."""
        self.smpp_port = self.smpp_tls_port = 0
        """The same for customers' SMPP; 0 where they can't bind."""
        self._started_at = time.monotonic() if started_at is None else started_at
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to stop in order and return."""
        self._stop.set()

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until `stop`; raises what kept it from starting or going on.

        ConfigError: settings; NotTheOwner: another node; StoreUnavailable: no database at start.
        """
        embedded: EmbeddedPostgres | None = None
        url = self.config.database_url
        if not url:
            embedded = await asyncio.to_thread(start_embedded, Path(self.config.node.data_dir))
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
        await migrate(url)
        owner = Owner(partial(connect_single, url, "owner"))
        await owner.take()
        try:
            database = await Database.open(url, self.config.node.database_connections)
            try:
                await self._run_owning(url, embedded, database, owner, on_ready)
            finally:
                await database.close()
        finally:
            await owner.release()

    async def _run_owning(
        self,
        url: str,
        embedded: EmbeddedPostgres | None,
        database: Database,
        owner: Owner,
        on_ready: Callable[[], None],
    ) -> None:
        await self._build(url, database, owner)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(owner.watch(), name="owner"),
                group.create_task(self._desk.watch(), name="desk"),
                group.create_task(self._inbound.watch(), name="inbound"),
                group.create_task(self._customers.run(), name="customers"),
                group.create_task(self._feeder.run(), name="feeder"),
                group.create_task(self._housekeeper.run(), name="housekeeper"),
            ]
            if embedded is not None:
                background.append(
                    group.create_task(self._keep_alive(embedded, owner), name="postgres")
                )
            hooks = group.create_task(self._hooks.run(), name="webhooks")
            intake = group.create_task(self._intake_writer.run(), name="intake")
            outcomes = group.create_task(self._outcome_writer.run(), name="outcomes")
            await self._recover()
            binds = [bind for line in self._lines.values() for bind in line.binds]
            for bind in binds:
                group.create_task(bind.run(), name=f"bind {bind.name}")
            http = HttpServer(self._api)
            await http.start(self.config.http.host, self.config.http.port)
            self.port = http.port
            self.smpp_port, self.smpp_tls_port = await self._customers.listen()
            self._condition.serving = True
            log.info("ready", port=self.port, seconds=round(time.monotonic() - self._started_at, 2))
            on_ready()
            try:
                await self._stop.wait()
            finally:
                self._condition.serving = False
                log.info("stopping")
                await self._stop_in_order(http, intake, outcomes, hooks, background)
        log.info("stopped")

    async def _build(self, url: str, database: Database, owner: Owner) -> None:
        config = self.config
        maintenance = Maintenance(database)
        await maintenance.ensure_partitions(time.time())
        carrier_ids, past_carriers = await _register_carriers(
            database, [carrier.name for carrier in config.carrier]
        )
        account_ids = {
            standing.account.name: AccountId(standing.account.id)
            for standing in await list_accounts(database)
        }
        # Opening a writer's line ends what a killed process may have left running: only then is
        # what the store holds all that there is.
        intake_line = CommitLine(
            partial(connect_single, url, "intake"), "intake", self.metrics.intake_commits.failed
        )
        outcome_line = CommitLine(
            partial(connect_single, url, "outcomes"),
            "outcomes",
            self.metrics.outcome_commits.failed,
        )
        await intake_line.open()
        await outcome_line.open()
        backlog = Backlog(database)
        inbound_store = InboundStore(database)
        last_id = max(
            await backlog.fetch_last_id(),
            await inbound_store.fetch_last_id(),
            await fetch_last_delivery_id(database),
        )
        if accepted_at(last_id) > time.time():
            log.warning("clock_went_back", seconds=round(accepted_at(last_id) - time.time(), 1))
        ids = IdGenerator(NODE, last_id)

        self._lines: dict[CarrierId, Line] = {}
        for carrier in config.carrier:
            carrier_id = carrier_ids[carrier.name]
            self._lines[carrier_id] = build_line(carrier, carrier_id, self.metrics)
        self._directory = Directory(database, self.metrics)
        await self._directory.refresh()
        outbox = PostgresOutbox(database)
        self._hooks = WebhookSender(outbox, config.webhooks, self.metrics.webhooks)
        self._outcome_writer = OutcomeWriter(
            outcome_line,
            self._on_written,
            waiting_max=config.dispatch.outcomes_waiting_max,
            on_batch=self.metrics.outcome_commits.committed,
            on_refused=lambda rows, error: log.error("outcome_refused", error=str(error)),
        )
        self._customers = CustomersFront(
            config.smpp, database, self._outcome_writer, ids, self.metrics.upstream
        )
        self._inbound = InboundDesk(
            self._outcome_writer,
            inbound_store,
            ids,
            {
                carrier_ids[carrier.name]: Origin(carrier.name, build_style(carrier))
                for carrier in config.carrier
            },
            self.metrics,
            reassembly_s=config.messages.reassembly_s,
            wants_notice=self._directory.wants_notice,
            build_deliveries=self._customers.postman.build_inbound,
        )
        self._desk = CarrierDesk(
            self._lines, self._outcome_writer, self._inbound, wake_hooks=self._hooks.wake
        )
        self._dispatcher = Dispatcher(
            [build_state(carrier, carrier_ids[carrier.name]) for carrier in config.carrier],
            self._desk.record,
            limits=RetryLimits(
                attempts_max=config.dispatch.retry_attempts_max,
                first_s=config.dispatch.retry_first_s,
                max_s=config.dispatch.retry_max_s,
            ),
            held_max=config.dispatch.queue_messages_max,
            past_carriers=past_carriers,
            states_of=lambda message_id: self._book.references.find_states(message_id),
        )
        self._book = ReceiptBook(
            self._outcome_writer,
            references_max=config.dispatch.references_max,
            wants_notice=self._directory.wants_notice,
            on_applied=self._desk.receipt_applied,
            on_unmatched=self._desk.receipt_parked,
            on_duplicate=self._desk.receipt_repeated,
            send_up=self._customers.postman.tell,
        )
        self._desk.join(self._dispatcher, self._book)
        self._outcome_writer.join(self._desk, self._customers.postman)
        for carrier in config.carrier:
            line = self._lines[carrier_ids[carrier.name]]
            line.binds = build_binds(carrier, line, self._desk)

        self._backlog = backlog
        self._feeder = Feeder(self._dispatcher, backlog, maintenance)
        self._housekeeper = Housekeeper(
            config.messages,
            maintenance,
            self._directory,
            self._book,
            self._outcome_writer,
            outbox,
            self.metrics,
            on_unmatched=self._desk.receipt_unmatched,
        )
        intake = Intake(
            config.messages,
            build_tables(config, carrier_ids, account_ids),
            ids,
            text_chars_max=config.http.text_chars_max,
        )
        self._intake_writer = IntakeWriter(
            intake_line,
            self._on_stored,
            waiting_max=config.http.intake_waiting_max,
            timeout_s=config.http.commit_timeout_s,
            on_batch=self.metrics.intake_commits.committed,
        )
        self._condition = Condition(
            self._lines,
            self._dispatcher,
            self._intake_writer,
            self._outcome_writer,
            lambda: owner.away or any(line.away for line in self._lines_of_writers),
        )
        self._condition.watch(self.metrics)
        reader = Reader(database)
        intakes = Intakes(
            intake,
            self._intake_writer,
            self._outcome_writer,
            self._dispatcher,
            backlog,
            reader,
            on_rejected=self.metrics.rejected,
        )
        self._customers.join(intake, self._intake_writer, intakes)
        self._api = build_api(
            config.http,
            submissions=intakes,
            reading=reader,
            keys=KeyRing(database),
            condition=self._condition,
            metrics_text=self.metrics.render,
            on_request=self.metrics.answered,
            on_fault=lambda route, error: log.error("request_failed", route=route, exc_info=error),
        )
        self._lines_of_writers = (intake_line, outcome_line)

    async def _keep_alive(self, embedded: EmbeddedPostgres, owner: Owner) -> None:
        """Start our own PostgreSQL again when it has died: nobody else looks after it."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            if not owner.away and not any(line.away for line in self._lines_of_writers):
                continue
            try:
                if await asyncio.to_thread(embedded.revive):
                    log.warning("database_revived")
            except (GatewayError, OSError) as error:
                log.error("database_not_revived", error=str(error))
                await asyncio.sleep(REVIVE_PAUSE_S)

    async def _recover(self) -> None:
        self._book.restore_parked(await self._backlog.fetch_parked())
        await self._customers.start()
        await self._inbound.start()  # after it: what goes up depends on who may bind
        count = await self._feeder.recover()
        if count:
            log.info("recovered", messages=count)

    async def _stop_in_order(
        self,
        http: HttpServer,
        intake: asyncio.Task[None],
        outcomes: asyncio.Task[None],
        hooks: asyncio.Task[None],
        background: Sequence[asyncio.Task[None]],
    ) -> None:
        await asyncio.gather(http.stop(HTTP_STOP_S), self._customers.stop())
        self._intake_writer.stop()
        await asyncio.wait([intake], timeout=FLUSH_STOP_S)
        intake.cancel()
        deadline_s = self.config.dispatch.stop_timeout_s
        await asyncio.gather(
            *(bind.stop(deadline_s) for line in self._lines.values() for bind in line.binds)
        )
        self._outcome_writer.stop()
        await asyncio.wait([outcomes], timeout=FLUSH_STOP_S)
        outcomes.cancel()
        await self._hooks.stop(WEBHOOKS_STOP_S)
        for task in (*background, hooks):
            task.cancel()
        for line in self._lines_of_writers:
            await line.close()

    def _on_stored(self, messages: list[Message]) -> None:
        self._feeder.take(messages, asyncio.get_running_loop().time())
        self._customers.stored(messages)
        self._desk.pump_soon()
        for lane in Lane:
            segments = [m.segments for m in messages if m.lane is lane]
            if segments:
                self.metrics.accepted(lane, len(segments), sum(segments))
        self._directory.count_moves("reserved", ((m.account_id, m.price_micros) for m in messages))

    def _on_written(self, events: Sequence[Event], had_notices: bool) -> None:
        self._desk.written(events, had_notices)
        self._customers.written(events)
        self._directory.count_moves("posted", ((e.account_id, e.posted_micros) for e in events))
        self._directory.count_moves("voided", ((e.account_id, e.voided_micros) for e in events))


async def _register_carriers(
    database: Database, names: Sequence[str]
) -> tuple[dict[str, CarrierId], list[CarrierId]]:
    """Give every configured carrier its number; return those, and the ones of former carriers."""
    async with database.acquire() as connection:
        await connection.execute(
            "INSERT INTO carriers (name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
            list(names),
        )
        rows = await connection.fetch("SELECT id, name FROM carriers")
    known = {row["name"]: CarrierId(row["id"]) for row in rows}
    return (
        {name: known[name] for name in names},
        [carrier_id for name, carrier_id in known.items() if name not in names],
    )
