"""Joins the book of messages from phones with the clock, the store and the counters.

Not here: anything that is decided (`book.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from gateway.errors import StoreUnavailable
from gateway.ids import IdGenerator
from gateway.inbound.book import BuildDeliveries, InboundBook, Origin, Sink
from gateway.inbound.content import BINARY
from gateway.inbound.numbers import NOBODY, Owners
from gateway.logs import get_logger
from gateway.metrics import InboundMetrics, Metrics
from gateway.model import AccountId, CarrierId
from gateway.outcomes import Acknowledge, Delivery, InboundMessage
from gateway.smpp.shapes import DeliverSm
from gateway.store.inbound import InboundStore

log = get_logger("inbound")

WATCH_S = 2.0
"""How late a number's new owner is known, and how late a set of parts is given up."""


class InboundDesk:
    """What carriers hand messages from phones to."""

    def __init__(
        self,
        sink: Sink,
        store: InboundStore,
        ids: IdGenerator,
        origins: Mapping[CarrierId, Origin],
        metrics: Metrics,
        *,
        reassembly_s: float,
        wants_notice: Callable[[AccountId], bool],
        build_deliveries: BuildDeliveries = lambda message: (),
    ) -> None:
        self._store = store
        self._build_deliveries = build_deliveries
        self._owners = Owners()
        self._version = 0
        self._metrics = metrics
        self._origins: dict[CarrierId, Origin] = {}
        self._counts: dict[CarrierId, InboundMetrics] = {}
        self._book = InboundBook(
            sink,
            self._origins,
            ids,
            reassembly_s=reassembly_s,
            find_owner=lambda carrier_id, recipient: self._owners.find(carrier_id, recipient),
            wants_notice=wants_notice,
            build_deliveries=self._try_deliveries,
            on_handed_over=self._count,
            on_repeated=self._count_repeated,
        )
        for carrier_id, origin in origins.items():
            self.use(carrier_id, origin)

    def use(self, carrier_id: CarrierId, origin: Origin) -> None:
        """Read a carrier's messages so from now on; one that is new begins to be counted."""
        self._origins[carrier_id] = origin
        if carrier_id not in self._counts:
            self._counts[carrier_id] = self._metrics.carrier(origin.name).inbound
            self._counts[carrier_id].watch(_reader(self._book, carrier_id))

    async def start(self) -> None:
        """Load the numbers; before any bind."""
        await self._refresh()

    async def adopt(self, carrier_id: CarrierId) -> None:
        """Go on with the parts from a carrier that wait; before its binds."""
        waiting = await self._store.fetch_waiting(carrier_id)
        handed_over = await self._store.fetch_handed_over(carrier_id)
        self._book.forget(carrier_id)
        now = asyncio.get_running_loop().time()
        self._book.restore(waiting, handed_over, now, time.time())
        if waiting:
            log.info("parts_restored", parts=len(waiting))

    def forget(self, carrier_id: CarrierId) -> None:
        """Forget what came from a carrier that another node is to have."""
        self._book.forget(carrier_id)

    def arrived(self, carrier_id: CarrierId, pdu: DeliverSm, acknowledge: Acknowledge) -> None:
        """Take what a phone sent; `acknowledge` is called once it is committed."""
        now = asyncio.get_running_loop().time()
        self._book.arrived(carrier_id, pdu, acknowledge, now, time.time())

    async def watch(self) -> None:
        """Look now and then for what time or an operator changed, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._book.expire(loop.time(), time.time())
            try:
                await self._refresh()
            except StoreUnavailable as error:
                log.warning("numbers_not_refreshed", error=str(error))
            await asyncio.sleep(WATCH_S)

    async def _refresh(self) -> None:
        changed = await self._store.fetch_numbers(self._version)
        if changed is not None:
            self._version, numbers = changed
            self._owners = Owners(numbers)

    def _try_deliveries(self, message: InboundMessage) -> Sequence[Delivery]:
        """Ask for what goes up; a message that can't be written for SMPP is handed over all the
        same, by its other ways."""
        try:
            return self._build_deliveries(message)
        except Exception:
            log.exception("deliveries_not_built", message_id=message.id)
            return ()

    def _count(self, message: InboundMessage) -> None:
        counts = self._counts.get(message.carrier_id)
        if counts is not None:  # the parts of a carrier that is no more have no counters
            counts.received(
                partial=bool(message.missing),
                unowned=message.account_id == NOBODY,
                unreadable=not message.exact and message.encoding != BINARY,
            )

    def _count_repeated(self, carrier_id: CarrierId) -> None:
        counts = self._counts.get(carrier_id)
        if counts is not None:
            counts.repeated()


def _reader(book: InboundBook, carrier_id: CarrierId) -> Callable[[], float]:
    return lambda: float(book.waiting(carrier_id))
