"""From accepted to answered: which segment leaves next, through whom, and what follows.

Everything is decided here and nothing waited for: the shell (`gateway/carriers.py`) says what
room its binds have and what carriers answered; the dispatcher says what to send, until when to
wait, and records events as they fall due. `now` is monotonic, `wall` the time of day.

    accept ─► queue of its carrier ─► take ─► (carrier) ─► responded | lost ─► event
                   ▲   timers ◄─────── retry ◄──────────────────┘

A message stays in `_jobs` until the event that closes it is committed: what is read back from
the store meanwhile is recognised and not sent twice.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.jobs import Job, Submission, new_job
from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.model import CarrierId, Lane, Message, MessageId
from gateway.outcomes import Event
from gateway.retry import GiveUp, Requeue, RetryLimits, SendAgain, TryOther, decide_retry
from gateway.routing.choose import Use, choose_carrier
from gateway.routing.health import USABLE, Availability, Away, Breaker, worst
from gateway.shelves import Shelf
from gateway.smpp.status import StatusClass, classify
from gateway.throttle.adaptive import AdaptiveRate
from gateway.throttle.bucket import Wait
from gateway.throttle.lanes import LaneQueue

FAILOVER_AFTER_S = 5.0
"""How long a carrier's binds may all be down before its waiting messages look for another:
a rebind usually takes less, and moving messages costs their order."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What one carrier's settings say to the dispatcher."""

    name: str
    hold: bool = False
    """At most once: what was lost in flight is not sent again."""
    statuses: Mapping[int, StatusClass] = {}


def _segments(job: Job) -> int:
    return job.message.segments


@dataclass(slots=True)
class CarrierState:
    """One carrier as the dispatcher sees it."""

    id: CarrierId
    policy: Policy
    rate: AdaptiveRate
    queue: LaneQueue[Job] = field(default_factory=lambda: LaneQueue(_segments))
    breaker: Breaker = field(default_factory=Breaker)
    bound: bool = False
    down_since: float = 0.0
    in_flight: int = 0

    def availability(self, now: float) -> Availability:
        if not self.bound and now >= self.down_since + FAILOVER_AFTER_S:
            return Away(now + FAILOVER_AFTER_S)
        return worst(USABLE, self.breaker.availability(now))


class Canceled(msgspec.Struct, frozen=True):
    """It is withdrawn, and the event is recorded."""


class TooLate(msgspec.Struct, frozen=True):
    """Some of it has left already."""


class NotHere(msgspec.Struct, frozen=True):
    """It is not in memory: look in the store."""


