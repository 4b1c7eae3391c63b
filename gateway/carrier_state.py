"""One carrier as the dispatcher sees it: what waits for it, how fast it goes, how it is.

Not here: which message leaves when (`dispatch.py`), its binds (`smpp/client.py`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Final

from gateway.ceilings import CarrierDestinations
from gateway.jobs import Job, Submission
from gateway.model import CarrierId, Lane, MessageId
from gateway.record import Record
from gateway.routing.health import USABLE, Availability, Away, Breaker, Gone, worst
from gateway.smpp.status import StatusClass
from gateway.throttle.adaptive import AdaptiveRate
from gateway.throttle.lanes import LaneQueue
from gateway.throttle.limits import NONE, Limit, LimitClock

FAILOVER_AFTER_S = 5.0
"""How long a carrier's binds may all be down before its waiting messages look for another:
a rebind usually takes less, and moving messages costs their order."""
PREPARED_S = 0.25
"""How far ahead of its turn, by the rate, a segment is recorded as leaving: longer than a commit
takes, and no longer than an urgent message may wait behind what was chosen before it came."""

NOBODY: frozenset[CarrierId] = frozenset()


class Policy(Record):
    """What one carrier's settings say to the dispatcher."""

    __slots__ = ("hold", "name", "statuses", "whole")

    def __init__(
        self,
        *,
        name: str,
        hold: bool = False,
        whole: bool = False,
        statuses: Mapping[int, StatusClass] | None = None,
    ) -> None:
        self.name: Final = name
        self.hold: Final = hold
        """At most once: what was lost in flight is not sent again."""
        self.whole: Final = whole
        """Long messages leave in one PDU, which counts against the rate by its segments."""
        self.statuses: Final[Mapping[int, StatusClass]] = statuses or {}


def _segments(job: Job) -> int:
    return job.message.segments


def _age(job: Job) -> MessageId:
    return job.message.id


