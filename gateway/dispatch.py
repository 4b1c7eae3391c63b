"""From accepted to answered: which segment leaves next, through whom, and what follows.

Everything is decided here and nothing waited for: the shell (`gateway/carriers.py`) says what
room its binds have and what carriers answered; the dispatcher says what to send, until when to
wait, and records events as they fall due. `now` is monotonic, `wall` the time of day.

    accept ─► queue of its carrier ─► take ─► (carrier) ─► responded | lost ─► event
                   ▲   timers ◄─────── retry ◄──────────────────┘

A message stays in `_jobs` until the event that closes it is committed, and its id in `_ended` for
as long as somebody may still bring it: what comes a second time is recognised and not sent twice.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from gateway.carrier_state import NOBODY, CarrierState
from gateway.ceilings import Ceiling, Ceilings
from gateway.expiry import Deadlines
from gateway.foreign import Foreign
from gateway.jobs import NOT_TAKEN, Job, Submission, new_job
from gateway.journal import PART_FAILED, CostOf, Journal
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Lane, MessageId
from gateway.outcomes import Event, Move
from gateway.retry import (
    TRY_OTHER,
    GiveUp,
    Requeue,
    RetryLimits,
    SendAgain,
    TryOther,
    decide_retry,
)
from gateway.routing.choose import Use, choose_carrier
from gateway.routing.health import USABLE
from gateway.shelves import Shelves
from gateway.smpp.status import StatusClass, classify
from gateway.throttle.bucket import Wait
from gateway.withdrawn import Canceled, NotHere, TooLate

STALE_MAX = 1_000
"""Entries of messages that ended or moved which queues may hold beside twice what is waiting: they
are dropped when their turn comes, but with a carrier that stays away it never does."""

HELD_AT_ONCE_MAX = 500
"""Messages that a ceiling holds back in one go, a millisecond's work; the loop turns in between."""


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
        states_of: Callable[[MessageId], list[Status] | None] = lambda message_id: None,
        reroute: Callable[[Message], Sequence[CarrierId]] = lambda message: (),
        cost_of: CostOf | None = None,
        move: Callable[[Move], None] = lambda move: None,
    ) -> None:
        """`past_carriers` are configured no more; messages may still wait in their queues. `move`
        has a message go on with another carrier; `moved` is to be told of its commit.

        `states_of` returns the list in which receipts of a message's parts are being noted,
        `reroute` the carriers of a message whose own are all configured no more.
        """
        self.carriers = {carrier.id: carrier for carrier in carriers}
        self._journal = Journal(record, cost_of)
        self._states_of = states_of
        self._reroute = reroute
        self.limits = limits
        self._jobs: dict[MessageId, Job] = {}
        self._ceilings = Ceilings(self.carriers)
        self._deadlines = Deadlines()
        self._timers: list[tuple[float, int, Job]] = []
        self._ticket = itertools.count()
        self.held_max = held_max
        self.shelves = Shelves()
        self.make_shelves({*self.carriers, *past_carriers})
        self._stranded: list[Job] = []
        """What no configured carrier may have: it waits for one, or for its end."""
        self.foreign = Foreign(move)
        """What is other nodes' business."""
        self.on_hold: set[MessageId] = set()
        """Messages that are being replaced."""
        self._refills = 0
        self._announced = 0
        self._ended: set[MessageId] = set()
        """Messages whose end is committed and which a read or their own announcement, begun
        before that, may still bring."""
        self.ready: set[CarrierId] = set()
        """Carriers that have something new to send; the shell empties it."""

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def ceilings(self) -> Ceilings:
        return self._ceilings

    # ── in ───────────────────────────────────────────────────────────────────────────────────

    def accept(self, messages: Iterable[Message], now: float, wall: float) -> None:
        """Take messages that were just committed."""
        foreign = self.foreign.carriers
        for message in messages:
            if message.id in self._jobs or message.id in self._ended:
                continue  # a read of the store was faster
            if foreign and self.foreign.has(message):
                continue  # whoever has its carrier is told by the same commit
            if message.send_at is not None:
                self.restore([new_job(message)], now, wall)
                continue
            shelf = self.shelves.of(message)
            if shelf is None:
                # A carrier that this node never knew: it goes by what is left of its route.
                self._admit(new_job(message), now)
            elif shelf.admits(message):
                shelf.put(message)
                self._admit(new_job(message), now)

    def announced(self, newest_id: int) -> None:
        """Note that no message up to this id will be brought to `accept` any more."""
        self._announced = max(self._announced, newest_id)
        self._forget_ended()

    def restore(self, jobs: Iterable[Job], now: float, wall: float) -> None:
        """Take jobs that were read from the store, unless they are here already."""
        for job in jobs:
            message = job.message
            if message.id in self._ended or self.foreign.has(message):
                continue
            if (known := self._jobs.get(message.id)) is not None:
                if not self.foreign.is_back(message):
                    continue
                self.drop(known)
            shelf = self.shelves.of(message)
            if shelf is not None:
                shelf.put_read(message)
            self._know(job)
            if not job.pristine:
                # Receipts of parts that left before may have come since: one list for them all.
                job.states = self._states_of(message.id) or job.states
            if job.doubtful:
                self._journal.ended(job, job.doubtful, EventKind.HELD, wall, error="restart")
            if job.closed:
                self._journal.end_rest(job, EventKind.REFUSED, wall, error=PART_FAILED)
            elif message.send_at is not None and message.send_at > wall:
                self._arm(job, now + message.send_at - wall)
            elif job.unsent:
                self._enqueue(job, now)

    def begin_refill(self) -> None:
        """Note that a read of open messages begins; `end_refill` must follow."""
        self._refills += 1

    def end_refill(self) -> None:
        self._refills -= 1
        self._forget_ended()

    # ── out ──────────────────────────────────────────────────────────────────────────────────

    def take(
        self, carrier_id: CarrierId, room: int, now: float, wall: float
    ) -> tuple[list[Submission], float | None]:
        """Return up to `room` segments to send now, and until when to wait if the rate says so.

        What is returned counts as in flight until `responded` or `lost` is told of it.
        """
        carrier = self.carriers[carrier_id]
        if carrier.policy.hold:
            return self._take_cleared(carrier, room, now, wall)
        taken: list[Submission] = []
        held = 0
        ceilings = self._ceilings if self._ceilings.applies(carrier) else None
        room_left = min(room, carrier.room)
        while len(taken) < room_left:
            if carrier.returned:
                ready_at = carrier.rate.ready_at(now)
                if ready_at > now:
                    return taken, ready_at
                carrier.put_returned()
            job = self._head(carrier, now, wall)
            if job is None:
                break
            count = job.cost(carrier.policy.whole)
            if ceilings is not None and not ceilings.admits(job, carrier, count, now):
                held += 1
                if held >= HELD_AT_ONCE_MAX:
                    return taken, now
                continue
            granted = carrier.rate.take(count, now)
            if isinstance(granted, Wait):
                return taken, granted.until
            if ceilings is not None:
                ceilings.sent(job, carrier, count, now)
            taken.append(self._take_next(job, carrier, now))
            carrier.breaker.sent(now)
        return taken, None

    def prepare(self, carrier_id: CarrierId, now: float, wall: float) -> list[Submission]:
        """Record, for a carrier whose policy is "hold", what leaves next: after a crash it will not
        leave again. When that is committed, `cleared` has to be told.
        """
        carrier = self.carriers[carrier_id]
        prepared: list[Submission] = []
        while carrier.preparable >= 1:
            carrier.put_returned()
            job = self._head(carrier, now, wall)
            if job is None:
                break
            count = job.cost(carrier.policy.whole)
            if not self._ceilings.admits(job, carrier, count, now):
                continue
            self._ceilings.sent(job, carrier, count, now)
            submission = self._take_next(job, carrier, now)
            carrier.prepared += 1
            self._journal.waits(submission, EventKind.LEAVING, wall)
            prepared.append(submission)
        return prepared

    def cleared(self, submissions: Sequence[Submission], now: float, wall: float) -> None:
        """Let leave what was prepared and is committed as leaving."""
        for submission in submissions:
            carrier = self.carriers[submission.carrier_id]
            carrier.cleared.append(submission)
            self.ready.add(carrier.id)
            if not carrier.bound or carrier.gone is not None:
                self.take_back_cleared(carrier, now, wall)

    def responded(
        self,
        submission: Submission,
        status: int,
        carrier_message_id: str,
        now: float,
        wall: float,
    ) -> StatusClass:
        """Apply a `submit_sm_resp`; return what its status means."""
        job, carrier = self._land(submission)
        status_class = classify(status, carrier.policy.statuses)
        if status_class in (StatusClass.RETRY, StatusClass.SESSION_FAULT):
            carrier.breaker.failed(now)
        else:  # a refusal, too, is an answer of a carrier that works
            carrier.breaker.answered(now, now - submission.sent_at)
        if status_class is StatusClass.OK:
            carrier.rate.succeeded(len(submission.indexes), now)
            carrier.unwritten += 1
            self._journal.submitted(submission, carrier_message_id, wall)
        else:
            if status_class is StatusClass.THROTTLE:
                carrier.rate.throttled(now, submission.sent_at)
            else:
                job.failed(submission.index)
            self._not_taken(submission, status_class, status, now, wall)
        if job.refused:
            self._move_on(job, now, wall)
        return status_class

    def lost(self, submissions: Sequence[Submission], now: float, wall: float) -> None:
        """Apply the loss of a bind with these submissions unanswered in its window."""
        if submissions:
            self.carriers[submissions[0].carrier_id].breaker.failed(now)
        for submission in submissions:
            job, carrier = self._land(submission)
            if carrier.policy.hold:
                self._journal.ended(
                    job, submission.indexes, EventKind.HELD, wall, carrier.id, error="bind lost"
                )
            elif job.closed:
                self._journal.give_up(submission, wall, error="bind lost")
            elif job.failed(submission.index) >= self.limits.attempts_max:
                self._journal.give_up(submission, wall, error="lost too often")
            else:
                self._journal.waits(submission, EventKind.RETRY, wall, error="bind lost")
                self._requeue(submission, now)
            if job.refused:
                self._move_on(job, now, wall)

    def unsend(self, submissions: Iterable[Submission], now: float, wall: float) -> None:
        """Take back segments that `take` returned and no bind could send after all."""
        for submission in submissions:
            job, carrier = self._land(submission)
            if job.closed:  # another segment was refused meanwhile
                self._journal.give_up(submission, wall, error=PART_FAILED)
                continue
            if carrier.policy.hold:
                self._journal.waits(submission, EventKind.RETRY, wall, error=NOT_TAKEN)
            else:
                carrier.breaker.unsent(now)
            self._requeue(submission, now)
            if job.refused:
                self._move_on(job, now, wall)

    def unsendable(self, submission: Submission, reason: str, wall: float) -> None:
        """Give up a segment that can't be written as a PDU at all."""
        self._land(submission)
        self._journal.give_up(submission, wall, error=reason)

    # ── time and other changes ───────────────────────────────────────────────────────────────

    def next_timer(self) -> float | None:
        """Return when `tick` has something to do for retries, schedules and ceilings."""
        at = self._ceilings.next_timer()
        if self._timers:
            at = min(at, self._timers[0][0])
        return at if at < math.inf else None

    def tick(self, now: float) -> None:
        """Queue what has waited long enough."""
        self.ready.update(self._ceilings.tick(now))
        while self._timers and self._timers[0][0] <= now:
            _, _, job = heapq.heappop(self._timers)
            if not job.closed and not job.queued and job.unsent:
                self._enqueue(job, now)

    def set_ceilings(
        self, ceilings: Mapping[AccountId, Ceiling], now: float, started_at: float | None = None
    ) -> None:
        """Have these ceilings of accounts and no others; `started_at` as in `Pacer`."""
        self.ready.update(self._ceilings.set_accounts(ceilings, now, started_at))

    def expire(self, wall: float) -> None:
        """End what waited past its validity, wherever it waits."""
        for job in self._deadlines.take_overdue(self._jobs.values(), wall):
            self._journal.end_rest(job, EventKind.EXPIRED, wall, error="validity ended")
        self._drop_stale()

    def queue_wait_s(self, message: Message) -> float:
        """Return in how many seconds the message's queue has room for it; 0.0: it has some."""
        carrier = self.carriers.get(message.routes[0])
        if carrier is None or not carrier.queue_max:
            return 0.0
        shelf = self.shelves.of(message)
        if shelf is None:
            return 0.0
        if carrier.elsewhere is not None:
            return self.foreign.full.get((carrier.id, message.lane), 0.0)
        return shelf.wait_s(carrier.queue_max)

    def set_bound(self, carrier_id: CarrierId, bound: bool, now: float, wall: float) -> None:
        """Note that a carrier has its first bind that can submit, or has lost its last."""
        carrier = self.carriers[carrier_id]
        if carrier.bound and not bound:
            carrier.down_since = now
        carrier.bound = bound
        if bound:
            self.ready.add(carrier_id)
        else:
            self.take_back_cleared(carrier, now, wall)

    def fail_over(self, now: float) -> None:
        """Move what has not begun to leave from carriers that are away to those that are not."""
        for carrier in self.carriers.values():
            if carrier.elsewhere is not None:
                continue
            carrier.note_silence(now)
            if not carrier.bound and carrier.down_since is None:
                carrier.down_since = now
        usable = frozenset(c.id for c in self.carriers.values() if c.availability(now) is USABLE)
        for carrier in self.carriers.values():
            if carrier.id in usable or carrier.elsewhere is not None:
                carrier.offered = NOBODY
                continue
            newly_usable = usable - carrier.offered
            carrier.offered = usable
            if newly_usable:
                self.look_again(carrier, now)

    def look_again(self, carrier: CarrierState, now: float) -> None:
        """Choose anew for everything that waits for a carrier and has not begun to leave."""
        for job in carrier.empty_queue():
            self._enqueue(job, now)

    def take_back_cleared(self, carrier: CarrierState, now: float, wall: float) -> None:
        """Keep what is recorded as leaving and has not left."""
        carrier.prepared -= len(carrier.cleared)
        self.unsend(carrier.cleared, now, wall)
        carrier.cleared.clear()

    def find_ways(self, now: float) -> None:
        """Choose anew for what no carrier could have, after carriers or routes have changed."""
        stranded, self._stranded = self._stranded, []
        for job in stranded:
            if not (job.closed or job.queued):
                self._enqueue(job, now)

    def cut_anew(self, carrier_id: CarrierId) -> None:
        """Forget how texts were cut that a carrier is to get, but for those it has parts of."""
        for job in self._jobs.values():
            if job.carrier_id == carrier_id and job.pristine:
                job.cut = None

    def make_shelves(self, carrier_ids: Iterable[CarrierId]) -> None:
        """Have shelves for these carriers too, and share out what is held in memory."""
        each_max = max(500, self.held_max // max(1, len(self.carriers) * len(Lane)))
        self.shelves.make(carrier_ids, each_max)

    def cancel(self, message_id: MessageId, wall: float) -> Canceled | TooLate | NotHere:
        """Withdraw a message of which nothing has left."""
        job = self._jobs.get(message_id)
        if job is None:
            return NotHere()
        if job.closed or not job.pristine:
            return TooLate()
        self._journal.end_rest(job, EventKind.CANCELED, wall)
        return Canceled()

    def cancel_read(self, job: Job, wall: float) -> Canceled | TooLate:
        """Withdraw a message that was read from the store, open, because memory had it not.

        The read must stand between `begin_refill` and `end_refill`.
        """
        message = job.message
        if message.id in self._ended:
            return TooLate()
        if message.id not in self._jobs:
            if not job.pristine:
                return TooLate()
            self._keep(job)
        outcome = self.cancel(message.id, wall)
        assert not isinstance(outcome, NotHere)
        return outcome

    def hold(self, message_id: MessageId) -> Message | TooLate | NotHere:
        """Keep a message from leaving while it is replaced; `release` must follow.

        Only one that was never tried: what its events say of its segments has to stay true.
        """
        job = self._jobs.get(message_id)
        if job is None:
            return NotHere()
        if not job.untouched:
            return TooLate()
        job.closed = True
        self.on_hold.add(message_id)
        return job.message

    def hold_read(self, job: Job) -> Message | TooLate:
        """As `hold`, for a message that was read from the store because memory had it not.

        The read must stand between `begin_refill` and `end_refill`.
        """
        message = job.message
        if message.id in self._ended:
            return TooLate()
        if message.id not in self._jobs:
            if not job.untouched:
                return TooLate()
            self._keep(job)
        held = self.hold(message.id)
        assert not isinstance(held, NotHere)
        return held

    def release(self, message: Message, now: float, wall: float) -> None:
        """Let a held message go on as it is now; it stands at the end of its queue."""
        self.on_hold.discard(message.id)
        old = self._jobs.pop(message.id).message
        shelf = self.shelves.of(old)
        if shelf is not None and self.shelves.of(message) is not shelf:
            shelf.remove(old)  # it has an hour now, and is read by that
        if message.send_at is not None and message.send_at > wall:
            job = new_job(message)
            self._know(job)
            self._arm(job, now + message.send_at - wall)
        else:
            self._admit(new_job(message), now)

    def written(self, events: Iterable[Event]) -> None:
        """Forget the messages whose closing event is committed."""
        for event in events:
            job = self._jobs.get(event.message_id)
            # Of a submission with several segments, the last event closes.
            whole = event.closes or job is None or not job.whole
            if whole and event.kind is EventKind.SUBMITTED and event.carrier_id in self.carriers:
                self.carriers[event.carrier_id].unwritten -= 1
                self.ready.add(event.carrier_id)
            if job is None or not event.closes:
                continue
            del self._jobs[event.message_id]
            shelf = self.shelves.of(job.message)
            if shelf is not None:
                shelf.remove(job.message)
            if self._refills or event.message_id > self._announced:
                self._ended.add(event.message_id)

    def find(self, message_id: MessageId) -> Job | None:
        return self._jobs.get(message_id)

    def jobs(self) -> list[Job]:
        """Return everything that is in memory."""
        return list(self._jobs.values())

    def drop(self, job: Job) -> None:
        """Forget a message that is not this node's any more."""
        message = job.message
        del self._jobs[message.id]
        job.closed, job.queued = True, False
        self.foreign.leaving.pop(message.id, None)
        shelf = self.shelves.of(message)
        if shelf is not None and message.routes[0] not in self.foreign.carriers:
            shelf.remove(message)

    def depart(self, job: Job) -> None:
        """Forget a message whose move to another node is committed."""
        self.foreign.depart(
            job.message, keep=bool(self._refills) or job.message.id > self._announced
        )
        self.drop(job)

    def choose_anew(self, job: Job, now: float) -> None:
        """Have a message wait for the carrier that it should go through now."""
        self._enqueue(job, now)

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

    def _keep(self, job: Job) -> None:
        """Have a job in memory that no page has brought: its shelf's cursor does not pass it."""
        shelf = self.shelves.of(job.message)
        if shelf is not None:
            shelf.put_read(job.message)
        self._know(job)

    def _admit(self, job: Job, now: float) -> None:
        self._know(job)
        self._enqueue(job, now)

    def _know(self, job: Job) -> None:
        message = job.message
        self._jobs[message.id] = job
        if message.expires_at <= self._deadlines.horizon:
            self._deadlines.add(job)

    def _enqueue(self, job: Job, now: float) -> None:
        """Put a job at the end of its lane with the carrier that it should go through now."""
        if job.pristine:  # nothing has left: free to choose
            chosen = self._choose(job, now)
            if chosen != job.carrier_id:
                job.move_to(chosen)
        carrier = self.carriers.get(job.carrier_id)
        if carrier is None or job.refused:
            job.queued = False
            self._stranded.append(job)
            return
        if carrier.elsewhere is not None:
            self.foreign.send(job)
            return
        carrier.put(job)
        job.queued = True
        self.ready.add(carrier.id)

    def _choose(self, job: Job, now: float) -> CarrierId:
        """Return the carrier that is usable now, or else the one to wait for."""
        routes = job.message.routes
        if len(routes) == 1 and routes[0] not in job.tried and self._stays(routes[0]):
            return routes[0]
        candidates = [c for c in job.message.routes if c not in job.tried]
        choice = choose_carrier(candidates, self.carriers, now)
        if isinstance(choice, Use):
            return choice.carrier
        if not any(map(self._stays, candidates)):
            candidates = [c for c in self._reroute(job.message) if c not in job.tried]
            choice = choose_carrier(candidates, self.carriers, now)
            if isinstance(choice, Use):
                return choice.carrier
        here = job.carrier_id not in self.foreign.carriers
        if here and self._stays(job.carrier_id) and not job.refused:
            return job.carrier_id
        return next(filter(self._stays, candidates), job.carrier_id)

    def _stays(self, carrier_id: CarrierId) -> bool:
        carrier = self.carriers.get(carrier_id)
        return carrier is not None and not carrier.leaving

    def _head(self, carrier: CarrierState, now: float, wall: float) -> Job | None:
        """Return the job whose turn it is.

        Nothing is ever searched for in a queue: what was withdrawn, moved or put off is found
        out here.
        """
        queue = carrier.queue
        while queue.ready:
            job = queue.peek()
            if job.carrier_id == carrier.id:  # else it was moved, and stands in the other queue
                if self._may_leave(job, now, wall):
                    return job
                job.queued = False
            queue.pop()
        return None

    def _may_leave(self, job: Job, now: float, wall: float) -> bool:
        """Say whether the head of a queue can be sent; if not, put it where it belongs."""
        if job.may_leave(wall):
            if job.not_before <= now:
                return True
            self._arm(job, job.not_before)
        elif not (job.closed or job.refused):
            self._journal.end_rest(job, EventKind.EXPIRED, wall, error="validity ended")
        return False

    def _take_cleared(
        self, carrier: CarrierState, room: int, now: float, wall: float
    ) -> tuple[list[Submission], float | None]:
        """As `take`, of what was prepared."""
        taken: list[Submission] = []
        while len(taken) < room and carrier.cleared:
            submission = carrier.cleared[0]
            if submission.job.may_leave(wall):
                granted = carrier.rate.take(len(submission.indexes), now)
                if isinstance(granted, Wait):
                    return taken, granted.until
                submission.sent_at = now
                carrier.breaker.sent(now)
                taken.append(submission)
            else:
                self.unsend([submission], now, wall)
            carrier.cleared.popleft()
            carrier.prepared -= 1
        return taken, None

    def _take_next(self, job: Job, carrier: CarrierState, now: float) -> Submission:
        """Take the next segment of the job at the head of its carrier's queue, or all of them."""
        index, rest = job.take(carrier.policy.whole)
        carrier.in_flight += 1
        if not job.unsent:
            carrier.queue.pop()
            job.queued = False
        return Submission(job, index, carrier.id, now, rest)

    def _land(self, submission: Submission) -> tuple[Job, CarrierState]:
        """Count a submission as in flight no more."""
        job, carrier = submission.job, self.carriers[submission.carrier_id]
        job.in_flight -= 1
        carrier.in_flight -= 1
        return job, carrier

    def _requeue(self, submission: Submission, now: float) -> None:
        """Put back what was taken, in front of everything of its account; or with another carrier,
        where its own is avoided."""
        job = submission.job
        carrier = self.carriers[job.carrier_id]
        submission.put_back()
        if not (job.queued or job.refused) and self._turns_away(carrier, job, now):
            self._enqueue(job, now)
        elif not job.queued:
            carrier.returned.append(job)
            carrier.offered = NOBODY
            job.queued = True
        self.ready.add(job.carrier_id)

    def _turns_away(self, carrier: CarrierState, job: Job, now: float) -> bool:
        """Say whether a job that came back from a carrier is not to wait for it again."""
        if not job.pristine or carrier.availability(now) is USABLE:
            return False
        return carrier.gone is not None or self._choose(job, now) != carrier.id

    def _arm(self, job: Job, at: float) -> None:
        heapq.heappush(self._timers, (at, next(self._ticket), job))

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
            self._journal.give_up(submission, wall, status)
            return
        decision = decide_retry(status_class, job.attempts.get(index, 0), self.limits)
        if job.refused and not isinstance(decision, GiveUp):
            decision = TRY_OTHER
        match decision:
            case Requeue():
                if self.carriers[submission.carrier_id].policy.hold:
                    self._journal.waits(submission, EventKind.RETRY, wall, status, NOT_TAKEN)
                self._requeue(submission, now)
            case SendAgain(after_s):
                self._journal.waits(submission, EventKind.RETRY, wall, status)
                submission.put_back()
                job.not_before = max(job.not_before, now + after_s)
                if not job.queued:
                    self._arm(job, job.not_before)
            case TryOther():
                self._try_other(submission, status, wall)
            case GiveUp():
                self._journal.give_up(submission, wall, status)

    def _try_other(self, submission: Submission, status: int, wall: float) -> None:
        """Note that a carrier does not want a message, or end it when no other one may have it."""
        job = submission.job
        ways = job.message.routes
        if not any(map(self._stays, ways)):
            ways = tuple(self._reroute(job.message))
        others = [c for c in ways if self._stays(c) and c not in job.tried and c != job.carrier_id]
        under_way = len(job.unsent) + job.in_flight + len(submission.indexes)
        taken = job.message.segments > under_way
        if taken or not others:
            self._journal.give_up(submission, wall, status)
            return
        self._journal.waits(submission, EventKind.RETRY, wall, status)
        submission.put_back()
        if not job.refused:
            job.tried = (*job.tried, job.carrier_id)

    def _move_on(self, job: Job, now: float, wall: float) -> None:
        """Take a refused message to another carrier once nothing of it is in flight.

        All parts of a text travel one way: when some were taken after all, the rest ends.
        """
        if job.closed or job.in_flight:
            return
        if job.pristine:
            self._enqueue(job, now)
        else:
            self._journal.end_rest(job, EventKind.REFUSED, wall, error=PART_FAILED)

    def _drop_stale(self) -> None:
        """Drop what has ended or moved from queues that hold more of it than of anything else."""
        self._stranded = [job for job in self._stranded if not job.closed]
        entries = sum(carrier.waiting for carrier in self.carriers.values())
        if entries <= 2 * len(self._jobs) + STALE_MAX:
            return
        for carrier in self.carriers.values():
            for job in carrier.empty_queue():
                carrier.put(job)

    def _forget_ended(self) -> None:
        if self._ended and not self._refills:
            self._ended = {ended for ended in self._ended if ended > self._announced}
        if not self._refills:
            self.foreign.forget(self._announced)