class Dispatcher:
    """The node's working memory of messages that wait, and the decisions about them."""

    def __init__(
        self,
        carriers: Iterable[CarrierState],
        record: Callable[[Event], None],
        *,
        limits: RetryLimits,
        held_max: int,
        past_carriers: Iterable[CarrierId] = (),
    ) -> None:
        """`past_carriers` are configured no more; messages may still wait in their queues."""
        self.carriers = {carrier.id: carrier for carrier in carriers}
        self._record = record
        self._limits = limits
        self._jobs: dict[MessageId, Job] = {}
        self._timers: list[tuple[float, int, Job]] = []
        self._ticket = itertools.count()
        self.held_max = held_max
        per_shelf = max(500, held_max // max(1, len(self.carriers) * len(Lane)))
        self.shelves = {
            (carrier_id, lane): Shelf(carrier_id, lane, per_shelf)
            for carrier_id in {*self.carriers, *past_carriers}
            for lane in Lane
        }
        self._refills = 0
        self._closed_during_refill: set[MessageId] = set()
        self.ready: set[CarrierId] = set()
        """Carriers that have something new to send; the shell empties it."""

    def __len__(self) -> int:
        return len(self._jobs)

    # ── in ───────────────────────────────────────────────────────────────────────────────────

    def accept(self, messages: Iterable[Message], now: float, wall: float) -> None:
        """Take messages that were just committed."""
        for message in messages:
            if message.send_at is not None:
                self.restore([new_job(message)], now, wall)
                continue
            shelf = self._shelf_of(message)
            if shelf is None:
                # Accepted for a carrier that is configured no more, by another node or before
                # the last start: it belongs to no queue and goes by what is left of its route.
                self._admit(new_job(message), now)
            elif shelf.admits(message):
                shelf.put(message.id)
                self._admit(new_job(message), now)

    def restore(self, jobs: Iterable[Job], now: float, wall: float) -> None:
        """Take jobs that were read from the store, unless they are here already."""
        for job in jobs:
            message = job.message
            if message.id in self._jobs or message.id in self._closed_during_refill:
                continue
            shelf = self._shelf_of(message)
            if shelf is not None:
                shelf.put(message.id)
            self._jobs[message.id] = job
            if job.doubtful:
                self._end_segments(job, job.doubtful, EventKind.HELD, wall, error="restart")
            if message.send_at is not None and message.send_at > wall:
                self._arm(job, now + message.send_at - wall)
            elif job.unsent:
                self._enqueue(job, now)

    def begin_refill(self, shelf: Shelf | None = None) -> None:
        """Note that a read of open messages begins; `end_refill` must follow."""
        self._refills += 1
        if shelf is not None:
            shelf.begin_refill()

    def end_refill(
        self, shelf: Shelf | None = None, last_id: int = 0, complete: bool = False
    ) -> None:
        self._refills -= 1
        if not self._refills:
            self._closed_during_refill.clear()
        if shelf is not None:
            shelf.end_refill(last_id, complete)

    # ── out ──────────────────────────────────────────────────────────────────────────────────

    def take(
        self, carrier_id: CarrierId, room: int, now: float, wall: float
    ) -> tuple[list[Submission], float | None]:
        """Return up to `room` segments to send now, and until when to wait if the rate says so.

        What is returned counts as in flight until `responded` or `lost` is told of it.
        """
        carrier = self.carriers[carrier_id]
        queue = carrier.queue
        taken: list[Submission] = []
        while len(taken) < room and len(queue):
            job = queue.peek()
            if not self._may_leave(job, carrier_id, now, wall):
                queue.pop()
                continue
            granted = carrier.rate.take(1, now)
            if isinstance(granted, Wait):
                return taken, granted.until
            index = job.unsent.pop(0)
            job.in_flight += 1
            carrier.in_flight += 1
            carrier.breaker.sent(now)
            if not job.unsent:
                queue.pop()
                job.queued = False
            taken.append(Submission(job, index, carrier_id, now))
        return taken, None

    def responded(
        self,
        submission: Submission,
        status: int,
        carrier_message_id: str,
        now: float,
        wall: float,
    ) -> StatusClass:
        """Apply a `submit_sm_resp`; return what its status means."""
        job, carrier = submission.job, self.carriers[submission.carrier_id]
        job.in_flight -= 1
        carrier.in_flight -= 1
        status_class = classify(status, carrier.policy.statuses)
        if status_class in (StatusClass.RETRY, StatusClass.SESSION_FAULT):
            carrier.breaker.failed(now)
        else:  # a refusal, too, is an answer of a carrier that works
            carrier.breaker.succeeded(now)
        if status_class is StatusClass.OK:
            carrier.rate.succeeded(1, now)
            self._submitted(submission, carrier_message_id, wall)
            return status_class
        if status_class is StatusClass.THROTTLE:
            carrier.rate.throttled(now)
        else:
            job.attempts += 1
        self._not_taken(submission, status_class, status, now, wall)
        return status_class

    def lost(self, submissions: Sequence[Submission], now: float, wall: float) -> None:
        """Apply the loss of a bind with these submissions unanswered in its window."""
        if submissions:
            self.carriers[submissions[0].carrier_id].breaker.failed(now)
        # Back to the front in reverse, so that they leave again in their order.
        for submission in reversed(submissions):
            job, carrier = submission.job, self.carriers[submission.carrier_id]
            job.in_flight -= 1
            carrier.in_flight -= 1
            job.attempts += 1
            if carrier.policy.hold:
                self._end_segments(job, [submission.index], EventKind.HELD, wall, error="bind lost")
            elif job.closed:
                self._give_up(job, [submission.index], EventKind.REFUSED, wall)
            elif job.attempts >= self._limits.attempts_max:
                self._give_up(
                    job, [submission.index], EventKind.REFUSED, wall, error="lost too often"
                )
            else:
                self._note(submission, EventKind.RETRY, None, "bind lost", wall)
                self._requeue(job, submission.index)

    def unsend(self, submissions: Sequence[Submission]) -> None:
        """Take back segments that `take` returned and no bind could send after all."""
        for submission in reversed(submissions):
            submission.job.in_flight -= 1
            self.carriers[submission.carrier_id].in_flight -= 1
            self._requeue(submission.job, submission.index)

    def leaving(self, submissions: Iterable[Submission], wall: float) -> None:
        """Record, for a carrier whose policy is "hold", that these are about to be sent."""
        for submission in submissions:
            self._note(submission, EventKind.LEAVING, None, None, wall)

    def unsendable(self, submission: Submission, reason: str, wall: float) -> None:
        """Give up a segment that can't be written as a PDU at all."""
        submission.job.in_flight -= 1
        self.carriers[submission.carrier_id].in_flight -= 1
        self._give_up(
            submission.job,
            [submission.index],
            EventKind.REFUSED,
            wall,
            submission.carrier_id,
            error=reason,
        )

    # ── time and other changes ───────────────────────────────────────────────────────────────

    def next_timer(self) -> float | None:
        """Return when `tick` has something to do for retries and schedules."""
        return self._timers[0][0] if self._timers else None

    def tick(self, now: float) -> None:
        """Queue what has waited long enough."""
        while self._timers and self._timers[0][0] <= now:
            _, _, job = heapq.heappop(self._timers)
            if not job.closed and not job.queued and job.unsent:
                self._enqueue(job, now)

    def expire(self, wall: float) -> None:
        """End what waited past its validity, wherever it waits."""
        overdue = [
            job
            for job in self._jobs.values()
            if job.message.expires_at <= wall and not job.closed and not job.in_flight
        ]
        for job in overdue:
            self._end(job, EventKind.EXPIRED, wall, error="validity ended")

    def set_bound(self, carrier_id: CarrierId, bound: bool, now: float) -> None:
        """Note that a carrier has its first bind, or has lost its last."""
        carrier = self.carriers[carrier_id]
        if carrier.bound and not bound:
            carrier.down_since = now
        carrier.bound = bound
        if bound:
            self.ready.add(carrier_id)

    def fail_over(self, now: float) -> None:
        """Move what has not begun to leave from carriers that are away to those that are not."""
        for carrier in self.carriers.values():
            if not len(carrier.queue) or carrier.availability(now) is USABLE:
                continue
            waiting = []
            while len(carrier.queue):
                waiting.append(carrier.queue.pop())
            for job in waiting:
                if job.carrier_id != carrier.id:
                    continue
                job.queued = False
                if not job.closed:
                    self._enqueue(job, now)

    def cancel(self, message_id: MessageId, wall: float) -> Canceled | TooLate | NotHere:
        """Withdraw a message of which nothing has left."""
        job = self._jobs.get(message_id)
        if job is None:
            return NotHere()
        if job.closed or not job.pristine:
            return TooLate()
        self._end(job, EventKind.CANCELED, wall)
        return Canceled()

    def cancel_read(self, job: Job, wall: float) -> Canceled | TooLate:
        """Withdraw a message that was read from the store, open, because memory had it not.

        The read must stand between `begin_refill` and `end_refill`.
        """
        message = job.message
        if message.id in self._closed_during_refill:
            return TooLate()
        if message.id not in self._jobs:
            if not job.pristine:
                return TooLate()
            shelf = self._shelf_of(message)
            if shelf is not None:
                shelf.held += 1
            self._jobs[message.id] = job
        outcome = self.cancel(message.id, wall)
        assert not isinstance(outcome, NotHere)
        return outcome

    def written(self, events: Iterable[Event]) -> None:
        """Forget the messages whose closing event is committed."""
        for event in events:
            if not event.closes:
                continue
            job = self._jobs.pop(event.message_id, None)
            if job is None:
                continue
            shelf = self._shelf_of(job.message)
            if shelf is not None:
                shelf.held -= 1
            if self._refills:
                self._closed_during_refill.add(event.message_id)

    def find(self, message_id: MessageId) -> Job | None:
        return self._jobs.get(message_id)

    def refills(self) -> list[Shelf]:
        """Return the shelves that have room again and more to read."""
        return [shelf for shelf in self.shelves.values() if shelf.wants_refill]

    def open_from(self) -> dict[tuple[CarrierId, Lane], int]:
        """Return, for each shelf that holds messages, the oldest id that is still open."""
        oldest: dict[tuple[CarrierId, Lane], int] = {}
        for message_id, job in self._jobs.items():
            if job.message.send_at is not None:
                continue
            key = (job.message.routes[0], job.message.lane)
            if message_id < oldest.get(key, message_id + 1):
                oldest[key] = message_id
        return oldest

    # ── decisions ────────────────────────────────────────────────────────────────────────────

    def _shelf_of(self, message: Message) -> Shelf | None:
        """Return the shelf that counts a message; scheduled ones are read by their hour."""
        if message.send_at is not None:
            return None
        return self.shelves.get((message.routes[0], message.lane))

    def _admit(self, job: Job, now: float) -> None:
        self._jobs[job.message.id] = job
        self._enqueue(job, now)

    def _enqueue(self, job: Job, now: float) -> None:
        """Put a job at the end of its lane with the carrier that it should go through now."""
        if len(job.unsent) == job.message.segments:  # nothing has left: free to choose
            candidates = [c for c in job.message.routes if c not in job.tried]
            choice = choose_carrier(candidates, self.carriers, now)
            if isinstance(choice, Use):
                if choice.carrier != job.carrier_id:
                    job.attempts = 0
                job.carrier_id = choice.carrier
            elif job.carrier_id not in self.carriers:
                known = [c for c in candidates if c in self.carriers]
                if known:
                    job.carrier_id = known[0]
        carrier = self.carriers.get(job.carrier_id)
        if carrier is None:
            # Its carrier was taken out of the settings: it waits for that to be mended, or for
            # the end of its validity.
            return
        carrier.queue.push(job, job.message.lane, job.message.account_id)
        job.queued = True
        self.ready.add(carrier.id)

    def _may_leave(self, job: Job, carrier_id: CarrierId, now: float, wall: float) -> bool:
        """Say whether the head of a queue can be sent; if not, put it where it belongs.

        Nothing is ever searched for in a queue: what was withdrawn, moved or put off is found
        out when its turn comes.
        """
        if job.carrier_id != carrier_id:
            return False  # it was moved, and stands in the other queue
        if not job.closed and job.message.expires_at > wall and job.not_before <= now:
            return True
        job.queued = False
        if job.closed:
            return False
        if job.message.expires_at <= wall:
            self._end(job, EventKind.EXPIRED, wall, error="validity ended")
        else:
            self._arm(job, job.not_before)
        return False

    def _requeue(self, job: Job, index: int) -> None:
        """Put a segment back where it was taken from, in front of everything of its account."""
        job.unsent.append(index)
        job.unsent.sort()
        if not job.queued:
            carrier = self.carriers[job.carrier_id]
            carrier.queue.push_front(job, job.message.lane, job.message.account_id)
            job.queued = True
        self.ready.add(job.carrier_id)

    def _arm(self, job: Job, at: float) -> None:
        heapq.heappush(self._timers, (at, next(self._ticket), job))

    def _submitted(self, submission: Submission, carrier_message_id: str, wall: float) -> None:
        job, index = submission.job, submission.index
        job.states[index] = Status.SUBMITTED
        if not job.in_flight and not job.unsent:
            job.closed = True
        self._record(
            Event(
                job.message.id,
                job.message.account_id,
                wall,
                EventKind.SUBMITTED,
                index + 1,
                Status.SUBMITTED,
                job.status(),
                job.closed and not job.in_flight,
                submission.carrier_id,
                carrier_message_id,
                posted_micros=job.segment_price_micros,
            )
        )

    def _not_taken(
        self,
        submission: Submission,
        status_class: StatusClass,
        status: int,
        now: float,
        wall: float,
    ) -> None:
        job, index = submission.job, submission.index
        if job.closed:  # another segment was refused meanwhile
            self._give_up(job, [index], EventKind.REFUSED, wall, submission.carrier_id, status)
            return
        match decide_retry(status_class, job.attempts, self._limits):
            case Requeue():
                self._requeue(job, index)
            case SendAgain(after_s):
                self._note(submission, EventKind.RETRY, status, None, wall)
                job.unsent.append(index)
                job.unsent.sort()
                job.not_before = now + after_s
                if not job.queued:
                    self._arm(job, job.not_before)
            case TryOther():
                self._try_other(submission, status, now, wall)
            case GiveUp():
                self._give_up(job, [index], EventKind.REFUSED, wall, submission.carrier_id, status)

    def _try_other(self, submission: Submission, status: int, now: float, wall: float) -> None:
        """Move a message that its carrier does not want; all parts of a text travel one way."""
        job, index = submission.job, submission.index
        job.tried = (*job.tried, submission.carrier_id)
        left = [c for c in job.message.routes if c not in job.tried and c in self.carriers]
        alone = not job.in_flight and len(job.unsent) + 1 == job.message.segments
        if not left or not alone:
            self._give_up(job, [index], EventKind.REFUSED, wall, submission.carrier_id, status)
            return
        self._note(submission, EventKind.RETRY, status, None, wall)
        job.unsent.append(index)
        job.unsent.sort()
        job.attempts = 0
        job.carrier_id = left[0]
        self._enqueue(job, now)

    def _give_up(
        self,
        job: Job,
        answered: list[int],
        kind: EventKind,
        wall: float,
        carrier_id: CarrierId | None = None,
        code: int | None = None,
        error: str | None = None,
    ) -> None:
        """End these segments, and with them what has not left: a text with a hole is no text."""
        dropped, job.unsent = job.unsent, []
        job.closed = True
        self._end_segments(job, answered, kind, wall, carrier_id, code, error, more=bool(dropped))
        if dropped:
            self._end_segments(job, dropped, kind, wall, carrier_id, error="another part failed")

    def _end(self, job: Job, kind: EventKind, wall: float, error: str | None = None) -> None:
        """End everything of a message that has not left."""
        dropped, job.unsent = job.unsent, []
        job.closed = True
        self._end_segments(job, dropped, kind, wall, error=error)

    def _end_segments(
        self,
        job: Job,
        indexes: list[int],
        kind: EventKind,
        wall: float,
        carrier_id: CarrierId | None = None,
        code: int | None = None,
        error: str | None = None,
        *,
        more: bool = False,
    ) -> None:
        """Record the end of segments; the last one's event, unless `more` follow, may close."""
        after = SEGMENT_AFTER[kind]
        job.closed = job.closed or not (job.unsent or job.in_flight)
        for place, index in enumerate(indexes, start=1):
            job.states[index] = after
            last = place == len(indexes) and not more
            self._record(
                Event(
                    job.message.id,
                    job.message.account_id,
                    wall,
                    kind,
                    index + 1,
                    after,
                    job.status(),
                    last and not job.in_flight and not job.unsent,
                    carrier_id,
                    None,
                    code,
                    error,
                    voided_micros=job.segment_price_micros,
                )
            )

    def _note(
        self,
        submission: Submission,
        kind: EventKind,
        status: int | None,
        error: str | None,
        wall: float,
    ) -> None:
        """Record an event that leaves the segment as it was: waiting."""
        job = submission.job
        self._record(
            Event(
                job.message.id,
                job.message.account_id,
                wall,
                kind,
                submission.index + 1,
                Status.ACCEPTED,
                job.status(),
                False,
                submission.carrier_id,
                None,
                status,
                error,
            )
        )
