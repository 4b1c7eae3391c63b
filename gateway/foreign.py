"""Carriers and messages that are other nodes' business, as one node's dispatcher knows them.

A message belongs to the node that has the first carrier of its route. It moves when the carriers
that this node has are of no use to it and another's is: that carrier becomes the first of its
route, by the commit that tells the other node. Until then it is waited for here.

Not here: carriers that come and go (`ownership.py`), how the other node hears of a message
(`store/arrivals.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.jobs import Job
from gateway.message import Message
from gateway.model import CarrierId, Lane, MessageId
from gateway.outcomes import Move
from gateway.record import replace


class Foreign:
    """Which carriers other nodes have, and which messages go there or went lately."""

    __slots__ = ("_departed", "_move", "carriers", "departures", "full", "leaving", "turns")

    def __init__(self, move: Callable[[Move], None]) -> None:
        self._move = move
        self.carriers: set[CarrierId] = set()
        """Those that are not this node's, configured or not."""
        self.full: Mapping[tuple[CarrierId, Lane], float] = {}
        """In how many seconds their queues have room that have none, as their nodes last said."""
        self.leaving: dict[MessageId, CarrierId] = {}
        """By message whose move is recorded and not known to be committed: where it goes."""
        self._departed: dict[MessageId, tuple[CarrierId, int]] = {}
        """By message that a read, begun before its move was committed, may still bring: from where
        it went, and as the how manieth."""
        self.departures = 0
        self.turns = 0
        """How often a carrier has come or gone: a read over such a moment is out of date."""

    def has(self, message: Message) -> bool:
        """Say whether what a read or a commit brought is not this node's, or not any more."""
        home = message.routes[0]
        if home in self.carriers:
            return True
        return bool(self._departed) and self._departed.get(message.id, (0, 0))[0] == home

    def is_back(self, message: Message) -> bool:
        """Say whether a message that was read, and is to leave here, is where it should go: here,
        as that carrier has become this node's."""
        return self.leaving.get(message.id) == message.routes[0]

    def send(self, job: Job) -> None:
        """Have a message go on with its present carrier, elsewhere; nothing of it leaves here."""
        job.queued = False
        job.closed = True
        self.leaving[job.message.id] = job.carrier_id
        self._record(lead(job))

    def keep(self, job: Job) -> None:
        """Have a message stay with its present carrier, when the first of its route goes."""
        job.message = lead(job)
        self._record(job.message)

    def depart(self, message: Message, *, keep: bool) -> None:
        """Note that a message's move is committed; `keep`: somebody may still bring it."""
        self.departures += 1
        if keep:
            self._departed[message.id] = (message.routes[0], self.departures)

    def come_back(self, message: Message, began: int) -> bool:
        """Take note of a message that another node has sent here, read when so many had departed;
        False when it has departed since."""
        departed = self._departed.get(message.id)
        if departed is None:
            return True
        if departed[1] > began:
            return False
        del self._departed[message.id]
        return True

    def forget(self, announced: int) -> None:
        """Forget what nobody can bring any more: no read is under way."""
        if self._departed:
            self._departed = {id_: each for id_, each in self._departed.items() if id_ > announced}

    def _record(self, message: Message) -> None:
        self._move(Move(message.account_id, message.id, message.routes))


def lead(job: Job) -> Message:
    """Return a message whose route begins with its present carrier; who will not take it is out."""
    present = job.carrier_id
    others = (c for c in job.message.routes if c != present and c not in job.tried)
    return replace(job.message, routes=(present, *others))
