"""Every part of a node, built and joined; nothing of it runs yet.

To learn how two parts meet, read this: nothing else knows more than its neighbours. In which
order they start and stop is `app.py`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from gateway.api.app import build_api
from gateway.api.peers import Peers
from gateway.api.proxies import TrustedProxies
from gateway.bookkeeping import Bookkeeper
from gateway.carrier_line import Line
from gateway.carriers import CarrierDesk
from gateway.clock import load_clock
from gateway.condition import Condition
from gateway.config import Config
from gateway.credit.refunds import RefundRules
from gateway.credit.volumes import MonthVolumes
from gateway.directory import Directory
from gateway.dispatch import Dispatcher
from gateway.erasing import Eraser, GatewayMemory, log_advance
from gateway.fallback.decide import Fallbacks
from gateway.fallback.depth import EmailDepth
from gateway.fallback.sender import EmailSender
from gateway.fallback.template import Templates
from gateway.feeding import Feeder
from gateway.fleet import Fleet
from gateway.hooks.webhooks import WebhookSender
from gateway.housekeeping import Housekeeper
from gateway.ids import IdGenerator, accepted_at
from gateway.inbound.book import Origin
from gateway.inbound.desk import InboundDesk
from gateway.ineligible import IneligibleTally
from gateway.intake import Intake, Tables
from gateway.lines import build_line, build_state, build_style, build_tables, check_binds
from gateway.live.carriers import LiveCarriers
from gateway.live.settings import Live
from gateway.live.watch import Watch
from gateway.logs import get_logger
from gateway.lookups import ReceiptLookups, key_under_present_rule
from gateway.message import Message
from gateway.metrics import Metrics
from gateway.model import AccountId, CarrierId, Lane, Micros
from gateway.nodes.bell import Bell
from gateway.nodes.duties import DUTIES, EMAILS, HOUSEKEEPING, WEBHOOKS, SentByOne
from gateway.nodes.elsewhere import Elsewhere
from gateway.nodes.errands import Errands
from gateway.nodes.holdings import Holdings
from gateway.nodes.keeper import Keeper
from gateway.nodes.leases import CARRIER, name_carrier_lease, read_carrier_lease
from gateway.nodes.receivers import Receivers
from gateway.nodes.shares import Shares
from gateway.nodes.sight import Sight
from gateway.operators import OperatorKeeper
from gateway.outcomes import Event
from gateway.ownership import Ownership
from gateway.receipts import ReceiptBook
from gateway.refunds import Refunds
from gateway.retry import RetryLimits
from gateway.scopes import read_networks
from gateway.store.accounts import list_accounts
from gateway.store.backlog import Backlog
from gateway.store.carriers import list_carriers, register_carriers
from gateway.store.ceilings import AccountCeilings
from gateway.store.commit_line import CommitLine
from gateway.store.erasures import Erasures
from gateway.store.fallbacks import FallbackStore
from gateway.store.id_rules import adopt_id_rules
from gateway.store.inbound import InboundStore
from gateway.store.intake_writer import IntakeWriter
from gateway.store.keyring import KeyRing
from gateway.store.leases import name_writers
from gateway.store.maintenance import Maintenance
from gateway.store.money import sum_moves
from gateway.store.operators import OperatorStore
from gateway.store.outbox import PostgresOutbox
from gateway.store.outcome_writer import DELIVERIES_CHANNEL, OutcomeWriter
from gateway.store.personal_data import PersonalData
from gateway.store.postgres import Database, connect_single
from gateway.store.reader import Reader
from gateway.store.settings import FullQueue, NodeReport
from gateway.store.stretches import StretchStore
from gateway.store.treasury import Treasury
from gateway.store.unmatched import AskedAgain
from gateway.store.upstream_reader import fetch_last_delivery_id
from gateway.store.usage import LAG_S
from gateway.submissions import Intakes
from gateway.tariffs import build_refund_rules
from gateway.tls.keeper import ListeningTls, Source, TlsKeeper
from gateway.upstream.front import CustomersFront

log = get_logger("gateway")


class Parts:
    """What `build` has made; each part is public to `app.py` alone."""

    def __init__(
        self, config: Config, metrics: Metrics, url: str, database: Database, keeper: Keeper
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._url = url
        self._database = database
        self.keeper = keeper
        self._started_at = time.monotonic()
        self._serving = False

    async def build(self, version: int | None) -> None:
        """Make and join everything; raises ConfigError and StoreUnavailable.

        `version` is of the settings; None: they change at no one's word.
        """
        self.maintenance = Maintenance(self._database)
        await self.maintenance.ensure_partitions(time.time())
        self.stretches = StretchStore(self._database, self.keeper.node)
        self.clock = await load_clock(self.stretches)
        await self._open_writers()
        self.backlog = Backlog(self._database)
        self._inbound_store = InboundStore(self._database)
        self._ids = IdGenerator(self.keeper.node, await self._fetch_last_id())
        self.directory = Directory(self._database, self._metrics, self._config.plan)
        await self.directory.refresh()
        self.operators = OperatorKeeper(OperatorStore(self._database))
        await self.operators.refresh()
        self.ineligible = IneligibleTally(self._database)
        carrier_ids = await self._register([carrier.name for carrier in self._config.carrier])
        known = await list_carriers(self._database)
        self._build_nodes()
        self._build_outcomes()
        self._build_carriers(carrier_ids, {each.id for each in known} - {*carrier_ids.values()})
        await self._adopt_id_rules(self.lines.values())
        self._build_intake(await self._build_tables(self._config, carrier_ids))
        self._build_front()
        self._build_live(carrier_ids, version)
        self.holdings.want(carrier_ids.values(), (each.id for each in known))
        self._serving = True
        self.live.carriers.drain({each.id: str(each.drain) for each in known if each.drain})

    @property
    def writer_lines(self) -> tuple[CommitLine, CommitLine]:
        return self.intake_line, self.outcome_line

    async def _open_writers(self) -> None:
        # Opening a writer's line ends what a killed process may have left running: only then is
        # what the store holds all that there is.
        intake_name, outcomes_name = name_writers(self.keeper.node)
        self.intake_line = CommitLine(
            partial(connect_single, self._url, "intake"),
            intake_name,
            self._metrics.intake_commits.failed,
        )
        self.outcome_line = CommitLine(
            partial(connect_single, self._url, "outcomes"),
            outcomes_name,
            self._metrics.outcome_commits.failed,
        )
        await self.intake_line.open()
        await self.outcome_line.open()

    async def _fetch_last_id(self) -> int:
        last_id = max(
            await self.backlog.fetch_last_id(),
            await self._inbound_store.fetch_last_id(),
            await fetch_last_delivery_id(self._database),
        )
        if accepted_at(last_id) > time.time():
            log.warning("clock_went_back", seconds=round(accepted_at(last_id) - time.time(), 1))
        return last_id

    def _build_nodes(self) -> None:
        """Build what this node has to do with others."""
        self.errands = Errands(self._database, self.keeper, self._has)
        self.elsewhere = Elsewhere(self.errands)
        self.receivers = Receivers(self._database, self.keeper)
        self.bell = Bell(self._database, self.keeper)
        self.sight = Sight()
        self.keeper.want("duties", DUTIES, lost=self._let_go_of_duty)

    def _has(self, lease: str) -> bool:
        """Say whether this node has a lease, and of a carrier all that waits for it as well."""
        return self.keeper.owns(lease) and (
            not lease.startswith(CARRIER) or self.ownership.has(read_carrier_lease(lease))
        )

    async def _let_go_of_duty(self, name: str) -> None:
        for duty, sender in ((WEBHOOKS, self.hooks), (EMAILS, self.emails)):
            if name == duty and sender is not None:
                await sender.let_go()

    def _build_outcomes(self) -> None:
        """Build who writes what becomes of messages, and who tells customers of it."""
        config, metrics = self._config, self._metrics
        self._outbox = PostgresOutbox(self._database)
        self.hooks = SentByOne(
            WEBHOOKS,
            lambda: WebhookSender(
                *(self._outbox, config.webhooks, metrics.webhooks),
                age_s=lambda at, now: self.clock.age_s(at),
                take_set_back=partial(self.clock.take_set_back, WEBHOOKS),
            ),
            self.keeper.holds,
            self.bell.ring,
        )
        self.bell.join(WEBHOOKS, self.hooks.wake_here)
        self.outcome_writer = OutcomeWriter(
            self.outcome_line,
            self._on_written,
            waiting_max=config.dispatch.outcomes_waiting_max,
            on_batch=metrics.outcome_commits.committed,
            on_refused=lambda rows, error: log.error("outcome_refused", error=str(error)),
            on_refunded=lambda account_id, micros: self.directory.count_moves(
                "refunded", [(account_id, micros)]
            ),
            on_moved=lambda moves: self.ownership.moved(moves),
        )
        templates = Templates()
        self._fallbacks = Fallbacks(
            templates,
            available=bool(config.email.host),
            after_max_s=config.messages.validity_max_s,
        )
        fallback_store = FallbackStore(self._database)
        send_emails = partial(
            EmailSender,
            *(fallback_store, config.email, templates, metrics.email),
            wake_hooks=self.hooks.wake,
            age_s=lambda at, now: self.clock.age_s(at),
            take_set_back=partial(self.clock.take_set_back, EMAILS),
        )
        self.emails = (
            SentByOne(EMAILS, send_emails, self.keeper.holds) if config.email.host else None
        )
        self._email_depth = EmailDepth(
            fallback_store, metrics.email, lambda: self.keeper.owns(HOUSEKEEPING)
        )
        self.customers = CustomersFront(
            config.smpp,
            self._database,
            self.outcome_writer,
            self._ids,
            metrics.upstream,
            self.directory.note,
            self.receivers,
            self.sight.binds_of,
            lambda: self.keeper.owns(HOUSEKEEPING),
        )
        self.sight.join(self.customers.see)
        self.sight.join(lambda _: self.ownership.note_full(self.sight.full_queues()))
        self.receivers.join(self.customers.postman.gained, self.outcome_writer.flush)
        self.keeper.hear(DELIVERIES_CHANNEL, self.customers.postman.hear)

    def _build_carriers(
        self, carrier_ids: Mapping[str, CarrierId], past_carriers: Iterable[CarrierId]
    ) -> None:
        """Build what speaks to carriers, and who decides what it says."""
        config = self._config
        self.lines: dict[CarrierId, Line] = {}
        for carrier in config.carrier:
            carrier_id = carrier_ids[carrier.name]
            self.lines[carrier_id] = build_line(carrier, carrier_id, self._metrics)
        self.inbound = InboundDesk(
            self.outcome_writer,
            self._inbound_store,
            self._ids,
            {
                carrier_ids[carrier.name]: Origin(carrier.name, build_style(carrier))
                for carrier in config.carrier
            },
            self._metrics,
            reassembly_s=config.messages.reassembly_s,
            wants_notice=self.directory.wants_notice,
            build_deliveries=self.customers.postman.build_inbound,
        )
        self.desk = CarrierDesk(
            self.lines,
            self.outcome_writer,
            self.inbound,
            wake_hooks=self.hooks.wake,
            lease=self.keeper.lease,
        )
        self.dispatcher = Dispatcher(
            [build_state(c, carrier_ids[c.name], self._started_at) for c in config.carrier],
            self.desk.record,
            limits=_retry_limits(config),
            held_max=config.dispatch.queue_messages_max,
            past_carriers=past_carriers,
            states_of=lambda message_id: self.book.references.find_states(message_id),
            reroute=lambda message: self.intake.reroute(message),
            cost_of=self._find_cost,
            move=self.outcome_writer.move,
        )
        self.ownership = Ownership(self.dispatcher)
        self.refunds = Refunds(self._refund_rules(config, carrier_ids), self.outcome_writer.refund)
        self.book = ReceiptBook(
            self.outcome_writer,
            references_max=config.dispatch.references_max,
            key_of=partial(key_under_present_rule, self.lines),
            wants_notice=self.directory.wants_notice,
            on_applied=self.desk.receipt_applied,
            on_unmatched=self.desk.receipt_parked,
            on_duplicate=self.desk.receipt_repeated,
            send_up=self.customers.postman.tell,
            carrier_name=self.desk.name_of,
            on_ended=self.refunds.ended,
        )
        self.desk.join(self.dispatcher, self.book)
        self.dispatcher.ceilings.first_share = 0.0
        self.shares = Shares(
            self._database, self.keeper, self.dispatcher.ceilings, self.desk.pump_soon
        )
        lookups = ReceiptLookups(
            self.lines, self.dispatcher, self.book, self.outcome_writer, self.clock
        )
        self.outcome_writer.join(lookups, self.customers.postman)
        for carrier in config.carrier:
            line = self.lines[carrier_ids[carrier.name]]
            check_binds(carrier, line, self.desk)  # they are made when the carrier is gained
        self.feeder = Feeder(
            self.dispatcher,
            self.backlog,
            self.maintenance,
            self.clock.after,
            nothing_announces=lambda: self.intake_writer.idle,
            on_arrived=self.desk.pump_soon,
            claim=(self.keeper.node, self.keeper.epoch),
        )
        self.housekeeper = Housekeeper(
            config.messages,
            self.maintenance,
            self.directory,
            self.book,
            self.outcome_writer,
            self.refunds,
            self._outbox,
            self._metrics,
            self.clock,
            on_unmatched=self.desk.receipt_unmatched,
            measure_emails=self._email_depth.measure,
            asked_again=AskedAgain(
                self._database, lambda carrier_id: self._has(name_carrier_lease(carrier_id))
            ),
            try_taken_again=lookups.try_taken_again,
            erase=Eraser(
                Erasures(self._database),
                GatewayMemory(
                    *(self.dispatcher, self.book, self.outcome_writer, self.backlog),
                    elsewhere=self.elsewhere,
                ),
                log_advance,
            ).advance_all,
            elsewhere=self.elsewhere,
            owns=self.keeper.owns,
        )

    async def _adopt_id_rules(self, lines: Collection[Line]) -> None:
        """Have these lines know the rules by which their carriers' ids were stored before."""
        rules = {line.id: line.ids for line in lines}
        former = await adopt_id_rules(self._database, rules, time.time())
        for line in lines:
            line.former_ids = former[line.id]

    def _find_cost(self, message: Message, carrier_id: CarrierId, wall: float) -> Micros | None:
        costs = self.intake.tables.costs
        if not costs:
            return None
        return costs.cost(carrier_id, message.recipient, message.operator, int(wall))

    def _refund_rules(self, config: Config, carrier_ids: Mapping[str, CarrierId]) -> RefundRules:
        return build_refund_rules(config, carrier_ids, self.directory.pays_on_delivery)

    async def _build_tables(self, config: Config, carrier_ids: Mapping[str, CarrierId]) -> Tables:
        """Build what intake looks things up in, at the start and whenever settings change.

        Raises ConfigError; changes nothing.
        """
        account_ids = await _fetch_account_ids(self._database)
        # In a thread: price lists of a hundred thousand lines take a second.
        return await asyncio.to_thread(build_tables, config, carrier_ids, account_ids)

    def _build_intake(self, tables: Tables) -> None:
        """Build who takes messages in."""
        config = self._config
        volumes = MonthVolumes()
        self.intake = Intake(
            config.messages,
            tables,
            self._ids,
            text_chars_max=config.http.text_chars_max,
            operators=self.operators.book,
            on_ineligible=self.ineligible.note,
            on_forgotten=self._metrics.recipients_forgotten,
            queue_wait_s=self.dispatcher.queue_wait_s,
            volumes=volumes,
        )
        self.directory.tell_ceilings(self._set_ceilings)
        self.books = Bookkeeper(
            self._database,
            config.messages,
            volumes,
            lambda: self.intake.tables.prices,
            self._metrics,
            wake_hooks=self.hooks.wake,
            lag_s=max(LAG_S, 3 * config.http.commit_timeout_s),
            clock=self.clock,
            owns=self.keeper.owns,
        )
        self.intake_writer = IntakeWriter(
            self.intake_line,
            self._on_stored,
            waiting_max=config.http.intake_waiting_max,
            timeout_s=config.http.commit_timeout_s,
            on_batch=self._metrics.intake_commits.committed,
        )

    def _build_front(self) -> None:
        """Build what listens."""
        self.condition = Condition(
            self.lines,
            self.dispatcher,
            self.intake_writer,
            self.outcome_writer,
            lambda: self.keeper.away or any(line.away for line in self.writer_lines),
            self.sight.carriers,
        )
        self.condition.watch(self._metrics)
        self._metrics.node.watch(
            number=lambda: float(self.keeper.node),
            epoch=lambda: float(self.keeper.epoch),
        )
        self.keeper.on_took_over = self._metrics.node.took_over
        reader = Reader(self._database)
        intakes = Intakes(
            self.intake,
            self.intake_writer,
            self.outcome_writer,
            self.dispatcher,
            self.backlog,
            reader,
            fallbacks=self._fallbacks,
            elsewhere=self.elsewhere,
            on_rejected=self._metrics.rejected,
        )
        self.elsewhere.cancel_by(intakes.cancel_here)
        self.customers.join(
            self.intake, self.intake_writer, intakes, self._fallbacks, self.elsewhere
        )
        http = self._config.http
        self.http_tls = ListeningTls(http.tls, "http.tls", "http/1.1") if http.tls.enabled else None
        self.personal = PersonalData(
            self._database,
            self._config.privacy.hash_key,
            self._config.messages.default_country,
        )
        self.tls = TlsKeeper(self._tls_sources, self._metrics.tls)
        self.proxies = TrustedProxies(read_networks(http.trusted_proxies), http.forwarded_header)
        self.api = build_api(
            self._config.http,
            submissions=intakes,
            reading=reader,
            dead_events=self._outbox,
            treasury=Treasury(self._database),
            personal=self.personal,
            keys=KeyRing(self._database, on_account=self.directory.note),
            condition=self.condition,
            metrics_text=self._metrics.render,
            peers=Peers(
                self._config.http.peers, self._config.messages.validity_max_s, self._outbox.put
            ),
            on_request=self._metrics.answered,
            on_login_refused=self._metrics.login_refused,
            on_fault=lambda route, error: log.error("request_failed", route=route, exc_info=error),
        )

    def _tls_sources(self) -> Iterator[Source]:
        if self.http_tls is not None:
            yield self.http_tls.source()
        yield from self.customers.tls_sources()
        yield from self.live.carriers.tls_sources()

    def _set_ceilings(self, ceilings: Mapping[AccountId, AccountCeilings]) -> None:
        leaving = {
            account_id: each.leaving for account_id, each in ceilings.items() if each.leaving
        }
        self.dispatcher.set_ceilings(leaving, time.monotonic(), self._started_at)
        self.shares.look_soon()
        self.intake.recipients.use_own(
            {account_id: each.per_recipient for account_id, each in ceilings.items()}
        )

    def _build_live(self, carrier_ids: Mapping[str, CarrierId], version: int | None) -> None:
        """Build who passes changed settings on."""
        fleet = Fleet(self.dispatcher)
        carriers = LiveCarriers(
            {carrier_ids[carrier.name]: carrier for carrier in self._config.carrier},
            *(self.lines, fleet, self.desk, self.inbound, self.condition, self._metrics),
        )
        self.holdings = Holdings(
            self.keeper,
            self.ownership,
            self.feeder,
            carriers,
            self.book,
            self.inbound,
            self.backlog,
            self.intake_writer,
            self.outcome_writer,
            on_gained=self.errands.look,
        )
        self.live = Live(
            *(self._config, carriers, self.intake, self._register, self._build_tables),
            adopt=self._adopt_id_rules,
            use=self._use,
            reroute=lambda: fleet.reroute(asyncio.get_running_loop().time()),
        )
        self.watch = Watch(
            partial(connect_single, self._url, "settings"),
            self._database,
            self.live,
            self.condition.served_carriers,
            self._metrics.settings,
            node=self.keeper.node,
            version=version,
            sight=self.sight,
            alone=lambda: self.keeper.alone,
            more=self._add_to_report,
        )

    def _add_to_report(self, report: NodeReport) -> NodeReport:
        full = [FullQueue(*each) for each in self.ownership.full_queues()]
        return msgspec.structs.replace(self.customers.add_to(report), full=full)

    def _use(self, config: Config, carrier_ids: Mapping[str, CarrierId]) -> None:
        """Pass settings on that neither intake's tables nor carriers' lines are made of."""
        self.dispatcher.limits = _retry_limits(config)
        self.directory.plans = config.plan
        self.refunds.rules = self._refund_rules(config, carrier_ids)
        self.housekeeper.use(config.messages)
        self.personal.use(config.privacy.hash_key, config.messages.default_country)
        self.tls.look_soon()

    async def _register(self, names: Sequence[str]) -> Mapping[str, CarrierId]:
        """Give every carrier its number."""
        known = await register_carriers(self._database, names)
        carrier_ids = {each.name: each.id for each in known if each.name in names}
        if self._serving:
            self.holdings.want(carrier_ids.values(), (each.id for each in known))
        return carrier_ids

    # ── what the writers say ─────────────────────────────────────────────────────────────────

    def _on_stored(self, messages: list[Message]) -> None:
        self.feeder.take(messages, asyncio.get_running_loop().time())
        self.customers.stored(messages)
        self.books.stored(messages)
        self.desk.pump_soon()
        for lane in Lane:
            segments = [m.segments for m in messages if m.lane is lane]
            if segments:
                self._metrics.accepted(lane, len(segments), sum(segments))
        self.directory.count_moves("reserved", ((m.account_id, m.price_micros) for m in messages))

    def _on_written(self, events: Sequence[Event], had_notices: bool) -> None:
        self.desk.written(events, had_notices)
        self.customers.written(events)
        posted, voided = sum_moves(events)
        self.directory.count_moves("posted", posted.items())
        self.directory.count_moves("voided", voided.items())


def _retry_limits(config: Config) -> RetryLimits:
    return RetryLimits(
        attempts_max=config.dispatch.retry_attempts_max,
        first_s=config.dispatch.retry_first_s,
        max_s=config.dispatch.retry_max_s,
    )


async def _fetch_account_ids(database: Database) -> dict[str, AccountId]:
    return {
        standing.account.name: AccountId(standing.account.id)
        for standing in await list_accounts(database)
    }
