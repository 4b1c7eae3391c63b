"""What it means for this node to get a carrier, and to give one up.

    gained   receipts and parts of texts that wait are read ─► its messages ─► its sessions begin
    lost     no new messages ─► its sessions end, all answered ─► committed ─► forgotten

Not here: which carriers those are (`keeper.py`), what becomes of messages (`gateway/ownership.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from gateway.feeding import Feeder
from gateway.inbound.desk import InboundDesk
from gateway.live.carriers import LiveCarriers
from gateway.logs import get_logger
from gateway.model import CarrierId
from gateway.nodes.keeper import Keeper
from gateway.nodes.leases import Board, name_carrier_lease, read_carrier_lease
from gateway.ownership import Ownership
from gateway.receipts import ReceiptBook
from gateway.routing.health import USABLE, Away
from gateway.store.arrivals import CHANNEL
from gateway.store.backlog import Backlog
from gateway.store.intake_writer import IntakeWriter
from gateway.store.outcome_writer import OutcomeWriter

log = get_logger("nodes")

CARRIERS: Final = "carriers"
PAST_CARRIERS: Final = "carriers of the past"
"""They are configured no more; messages may still wait for them, and somebody has to have those."""
LOOK_S: Final = 0.02
ASK_AGAIN_S: Final = 1.0
"""When it is looked again at a carrier of which nobody has said that it can be used."""


class Holdings:
    """The carriers that this node has, and everything here that has to know."""

    def __init__(
        self,
        keeper: Keeper,
        ownership: Ownership,
        feeder: Feeder,
        live: LiveCarriers,
        book: ReceiptBook,
        inbound: InboundDesk,
        backlog: Backlog,
        intake: IntakeWriter,
        outcomes: OutcomeWriter,
        on_gained: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_gained` is called when all of a carrier's is here."""
        self._on_gained = on_gained
        self._keeper = keeper
        self._ownership = ownership
        self._feeder = feeder
        self._live = live
        self._book = book
        self._inbound = inbound
        self._backlog = backlog
        self._intake = intake
        self._outcomes = outcomes
        self._known: set[CarrierId] = set()
        keeper.on_seen.append(self._see)
        keeper.hear(CHANNEL, self._hear_arrivals)

    def want(self, configured: Iterable[CarrierId], known: Iterable[CarrierId]) -> None:
        """Have a share of all carriers, those that are configured and others that there were; what
        is new is nobody's yet."""
        now, ever = set(configured), set(known)
        for carrier_id in (now | ever) - self._known:
            self._ownership.disown(carrier_id)
            self._intake.foreign.add(carrier_id)
        self._known |= now | ever
        for group, carrier_ids in ((CARRIERS, now), (PAST_CARRIERS, ever - now)):
            self._keeper.want(
                group,
                map(name_carrier_lease, carrier_ids),
                gained=self._gained,
                lost=self._lost,
            )

    async def _gained(self, name: str, begins_at: float) -> None:
        carrier_id = read_carrier_lease(name)
        parked = await self._backlog.fetch_parked(carrier_id)
        await self._inbound.adopt(carrier_id)
        self._book.forget_carrier(carrier_id)
        self._book.restore_parked(parked)
        # From here on what is accepted is not told by `arrivals` any more: it comes by its commit.
        self._intake.foreign.discard(carrier_id)
        await self._feeder.adopt(carrier_id, begins_at)
        self._live.serve(carrier_id)
        self._on_gained()

    async def _lost(self, name: str) -> None:
        carrier_id = read_carrier_lease(name)
        self._intake.foreign.add(carrier_id)
        await self._intake.settle()
        self._ownership.hold(carrier_id)
        await self._live.leave(carrier_id)
        await self._outcomes.flush()
        while self._ownership.is_replacing(carrier_id):  # noqa: ASYNC110 - for a commit of its own
            await asyncio.sleep(LOOK_S)
        await self._feeder.give_away(carrier_id)
        self._book.forget_carrier(carrier_id)
        self._inbound.forget(carrier_id)
        await self._outcomes.flush()

    def _hear_arrivals(self, carrier_id: str) -> None:
        if not carrier_id or self._ownership.has(CarrierId(int(carrier_id))):
            self._feeder.look_for_arrivals()

    def _see(self, board: Board) -> None:
        """Tell others how this node's carriers are, and see how theirs are."""
        now = asyncio.get_running_loop().time()
        for carrier_id in self._known:
            name = name_carrier_lease(carrier_id)
            if self._keeper.owns(name):
                self._keeper.tell_usable(name, self._ownership.is_usable(carrier_id, now))
            elif (lease := board.leases.get(name)) is not None:
                usable = lease.usable and board.owner_of(lease) is not None
                availability = USABLE if usable else Away(now + ASK_AGAIN_S)
                self._ownership.note_elsewhere(carrier_id, availability)