class CarrierState:
    """A carrier's queue, rate and health, and what is on its way to it.

    Of what is in flight, a carrier with the policy "hold" has some that has not left: `prepared`
    counts what is recorded as leaving, and `cleared` is the part of it whose record is committed.
    """

    __slots__ = (
        "answers_seen",
        "begins_at",
        "bound",
        "breaker",
        "cleared",
        "destinations",
        "down_since",
        "elsewhere",
        "gone",
        "held",
        "id",
        "in_flight",
        "leaving",
        "limits",
        "offered",
        "paused",
        "policy",
        "prepared",
        "queue",
        "queue_max",
        "rate",
        "returned",
        "silent_since",
        "unwritten",
        "window_size",
    )

    def __init__(
        self,
        id: CarrierId,
        policy: Policy,
        rate: AdaptiveRate,
        *,
        window_size: int = 0,
        queue_max: int = 0,
        destinations: CarrierDestinations | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.id = id
        self.policy = policy
        self.rate = rate
        self.window_size = window_size
        """Submissions that may be unanswered over all of its binds; 0: as many as they take."""
        self.queue_max = queue_max
        """Messages of one lane that may wait, in memory and in the database; 0: any number."""
        self.queue: LaneQueue[Job] = LaneQueue(_segments)
        self.destinations = destinations
        """Its ceilings for parts of the world, and what they hold; None: it has none."""
        self.limits = LimitClock()
        self.returned: list[Job] = []
        """What left and came back; it goes to the front of the queue when the next one may
        leave."""
        self.cleared: deque[Submission] = deque()
        self.held: list[Job] = []
        """While it is `gone`: what nobody else may have, and of which nothing has left."""
        self.prepared = 0
        self.in_flight = 0
        self.unwritten = 0
        """Submissions that it took and of which that is not committed yet."""
        self.breaker = breaker or Breaker()
        self.answers_seen = 0
        """By the breaker, when it was last looked whether the carrier is silent."""
        self.silent_since: float | None = None
        """When it was first seen so; None: nobody has looked yet."""
        self.bound = False
        """Whether a bind can take submissions."""
        self.down_since: float | None = None
        """None: it was never bound and nobody has waited for it yet."""
        self.offered: frozenset[CarrierId] = NOBODY
        """While it is away: who could have taken over when its queue was last looked through.
        Looking again is for when there is somebody new, or something that did not choose as it
        came."""
        self.begins_at: float = -math.inf
        """From when on (monotonic) this node may send to it; never while it is another's."""
        self.elsewhere: Availability | None = None
        """How the node that has it says it is; None: this node has it."""
        self.gone: Gone | None = None
        """Why it takes no new messages: drained by hand, or being taken out. What has begun to
        leave goes on, as all parts of a text travel one way."""
        self.leaving = False
        """Whether it is being taken out: nothing waits for it to come back."""
        self.paused = False
        """Whether nothing leaves until what is in flight is answered: how it is spoken to
        changes."""

    @property
    def room(self) -> float:
        """How many segments may leave before a crash could send more than a window twice."""
        if self.paused:
            return 0
        if not self.window_size:
            return math.inf
        return self.window_size - self.in_flight - self.unwritten

    @property
    def preparable(self) -> float:
        """How many segments may be recorded as leaving now."""
        rate_per_s = self.rate.rate_per_s
        ahead = max(1.0, rate_per_s * PREPARED_S) if rate_per_s else math.inf
        return min(self.room, ahead - self.prepared) if self.bound else 0.0

    @property
    def waiting(self) -> int:
        """How many messages wait for it in memory."""
        return len(self.queue) + len(self.held) + len(self.returned) + self.aside

    @property
    def aside(self) -> int:
        """How many messages its ceilings for parts of the world hold."""
        return 0 if self.destinations is None else len(self.destinations)

    def lane_waiting(self, lane: Lane) -> int:
        elsewhere = self.held
        if self.destinations is not None:
            elsewhere = elsewhere + self.destinations.waiting()
        return self.queue.lane_len(lane) + sum(job.message.lane is lane for job in elsewhere)

    def note_limit(self, holding: Limit, now: float) -> None:
        """Note what holds back whatever is ready to leave, and what ceilings hold besides."""
        if not (self.queue.ready or self.returned or self.cleared):
            holding = NONE
        elif holding is Limit.RATE and self.rate.slowed:
            holding = Limit.THROTTLED
        if self.queue.ready < len(self.queue):
            holding |= Limit.ACCOUNT
        if self.aside:
            holding |= Limit.DESTINATION
        self.limits.note(holding, now)

    def change_destinations(self, destinations: CarrierDestinations | None) -> None:
        """Have other ceilings for parts of the world, or none; what the old ones hold is judged
        anew."""
        held = [] if self.destinations is None else self.destinations.waiting()
        self.destinations = destinations
        for job in sorted(held, key=_age):
            if job.carrier_id == self.id and not job.closed:
                self.put(job)

    def availability(self, now: float) -> Availability:
        if self.gone is not None:
            return self.gone
        if self.elsewhere is not None:
            return self.elsewhere
        if not self.bound and self.down_since is not None:
            failover_at = self.down_since + FAILOVER_AFTER_S
            if now >= failover_at:
                return Away(now + FAILOVER_AFTER_S)
        return worst(USABLE, self.breaker.availability(now))

    def note_silence(self, now: float) -> None:
        """Tell the breaker how long nothing was answered; asked every second or so."""
        answers = self.breaker.answers
        since = self.silent_since
        if since is None or self.in_flight <= self.prepared or answers != self.answers_seen:
            self.answers_seen = answers
            self.silent_since = now
        else:
            self.breaker.unanswered(now, now - since)

    def put(self, job: Job) -> None:
        """Put a job at the end of its lane, or aside while nothing new leaves this way."""
        if self.gone is not None and job.pristine:
            self.held.append(job)
        else:
            self.queue.push(job, job.message.lane, job.message.account_id)

    def put_returned(self) -> None:
        """Put what came back in front, in its order: what a pause has collected leaves first."""
        for job in sorted(self.returned, key=_age, reverse=True):
            self.queue.push_front(job, job.message.lane, job.message.account_id)
        self.returned.clear()

    def empty_queue(self) -> list[Job]:
        """Take out everything that waits for this carrier, in the order of leaving."""
        self.put_returned()
        for account_id in self.queue.held():
            self.queue.release(account_id)
        waiting = [self.queue.pop() for _ in range(len(self.queue))]
        elsewhere, self.held = self.held, []
        if self.destinations is not None:
            elsewhere += self.destinations.waiting()
            self.destinations.clear()
        waiting += sorted(elsewhere, key=_age)
        return [job for job in waiting if job.carrier_id == self.id and not job.closed]
