"""A message on its way out, and the segments of it that are under way.

Mutable on purpose: these few objects are the gateway's working memory, owned by one `Dispatcher`
and rebuilt from the store at any start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.lifecycle import EventKind, Status, aggregate, settle_segment
from gateway.model import CarrierId, Message
from gateway.outcomes import Event


@dataclass(slots=True, eq=False)
class Job:
    """One accepted message until nothing of it is left to send."""

    message: Message
    carrier_id: CarrierId
    """Whose queue it waits in now."""
    states: list[Status]
    """One a segment; shared with what matches its receipts."""
    unsent: list[int]
    """Indexes of segments that still have to leave, in order."""
    payloads: list[bytes] = field(default_factory=list)
    """Octets of each segment, made when the first one leaves."""
    in_flight: int = 0
    attempts: int = 0
    """Submissions that failed on the present carrier."""
    not_before: float = 0.0
    """Monotonic; a retry that is put off does not leave earlier."""
    tried: tuple[CarrierId, ...] = ()
    """Carriers that will not take it."""
    queued: bool = False
    """Whether it stands in its carrier's queue (and not among the timers)."""
    doubtful: list[int] = field(default_factory=list)
    """After a restart: segments that were about to leave on a carrier with the policy "hold"."""
    closed: bool = False
    """Nothing of it will be sent any more."""

    @property
    def segment_price_micros(self) -> int:
        return self.message.price_micros // self.message.segments

    @property
    def pristine(self) -> bool:
        """Whether nothing of it has left yet."""
        return self.in_flight == 0 and len(self.unsent) == self.message.segments

    def status(self) -> Status:
        return self.states[0] if len(self.states) == 1 else aggregate(self.states)


@dataclass(slots=True, eq=False)
class Submission:
    """One segment sent once; what a window holds on to."""

    job: Job
    index: int
    carrier_id: CarrierId
    sent_at: float
    """Monotonic seconds."""


def new_job(message: Message) -> Job:
    """Return the job of a message of which nothing has happened yet."""
    if message.segments == 1:
        return Job(message, message.routes[0], [Status.ACCEPTED], [0])
    count = message.segments
    return Job(message, message.routes[0], [Status.ACCEPTED] * count, list(range(count)))


def rebuild_job(message: Message, events: Iterable[Event]) -> Job:
    """Return the job as a restart finds it: what was in flight and unanswered goes again.

    Unless it went to a carrier whose policy is "hold": then it is among the doubtful.
    """
    job = new_job(message)
    leaving: set[int] = set()
    for event in events:
        index = event.segment - 1
        job.states[index] = settle_segment(job.states[index], event.segment_status)
        if event.kind is EventKind.LEAVING:
            leaving.add(index)
        elif event.kind is EventKind.RETRY:
            job.attempts += 1
            leaving.discard(index)
        if event.kind is EventKind.SUBMITTED and event.carrier_id is not None:
            job.carrier_id = event.carrier_id  # all parts of a text travel one way
    waiting = [i for i, state in enumerate(job.states) if state is Status.ACCEPTED]
    job.unsent = [i for i in waiting if i not in leaving]
    job.doubtful = [i for i in waiting if i in leaving]
    return job
