"""Carriers that come to this node and go to others, and what that means for waiting messages.

    disown ──► adopt ──► (its messages are read) … give_away ──► (all of it committed) another's

Whoever has a carrier has the messages whose route begins with it; their rows say which those are,
so a node that gets a carrier reads them, and one that gives it away forgets them.

Not here: whose a carrier is (`nodes/`), the reads (`feeding.py`), binds (`live/`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from gateway.carrier_state import NOBODY
from gateway.dispatch import Dispatcher
from gateway.jobs import Job
from gateway.model import CarrierId, Lane
from gateway.outcomes import Move
from gateway.routing.health import USABLE, Availability, Away


class Ownership:
    """The verbs by which a dispatcher's carriers change hands."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._foreign = dispatcher.foreign

    def has(self, carrier_id: CarrierId) -> bool:
        return carrier_id not in self._foreign.carriers

    def disown(self, carrier_id: CarrierId) -> None:
        """Begin with a carrier that is another node's, or nobody's yet."""
        self._foreign.carriers.add(carrier_id)
        carrier = self._dispatcher.carriers.get(carrier_id)
        if carrier is not None:
            carrier.elsewhere = Away(math.inf)
            carrier.begins_at = math.inf

    def adopt(self, carrier_id: CarrierId, now: float, begins_at: float) -> None:
        """Begin to have a carrier's messages: nobody else has them. What waits is still to be read;
        nothing leaves before `begins_at` (monotonic)."""
        self._foreign.carriers.discard(carrier_id)
        self._foreign.turns += 1
        self._dispatcher.shelves.begin_anew(carrier_id, unread=True)
        carrier = self._dispatcher.carriers.get(carrier_id)
        if carrier is not None:
            carrier.elsewhere = None
            carrier.begins_at = begins_at
            carrier.down_since = now
            carrier.offered = NOBODY
            self._dispatcher.ready.add(carrier_id)

    def hold(self, carrier_id: CarrierId) -> None:
        """Send nothing more to a carrier that is to be given away."""
        carrier = self._dispatcher.carriers.get(carrier_id)
        if carrier is not None:
            carrier.begins_at = math.inf

    def is_replacing(self, carrier_id: CarrierId) -> bool:
        """Say whether a carrier's message is being replaced: it has to be known first as what."""
        held = map(self._dispatcher.find, self._dispatcher.on_hold)
        return any(job is not None and job.message.routes[0] == carrier_id for job in held)

    def give_away(self, carrier_id: CarrierId, now: float) -> None:
        """Forget a carrier's messages: once what is recorded by now is committed, another node may
        read them. Nothing may be in flight to it.

        What has found another way of this node's stays, and is recorded as having that.
        """
        carrier = self._dispatcher.carriers.get(carrier_id)
        if carrier is not None:
            assert not carrier.in_flight, "it would be answered to nobody"
            carrier.empty_queue()
        self.disown(carrier_id)
        self._foreign.turns += 1
        self._dispatcher.shelves.begin_anew(carrier_id, unread=False)
        for job in self._dispatcher.jobs():
            if job.message.routes[0] == carrier_id:
                if job.closed or not self.has(job.carrier_id):
                    self._dispatcher.drop(job)
                else:
                    self._keep(job)
            elif job.carrier_id == carrier_id and not job.closed:
                self._dispatcher.choose_anew(job, now)

    def _keep(self, job: Job) -> None:
        self._foreign.keep(job)
        shelf = self._dispatcher.shelves.of(job.message)
        if shelf is not None:
            shelf.put(job.message)

    def moved(self, moves: Iterable[Move]) -> None:
        """Forget messages that went to other carriers: that is committed."""
        for move in moves:
            if self._foreign.leaving.get(move.message_id) == move.routes[0]:
                job = self._dispatcher.find(move.message_id)
                assert job is not None, "it stays until here"
                self._dispatcher.depart(job)

    def arrive(self, jobs: Iterable[Job], began: int, now: float, wall: float) -> None:
        """Take jobs that other nodes have committed for this one's carriers; what a shelf has no
        room for stays in the store.

        The read that brought them must stand between `begin_refill` and `end_refill`; it `began`
        when so many messages had departed from here.
        """
        for job in jobs:
            message = job.message
            if not (self.has(message.routes[0]) and self._foreign.come_back(message, began)):
                continue
            known = self._dispatcher.find(message.id)
            if known is not None and not self._foreign.is_back(message):
                continue
            shelf = self._dispatcher.shelves.of(message)
            if known is not None or shelf is None or shelf.admits(message):
                self._dispatcher.restore([job], now, wall)

    def is_usable(self, carrier_id: CarrierId, now: float) -> bool:
        """Say whether other nodes' messages would leave by a carrier that is here."""
        carrier = self._dispatcher.carriers.get(carrier_id)
        return carrier is not None and carrier.bound and carrier.availability(now) is USABLE

    def note_elsewhere(self, carrier_id: CarrierId, availability: Availability) -> None:
        """Note how the node that has a carrier says it is."""
        carrier = self._dispatcher.carriers.get(carrier_id)
        if carrier is not None and carrier.elsewhere is not None:
            carrier.elsewhere = availability

    def full_queues(self) -> Iterator[tuple[CarrierId, Lane, float]]:
        """Return the queues of carriers that are here that have no room, and for how long."""
        for (carrier_id, lane), shelf in self._dispatcher.shelves.items():
            carrier = self._dispatcher.carriers.get(carrier_id)
            if carrier is None or not carrier.queue_max or carrier.elsewhere is not None:
                continue
            if wait_s := shelf.wait_s(carrier.queue_max):
                yield carrier_id, lane, wait_s

    def note_full(self, full: Mapping[tuple[CarrierId, Lane], float]) -> None:
        """Note which queues of other nodes' carriers have no room, and for how long."""
        self._foreign.full = full
