"""Customers' side of SMPP as the composition root sees it: built, started and stopped as one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec

from gateway.config import Smpp
from gateway.fallback.decide import Fallbacks
from gateway.ids import IdGenerator
from gateway.intake import Intake
from gateway.message import Message
from gateway.metrics import UpstreamMetrics
from gateway.model import Account, AccountId
from gateway.nodes.elsewhere import Elsewhere
from gateway.outcomes import Event
from gateway.periodic import attempt
from gateway.store.intake_writer import IntakeWriter
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database
from gateway.store.settings import NodeReport
from gateway.store.upstream_reader import count_open
from gateway.submissions import Intakes
from gateway.tls.keeper import Source
from gateway.upstream.customer import OpenCounts
from gateway.upstream.depth import DeliveryDepth
from gateway.upstream.desk import CustomerDesk
from gateway.upstream.door import Door
from gateway.upstream.errands import Errands
from gateway.upstream.logins import Logins
from gateway.upstream.postman import Postman, Receivers
from gateway.upstream.roster import Roster
from gateway.upstream.server import SmppServer

COUNT_REST_S = 30.0
"""At least so long between two counts of what is open: each reads the whole backlog."""


class CustomersFront:
    """Everything between customers' sockets and intake, and between outcomes and their receivers.

    Receipts are kept for customers also while nobody may bind.
    """

    def __init__(
        self,
        settings: Smpp,
        database: Database,
        outcomes: OutcomeWriter,
        ids: IdGenerator,
        metrics: UpstreamMetrics,
        on_account: Callable[[Account], None] = lambda account: None,
        receivers: Receivers | None = None,
        binds_elsewhere: Callable[[AccountId], int] = lambda account_id: 0,
        shown: Callable[[], bool] = lambda: True,
    ) -> None:
        """`on_account` hears of each account that may bind, as it was read; `receivers` says whose
        deliveries are carried by this node, where there may be others; `binds_elsewhere` counts
        an account's binds there, `shown` is as in `DeliveryDepth`."""
        self._settings = settings
        self._database = database
        self._metrics = metrics
        self._roster = Roster(database, settings, on_account)
        self._open_counts = OpenCounts()
        self.postman = Postman(database, outcomes, self._roster, ids, metrics, receivers)
        self._logins = Logins()
        self._door = Door(
            settings,
            self._roster,
            self._logins,
            self.postman,
            self._open_counts,
            metrics,
            binds_elsewhere,
        )
        self._uncounted = asyncio.Event()
        """Set when nodes have come or gone, so that what is open has to be counted anew."""
        self._server: SmppServer | None = None
        """None when customers can't bind."""
        self._depth = DeliveryDepth(database, self.postman.has_receiver, metrics, shown)
        metrics.watch(
            connections=self._count_connections,
            accounts=lambda: float(self._door.accounts_bound),
            binds=self._count_binds,
            held=lambda: float(self.postman.held),
        )

    def join(
        self,
        intake: Intake,
        writer: IntakeWriter,
        intakes: Intakes,
        fallbacks: Fallbacks,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Learn who takes messages in; raises ConfigError for TLS files that can't be used."""
        if self._settings.enabled:
            errands = Errands(self._database, intakes, self._roster, elsewhere)
            desk = CustomerDesk(
                self._door, intake, writer, self.postman, errands, self._metrics, fallbacks
            )
            self._server = SmppServer(self._settings, self._door, desk, self.postman, self._metrics)

    async def run(self) -> None:
        """Keep the terms fresh and the mailboxes fed, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._roster.run(), name="roster")
            group.create_task(self.postman.run(), name="postman")
            group.create_task(self._depth.run(), name="delivery_depth")
            if self._server is not None:
                group.create_task(self._count_anew(), name="open_counts")

    def see(self, reports: Mapping[str, NodeReport]) -> None:
        """Take what other nodes say of customers' messages."""
        if self._open_counts.see({node: report.open for node, report in reports.items()}):
            self._uncounted.set()

    def add_to(self, report: NodeReport) -> NodeReport:
        """Return a report with what other nodes need to know of this one's customers."""
        return msgspec.structs.replace(
            report,
            binds=self._door.count_binds(),
            open=self._open_counts.added(self._roster.with_ceiling()),
        )

    async def _count_anew(self) -> None:
        """Count what is open anew when nodes have come or gone: what they said last is not all."""
        while True:
            await self._uncounted.wait()
            self._uncounted.clear()
            if self._roster.with_ceiling():
                await attempt("open_counts", self._begin_counts)
            await asyncio.sleep(COUNT_REST_S)

    async def _begin_counts(self) -> None:
        self._open_counts.begin(await count_open(self._database))

    def stored(self, messages: Iterable[Message]) -> None:
        """Hear which messages were just committed, however they came."""
        self._open_counts.stored(messages)

    def written(self, events: Iterable[Event]) -> None:
        """Hear which events were just committed."""
        self._open_counts.written(events)

    async def start(self) -> None:
        """Learn who may bind and what waits of whom; raises StoreUnavailable."""
        await self._roster.refresh()
        if self._server is not None:
            await self._begin_counts()

    async def listen(self, *, shared: bool = False) -> tuple[int, int]:
        """Let customers bind; return the ports without and with TLS, 0 for none.

        With `shared` other processes listen there too. Raises OSError when a port is taken.
        """
        if self._server is None:
            return 0, 0
        await self._server.start(shared=shared)
        return self._server.port, self._server.tls_port

    def tls_sources(self) -> Iterable[Source]:
        """Return what is made of files for TLS."""
        if self._server is not None and self._server.tls is not None:
            yield self._server.tls.source()

    async def stop(self) -> None:
        """Finish what is owed in both directions and unbind."""
        if self._server is not None:
            await self._server.stop()
        self._logins.close()

    def _count_connections(self) -> float:
        return 0.0 if self._server is None else float(self._server.connections)

    def _count_binds(self, mode: str) -> float:
        return float(sum(bind.mode == mode for bind in self._door.binds))
