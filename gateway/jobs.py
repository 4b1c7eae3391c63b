"""A message on its way out, and the segments of it that are under way.

`Job` and `Submission` are mutable on purpose: these few objects are the gateway's working memory,
owned by one `Dispatcher` and rebuilt from the store at any start. `journal.py` alone changes the
state of a segment that has not got its receipt.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable

from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import CarrierId
from gateway.outcomes import Event
from gateway.settling import aggregate, settle_segment
from gateway.text.segment import Cut

NOT_TAKEN = "not taken"
"""The error of a RETRY that counts as no attempt: the carrier was throttling, or no bind could
send it. Written only where the policy is "hold": it takes back what LEAVING said."""
_WAITING = (EventKind.LEAVING, EventKind.RETRY)


class Job:
    """One accepted message until nothing of it is left to send."""

    __slots__ = (
        "attempts",
        "carrier_id",
        "closed",
        "cut",
        "doubtful",
        "in_flight",
        "message",
        "not_before",
        "queued",
        "states",
        "tried",
        "unsent",
        "waited_at",
        "whole",
    )

    def __init__(
        self, message: Message, carrier_id: CarrierId, states: list[Status], unsent: list[int]
    ) -> None:
        self.message = message
        self.carrier_id = carrier_id
        """Whose queue it waits in now."""
        self.states = states
        """One a segment; shared with what matches its receipts."""
        self.unsent = unsent
        """Indexes of segments that still have to leave, in order."""
        self.whole = False
        """Whether all of it left in one PDU the last time that any of it did."""
        self.cut: Cut | None = None
        """The octets of each segment as its carrier wants them, made when the first one leaves."""
        self.in_flight = 0
        self.attempts: dict[int, int] = {}
        """By index: submissions of a segment that failed on the present carrier."""
        self.waited_at = 0.0
        """The time of its last LEAVING or RETRY: what came last is read from the events' times."""
        self.not_before = 0.0
        """Monotonic; a retry that is put off does not leave earlier."""
        self.tried: tuple[CarrierId, ...] = ()
        """Carriers that will not take it."""
        self.queued = False
        """Whether it stands in its carrier's queue (and not among the timers)."""
        self.doubtful: list[int] = []
        """After a restart: segments that were about to leave on a carrier that holds."""
        self.closed = False
        """Nothing of it will be sent any more."""

    @property
    def segment_price_micros(self) -> int:
        return self.message.price_micros // self.message.segments

    @property
    def pristine(self) -> bool:
        """Whether nothing of it has left, as far as we know."""
        return len(self.unsent) == self.message.segments

    @property
    def untouched(self) -> bool:
        """Whether nobody was ever asked to take any of it, as far as we know."""
        return self.pristine and not (self.closed or self.attempts or self.tried)

    @property
    def refused(self) -> bool:
        """Whether its present carrier will not take it; it stays until nothing is in flight."""
        return self.carrier_id in self.tried

    def may_leave(self, wall: float) -> bool:
        """Say whether what has not left may still leave through its present carrier."""
        return not (self.closed or self.refused) and self.message.expires_at > wall

    def status(self) -> Status:
        return self.states[0] if len(self.states) == 1 else aggregate(self.states)

    def cost(self, whole: bool) -> int:
        """Return how many segments the next `take` is."""
        return len(self.unsent) if whole and self.pristine and not self.message.udh else 1

    def take(self, whole: bool) -> tuple[int, tuple[int, ...]]:
        """Note that the next segment leaves, or with `whole` all of them in one PDU; return which.

        A header of the client's own ties its parts together, so they leave one by one; and so
        does the rest of what began to leave in parts, before the carrier's settings changed.
        """
        whole = whole and self.pristine and not self.message.udh
        index = self.unsent.pop(0)
        self.whole = whole and bool(self.unsent)
        rest = tuple(self.unsent) if self.whole else ()
        if rest:
            self.unsent = []
        self.in_flight += 1
        return index, rest

    def put_back(self, index: int) -> None:
        """Note that a segment has to leave again."""
        insort(self.unsent, index)

    def failed(self, index: int) -> int:
        """Count a failed submission of a segment; return how many there were."""
        count = self.attempts.get(index, 0) + 1
        self.attempts[index] = count
        return count

    def move_to(self, carrier_id: CarrierId) -> None:
        """Begin anew with another carrier, which may want the octets written in another way."""
        self.carrier_id = carrier_id
        self.attempts.clear()
        self.not_before = 0.0
        self.cut = None


class Submission:
    """One segment sent once, or all of a message in one PDU; what a window holds on to."""

    __slots__ = ("carrier_id", "index", "job", "rest", "sent_at")

    def __init__(
        self,
        job: Job,
        index: int,
        carrier_id: CarrierId,
        sent_at: float,
        rest: tuple[int, ...] = (),
    ) -> None:
        self.job = job
        self.index = index
        self.carrier_id = carrier_id
        self.sent_at = sent_at
        """Monotonic seconds."""
        self.rest = rest
        """The message's other segments, where its carrier takes them with the first
        (message_payload). What becomes of one becomes of all."""

    @property
    def indexes(self) -> tuple[int, ...]:
        return (self.index, *self.rest)

    def put_back(self) -> None:
        """Note that what it carried has to leave again."""
        for index in self.indexes:
            self.job.put_back(index)


def new_job(message: Message) -> Job:
    """Return the job of a message of which nothing has happened yet."""
    if message.segments == 1:
        return Job(message, message.routes[0], [Status.ACCEPTED], [0])
    count = message.segments
    return Job(message, message.routes[0], [Status.ACCEPTED] * count, list(range(count)))


def rebuild_job(message: Message, events: Iterable[Event]) -> Job:
    """Return the job as a restart finds it: what was in flight and unanswered goes again.

    Unless it went to a carrier whose policy is "hold": then it is among the doubtful. Of a
    message that was given up nothing goes again: it comes closed, with what has not ended yet.
    """
    job = new_job(message)
    leaving: set[int] = set()
    for event in events:
        index = event.segment - 1
        job.states[index] = settle_segment(job.states[index], event.segment_status)
        if event.carrier_id is not None and event.carrier_id != job.carrier_id:
            job.move_to(event.carrier_id)
        if event.kind in _WAITING:
            job.waited_at = max(job.waited_at, event.at)
        if event.kind is EventKind.LEAVING:
            leaving.add(index)
        elif event.kind is EventKind.RETRY:
            leaving.discard(index)
            if event.error != NOT_TAKEN:
                job.failed(index)
        elif event.kind is EventKind.REFUSED:
            job.closed = True
    waiting = [i for i, state in enumerate(job.states) if state is Status.ACCEPTED]
    job.unsent = [i for i in waiting if i not in leaving]
    job.doubtful = [i for i in waiting if i in leaving]
    return job
