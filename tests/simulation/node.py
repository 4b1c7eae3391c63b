"""The gateway: its deciding parts, and the shell around them with generators for tasks.

What stands here repeats what `carriers.py`, `feeding.py`, `submissions.py` and the writers of the
store do around the deciding parts, under the same names; every `await` there is a `yield` here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gateway.arrived import ArrivedReceipt, Found
from gateway.carrier_state import CarrierState, Policy
from gateway.ceilings import CarrierDestinations, Ceiling
from gateway.dispatch import Dispatcher
from gateway.fleet import Fleet
from gateway.ids import IdGenerator
from gateway.jobs import Job, Submission
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Lane, MessageId, Micros
from gateway.outcomes import Acknowledge, Event, Notice, ParkedReceipt
from gateway.passed import PassedTime
from gateway.receipts import ReceiptBook
from gateway.record import replace
from gateway.references import Key, Reference
from gateway.refunds import Refunds
from gateway.settling import aggregate, settle_segment
from gateway.shelves import Progress, Shelf
from gateway.smpp.status import StatusClass
from gateway.throttle.adaptive import AdaptiveRate
from gateway.withdrawn import Canceled, NotHere
from tests.simulation.life import Bell, Life, Process
from tests.simulation.limits import (
    IRELAND,
    LIMITED_ACCOUNT,
    LIMITED_CARRIER,
    LIMITS,
    RECOVERY,
    REFUND_RULES,
    SEGMENT_MICROS,
    SEGMENTS_MAX,
)
from tests.simulation.store import PAGE_MAX, Batch, key_of, party_of

if TYPE_CHECKING:
    from tests.simulation.carrier import Session
    from tests.simulation.world import World

WAITING_MAX = 8
"""Unwritten events beyond which nothing is sent."""
LOOKUP_KEYS_MAX = 5
RECEIPTS_MAX = 25
"""More do not come while one commit lasts."""
GATHER_S = 0.1
"""What is asked for or recorded within this time goes into one commit, at most."""
FEED_S = 0.4
DUE_CHECK_S = 1.0
AT_ONCE_MAX = 3
"""Messages of a page that are brought back before others have their turn."""
DUE_AHEAD_S = 3.0
DUE_HELD_MAX = 4
SWEEP_S = 3.0
RECEIPT_TIMEOUT_S = 15.0
PARKED_S = 20.0


class Node:
    def __init__(self, world: World, configured: list[CarrierId], life: Life) -> None:
        self._world, self._store = world, world.store
        self.life = life
        self.ids = IdGenerator(0, self._store.last_id)
        self.requests: list[Message] = []
        """What customers have asked for and nobody has committed."""
        self._asked = Bell()
        self._recorded = Bell()
        """There may be something to write or to look up."""
        self._batch = Batch()
        self._writing: Batch | None = None
        self._taking_in = False
        self._stalled = False
        self._announced = 0
        self._due_cursor = (0.0, 0)
        self._reading_to = 0.0
        self._requests = 0
        """Cancels and replacements, each of which may bring one message into memory."""
        self._alarms: dict[CarrierId | None, float] = {}
        """When to look again: for a carrier's rate, and (None) for retries and schedules."""
        self._sessions: dict[CarrierId, list[Session]] = {c: [] for c in configured}
        self.dispatcher = self._new_dispatcher(configured)
        self.fleet = Fleet(self.dispatcher)
        for carrier_id in world.drained & set(configured):
            self.fleet.drain(carrier_id, "by hand", world.now, world.wall)
        self._changing: set[CarrierId] = set()
        in_flight_max = world.plan.carriers * world.plan.binds * world.plan.window
        self.refunds = Refunds(REFUND_RULES, self.refund)
        self.book = ReceiptBook(
            self,
            # Half of them has to outlast what is not committed, submissions and receipts.
            references_max=2 * (in_flight_max + RECEIPTS_MAX),
            wants_notice=lambda account_id: True,
            on_ended=self.refunds.ended,
        )
        self._passed = PassedTime(world.now, world.wall, *self._store.clock)
        self._keep_clock()
        self._recover()
        for process in (
            *(self._take_in(), self._write(), self._feed(), self._watch(), self._sweep()),
        ):
            world.start(process, life)
        self._binding: dict[CarrierId, Life] = {}
        for carrier_id in configured:
            self._bind(carrier_id)

    def _new_dispatcher(self, configured: list[CarrierId]) -> Dispatcher:
        dispatcher = Dispatcher(
            map(self._new_state, configured),
            self.record_and_tell,
            limits=LIMITS,
            held_max=self._world.plan.held,
            past_carriers=set(self._world.carriers) - set(configured),
            states_of=lambda message_id: self.book.references.find_states(message_id),
        )
        self._keep_small(dispatcher)
        if self._world.plan.account_per_s:
            ceiling = Ceiling(self._world.plan.account_per_s)
            now = self._world.now
            dispatcher.set_ceilings({LIMITED_ACCOUNT: ceiling}, now, now)
        return dispatcher

    def _keep_small(self, dispatcher: Dispatcher) -> None:
        """Bound the shelves; a dispatcher would not make them as small as this."""
        for shelf in dispatcher.shelves.values():
            shelf.held_max = self._world.plan.held

    def _new_state(self, carrier_id: CarrierId) -> CarrierState:
        plan, carrier = self._world.plan, self._world.carriers[carrier_id]
        return CarrierState(
            carrier_id,
            Policy(name=str(carrier_id), hold=carrier.hold, whole=carrier.whole),
            AdaptiveRate(plan.rate_per_s, plan.burst, RECOVERY, started_at=self._world.now),
            window_size=plan.binds * plan.window,
            destinations=self._new_destinations(carrier_id),
        )

    def _new_destinations(self, carrier_id: CarrierId) -> CarrierDestinations | None:
        per_s = self._world.plan.ireland_per_s
        if not per_s or carrier_id != LIMITED_CARRIER:
            return None
        return CarrierDestinations({IRELAND: Ceiling(per_s)}, {}, started_at=self._world.now)

    def _bind(self, carrier_id: CarrierId) -> None:
        life = self._binding[carrier_id] = Life()
        for _ in range(self._world.plan.binds):
            self._world.start(self._world.carriers[carrier_id].bind(self), life)

    def ask(self, message: Message) -> None:
        """Take a customer's request."""
        self.requests.append(message)
        self._world.ring(self._asked)

    @property
    def idle(self) -> bool:
        return self._batch.empty and not (self._writing or self._taking_in or self.requests)

    def in_doubt(self) -> set[tuple[MessageId, int]]:
        """Return the segments that are under way, or whose latest event is not committed."""
        under_way = {
            (job.message.id, index)
            for job in self.dispatcher._jobs.values()
            for index, state in enumerate(job.states)
            if state is Status.ACCEPTED and index not in job.unsent
        }
        return under_way | {(event.message_id, event.segment - 1) for event in self._unwritten()}

    def _unwritten(self) -> list[Event]:
        return self._batch.events + (self._writing.events if self._writing else [])

    def check(self) -> None:
        """Check what must hold all the time: counts are right, and memory is bounded."""
        held: Counter[tuple[CarrierId, Lane] | None] = Counter()
        for job in self.dispatcher._jobs.values():
            message = job.message
            held[None if message.send_at is not None else (message.routes[0], message.lane)] += 1
        for key, shelf in self.dispatcher.shelves.items():
            assert shelf.held == held[key], "a shelf has lost count"
            assert shelf.held <= shelf.held_max + self._requests, "memory is not bounded"
            assert shelf.stored >= 0, "a shelf has lost count of what it does not hold"
        bound = sum(shelf.held_max for shelf in self.dispatcher.shelves.values())
        assert held[None] <= bound + DUE_HELD_MAX + PAGE_MAX + self._requests
        for carrier in self.dispatcher.carriers.values():
            in_windows = sum(len(session.window) for session in self._sessions[carrier.id])
            assert carrier.in_flight == in_windows + carrier.prepared, "in flight and in no window"
            taken = {
                event.carrier_message_id
                for event in self._unwritten()
                if event.kind is EventKind.SUBMITTED and event.carrier_id == carrier.id
            }
            assert carrier.unwritten == len(taken), "not one a submission"
            assert in_windows + len(taken) <= carrier.window_size, "a crash would double too much"

    # ── what the deciding parts want written ─────────────────────────────────────────────────

    def record_and_tell(self, event: Event) -> None:
        self.record(event)
        job = self.dispatcher.find(event.message_id)
        if event.closes and event.kind is not EventKind.SUBMITTED and event.status.final and job:
            message = job.message
            self.book.tell(
                message.account_id,
                message.id,
                party_of(message),
                event.status,
                event.error or "",
                event.at,
            )

    def record(self, event: Event) -> None:
        self._world.seen[event.kind.wire] += 1
        if event.kind is EventKind.SUBMITTED:
            self._world.submitted[event.message_id, event.segment] = self._world.now
        self._batch.events.append(event)
        self._world.ring(self._recorded)

    def refund(self, event: Event) -> None:
        self._world.seen[event.kind.wire] += 1
        self._batch.refunds.append(event)
        self._world.ring(self._recorded)

    def notify(self, notice: Notice) -> None:
        self._batch.notices.append(notice)

    def park(self, receipt: ParkedReceipt) -> None:
        self._world.seen["parked"] += 1
        self._batch.parked.append(receipt)
        self._world.ring(self._recorded)

    def unpark(self, receipt: ParkedReceipt) -> None:
        self._world.seen["unparked"] += 1
        self._batch.parked = [p for p in self._batch.parked if p != receipt]
        self._batch.unparked.append(receipt)
        self._world.ring(self._recorded)

    def after_commit(self, acknowledge: Acknowledge) -> None:
        self._batch.acknowledge.append(acknowledge)
        self._world.ring(self._recorded)

    # ── the store's two writers ──────────────────────────────────────────────────────────────

    def _trip(self) -> float:
        """Return how long a statement takes to the store, or its answer back."""
        slow = self._world.happens(self._world.plan.slow)
        return self._world.between(0.5, 3.0) if slow else self._world.between(0.0, 0.03)

    def _take_in(self) -> Process:
        while True:
            if not self.requests:
                yield self._asked
            yield self._world.between(0.0, GATHER_S)
            self._taking_in = True
            messages, self.requests = self.requests, []
            yield self._trip()
            self._store.insert(messages)
            yield self._trip()
            if self._world.happens(self._world.plan.late_announcements):
                self._world.seen["late announcement"] += 1
                yield self._world.between(0.5, 4.0)
            self._take(messages)
            self._taking_in = False

    def _write(self) -> Process:
        while True:
            if self.book.wanted():
                yield from self._try_again()
                yield from self._look_up()
            if self._batch.empty:
                if not self.book.wanted():  # nothing was heard of while others were looked up
                    yield self._recorded
                yield self._world.between(0.0, GATHER_S)
                continue
            batch = self._writing = self._batch
            self._batch = Batch()
            yield self._trip()
            self._store.write(batch)
            yield self._trip()
            self._writing = None
            self.dispatcher.written(batch.events)
            if self._stalled and not self._full:
                self._stalled = False
                self.dispatcher.ready.update(self.dispatcher.carriers)
            for acknowledge in batch.acknowledge:
                acknowledge(True)

    @property
    def _full(self) -> bool:
        return len(self._batch.events) >= WAITING_MAX

    def _try_again(self) -> Process:
        if not self._world.happens(self._world.plan.asked_again):
            return
        yield self._trip()
        parked = list(self._store.parked)
        yield self._trip()
        kept = [receipt for receipt in parked if receipt not in self._batch.unparked]
        self._world.seen["tried again"] += len(kept)
        self.book.try_again(kept, self._world.wall)

    def _look_up(self) -> Process:
        keys: list[Key] = list(self.book.wanted())[:LOOKUP_KEYS_MAX]
        yield self._trip()
        found: dict[Key, Found] = self._store.find_submissions(keys)
        yield self._trip()
        for key, known in found.items():
            self._world.seen["looked up"] += 1
            job = self.dispatcher.find(known.message_id)
            if job is not None:
                found[key] = replace(known, states=job.states)
        self.book.looked_up(keys, found)

    # ── the feeder ───────────────────────────────────────────────────────────────────────────

    def _take(self, messages: list[Message]) -> None:
        self._announced = max(self._announced, *(m.id for m in messages))
        wall = self._world.wall
        at_once = [
            m
            for m in messages
            if m.send_at is None
            or (m.send_at, m.id) <= self._due_cursor
            or m.send_at <= self._reading_to
            or (m.send_at <= wall + DUE_AHEAD_S and len(self.dispatcher) < DUE_HELD_MAX)
        ]
        self.dispatcher.accept(at_once, self._world.now, wall)
        self.dispatcher.announced(self._announced)

    def _recover(self) -> None:
        self.book.restore_parked(self._store.parked)
        self._announced = self._store.last_id
        self.dispatcher.announced(self._announced)
        for shelf in self.dispatcher.shelves.values():
            shelf.cursor = max(0, self._store.marks.get((shelf.carrier_id, shelf.lane), 0) - 1)
            self._start(shelf)
        _at_once(self._load_due())

    def _feed(self) -> Process:
        due_at = 0.0
        while True:
            yield FEED_S
            for shelf in self.dispatcher.shelves.wanting():
                self._world.seen["refill"] += 1
                yield from self._refill(shelf)
            if self._world.now >= due_at:
                due_at = self._world.now + DUE_CHECK_S
                yield from self._load_due()
            if self._world.chance.random() < 0.1:
                self._save_marks()

    def _start(self, shelf: Shelf) -> None:
        shelf.unread = True
        while shelf.unread and shelf.room:
            at_most = min(PAGE_MAX, shelf.room)
            shelf.begin_refill(at_most)
            jobs, progress = self._store.shelf_page(shelf, at_most)
            self.dispatcher.restore(jobs, self._world.now, self._world.wall)
            shelf.end_start(progress)
        if shelf.unread:
            shelf.know_behind(self._store.count_behind(shelf))

    def _refill(self, shelf: Shelf) -> Process:
        wanted = shelf.wanted(PAGE_MAX)
        read: dict[AccountId, Progress] = {}
        shelf.begin_refill(sum(each.at_most for each in wanted))
        self.dispatcher.begin_refill()
        try:
            yield self._trip()
            jobs, found = self._store.wanted_page(shelf, wanted)
            yield self._trip()
            for begin in range(0, len(jobs), AT_ONCE_MAX):
                if begin:
                    yield self._trip()
                some = jobs[begin : begin + AT_ONCE_MAX]
                self.dispatcher.restore(some, self._world.now, self._world.wall)
                shelf.brought(len(some))
            read = found
        finally:
            shelf.end_refill(read)
            self.dispatcher.end_refill()

    def _load_due(self) -> Process:
        complete = False
        while not complete and len(self.dispatcher) < self.dispatcher.held_max + DUE_HELD_MAX:
            self.dispatcher.begin_refill()
            self._reading_to = self._world.wall + DUE_AHEAD_S
            try:
                yield self._trip()
                page = self._store.due_page(self._due_cursor, self._reading_to)
                yield self._trip()
                jobs, self._due_cursor, complete = page
                self.dispatcher.restore(jobs, self._world.now, self._world.wall)
            finally:
                self._reading_to = 0.0
                self.dispatcher.end_refill()

    def _save_marks(self) -> None:
        oldest = self.dispatcher.open_from()
        newest = self._announced + 1
        for key, shelf in self.dispatcher.shelves.items():
            ceiling = shelf.open_from(newest)
            self._store.marks[key] = min(oldest.get(key, ceiling), ceiling)

    def cancel(self, message_id: MessageId) -> Process:
        self._requests += 1
        outcome = self.dispatcher.cancel(message_id, self._world.wall)
        if isinstance(outcome, NotHere):
            self.dispatcher.begin_refill()
            try:
                yield self._trip()
                read = self._store.job(message_id)
                yield self._trip()
                outcome = self.dispatcher.cancel_read(read, self._world.wall)
                self._world.seen["canceled from the store"] += isinstance(outcome, Canceled)
            finally:
                self.dispatcher.end_refill()

    def replace(self, message_id: MessageId) -> Process:
        self._requests += 1
        held = self.dispatcher.hold(message_id)
        if isinstance(held, NotHere):
            self.dispatcher.begin_refill()
            try:
                yield self._trip()
                read = self._store.job(message_id)
                yield self._trip()
                held = self.dispatcher.hold_read(read)
                self._world.seen["held from the store"] += isinstance(held, Message)
            finally:
                self.dispatcher.end_refill()
        if isinstance(held, Message):
            yield from self._exchange(held)

    def _exchange(self, held: Message) -> Process:
        self._world.held.add(held.id)
        segments = self._world.chance.randint(1, SEGMENTS_MAX)
        new = replace(held, segments=segments, price_micros=Micros(segments * SEGMENT_MICROS))
        flushed: list[bool] = []
        self.after_commit(flushed.append)
        while not flushed:
            yield 0.05
        yield self._trip()
        replaced = self._store.replace(new)
        yield self._trip()
        self._world.seen["replaced"] += replaced
        now, wall = self._world.now, self._world.wall
        self.dispatcher.release(new if replaced else held, now, wall)

    # ── operators: drained, paused, taken out ────────────────────────────────────────────────

    def drain_or_resume(self, carrier_id: CarrierId) -> None:
        world = self._world
        if carrier_id in world.drained:
            world.drained.remove(carrier_id)
            if carrier_id in self.dispatcher.carriers:
                self.fleet.resume(carrier_id, world.now)
        else:
            world.seen["drained"] += 1
            world.drained.add(carrier_id)
            if carrier_id in self.dispatcher.carriers:
                self.fleet.drain(carrier_id, "by hand", world.now, world.wall)

    def change(self, carrier_id: CarrierId) -> Process:
        """Take a carrier out and put it in again, or change how it is spoken to."""
        if carrier_id in self._changing or carrier_id not in self.dispatcher.carriers:
            return
        self._changing.add(carrier_id)
        if self._world.chance.random() < 0.5:
            yield from self._pause(carrier_id)
        else:
            yield from self._take_out(carrier_id)
        self._changing.remove(carrier_id)

    def _pause(self, carrier_id: CarrierId) -> Process:
        self.fleet.pause(carrier_id)
        while not self.fleet.quiet(carrier_id):
            yield 0.1
        self._world.seen["changed"] += 1
        self.fleet.change(carrier_id, self.dispatcher.carriers[carrier_id].policy)

    def _take_out(self, carrier_id: CarrierId) -> Process:
        world = self._world
        self.fleet.retire(carrier_id, world.now, world.wall)
        patience_to = world.now + world.between(0.0, 3.0)
        while world.now < patience_to and not self.fleet.idle(carrier_id):
            yield 0.1
        self._binding[carrier_id].alive = False
        world.carriers[carrier_id].close_all()
        while not self.fleet.quiet(carrier_id):
            yield 0.1
        self.fleet.remove(carrier_id, world.now)
        self._keep_small(self.dispatcher)
        yield world.between(0.0, 3.0)
        world.seen["taken out"] += 1
        self.fleet.add(self._new_state(carrier_id), world.now)
        if carrier_id in world.drained:
            self.fleet.drain(carrier_id, "by hand", world.now, world.wall)
        self._keep_small(self.dispatcher)
        self._bind(carrier_id)

    # ── the desk: what binds say, and what they are given ────────────────────────────────────

    def bound(self, session: Session) -> None:
        self._sessions[session.carrier.id].append(session)
        self.dispatcher.set_bound(session.carrier.id, True, self._world.now, self._world.wall)

    def lost(self, session: Session) -> None:
        carrier_id = session.carrier.id
        self._sessions[carrier_id].remove(session)
        self.dispatcher.lost(session.window, self._world.now, self._world.wall)
        session.window = []
        if not self._sessions[carrier_id]:
            self.dispatcher.set_bound(carrier_id, False, self._world.now, self._world.wall)

    def responded(self, session: Session, submission: Submission, status: int, name: str) -> None:
        now, wall = self._world.now, self._world.wall
        meaning = self.dispatcher.responded(submission, status, name, now, wall)
        self.dispatcher.ready.add(submission.carrier_id)
        if meaning is StatusClass.OK:
            job = submission.job
            message, index = job.message, submission.index
            self._world.seen["taken whole"] += bool(submission.rest)
            self.book.submitted(
                (submission.carrier_id, name),
                Reference(
                    message.id,
                    message.account_id,
                    index,
                    job.states,
                    party_of(message),
                    wall,
                    submission.rest,
                ),
            )
        elif meaning is StatusClass.SESSION_FAULT:
            session.carrier.close(session)

    def delivered(
        self, carrier_id: CarrierId, name: str, status: Status, acknowledge: Acknowledge
    ) -> None:
        key, wall = (carrier_id, name), self._world.wall
        self._world.arrived[key, wall] = self._world.now
        self.book.arrived(ArrivedReceipt(key, status, None, "", wall, acknowledge))
        self._world.ring(self._recorded)

    def _watch(self) -> Process:
        while True:
            self.dispatcher.fail_over(self._world.now)
            self.dispatcher.expire(self._world.wall)
            self.look_at_clock()
            yield 1.0

    # ── the housekeeper ──────────────────────────────────────────────────────────────────────

    def look_at_clock(self) -> None:
        if self._passed.note(self._world.now, self._world.wall):
            self._keep_clock()

    def _keep_clock(self) -> None:
        self._store.clock = self._passed.noted_s, list(self._passed.stretches)

    def _before(self, seconds: float) -> float:
        self.look_at_clock()
        return self._passed.before(seconds)

    def _sweep(self) -> Process:
        """Give up receipts without a submission, and submissions without a receipt."""
        while True:
            yield SWEEP_S
            self.look_at_clock()
            self._keep_clock()
            before = self._before(PARKED_S)
            for receipt in self._store.give_up_parked(before):
                since = self._world.arrived[key_of(receipt), receipt.received_at]
                self._note_given_up("parked receipt", since, PARKED_S)
            self.book.forget_parked(before)
            before = self._before(RECEIPT_TIMEOUT_S)
            flushed: list[bool] = []
            self.after_commit(flushed.append)
            while not flushed:
                yield 0.05
            before = min(before, self._before(RECEIPT_TIMEOUT_S))
            yield self._trip()
            found = self._store.find_unanswered(before)
            jobs = [self._store.job(message_id) for message_id in found]
            yield self._trip()
            if self._before(RECEIPT_TIMEOUT_S) >= before:
                for job in jobs:
                    self._give_up(job)

    def _give_up(self, job: Job) -> None:
        message = job.message
        states = self._states_of(job)
        if Status.SUBMITTED not in states:
            return
        for index, state in enumerate(states):
            if state is not Status.SUBMITTED:
                continue
            since = self._world.submitted[message.id, index + 1]
            self._note_given_up("receipt", since, RECEIPT_TIMEOUT_S)
            states[index] = settle_segment(state, Status.UNKNOWN)
            event = Event(
                message.id,
                message.account_id,
                self._world.wall,
                EventKind.NO_RECEIPT,
                index + 1,
                states[index],
                aggregate(states),
                False,
                job.carrier_id,
            )
            self.record(event)
            self.refunds.ended(event)
        status = aggregate(states)
        if status.final:
            party, wall = party_of(message), self._world.wall
            self.book.tell(message.account_id, message.id, party, status, "no receipt", wall)

    def _states_of(self, job: Job) -> list[Status]:
        message, taken = job.message, self._store.submissions_of(job.message.id)
        return self.book.share_states(
            message.id,
            {
                key: Reference(
                    message.id,
                    message.account_id,
                    index,
                    job.states,
                    party_of(message),
                    self._world.wall,
                    tuple(rest),
                )
                for key, (index, *rest) in taken.items()
            },
        )

    def _note_given_up(self, what: str, since: float, wait_s: float) -> None:
        self._world.seen[f"{what} given up"] += 1
        self._world.given_up.append((what, self._world.now - since - wait_s))

    def pump(self) -> None:
        """Send what can be sent. Asked after every step, it looks only where it is told to."""
        if self.dispatcher.ready:
            ready, self.dispatcher.ready = self.dispatcher.ready, set()
            for carrier_id in sorted(ready & self.dispatcher.carriers.keys()):
                self._pump_carrier(carrier_id)
        timer = self.dispatcher.next_timer()
        if timer is not None:
            self._set_alarm(None, timer)

    def _pump_carrier(self, carrier_id: CarrierId) -> None:
        if self._full:
            self._stalled = True
            return
        now, wall = self._world.now, self._world.wall
        for session in self._sessions[carrier_id]:
            taken, until = self.dispatcher.take(carrier_id, session.room, now, wall)
            for submission in taken:
                session.carrier.submit(session, submission)
            if until is not None:
                self._set_alarm(carrier_id, until)
                break
        if self._world.carriers[carrier_id].hold:
            prepared = self.dispatcher.prepare(carrier_id, now, wall)
            if prepared:
                self.after_commit(
                    lambda _: self.dispatcher.cleared(prepared, self._world.now, self._world.wall)
                )

    def _set_alarm(self, carrier_id: CarrierId | None, at: float) -> None:
        if at < self._alarms.get(carrier_id, float("inf")):
            self._alarms[carrier_id] = at
            after_s = max(0.0, at - self._world.now)
            self._world.start(self._ring(carrier_id, at), self.life, after_s)

    def _ring(self, carrier_id: CarrierId | None, at: float) -> Process:
        if self._alarms.get(carrier_id) == at:
            del self._alarms[carrier_id]
            if carrier_id is None:
                self.dispatcher.tick(self._world.now)
            else:
                self.dispatcher.ready.add(carrier_id)
        yield from ()


def _at_once(process: Process) -> None:
    """Let a process run to its end without anything in between."""
    for _ in process:
        pass
