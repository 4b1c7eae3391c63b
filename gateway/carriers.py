"""The shell around dispatch: binds on one side, the store's writer on the other.

It carries what happened to the deciding parts (`dispatch.py`, `receipts.py`) and what they decide
to the binds. The one rule of its own: nothing is sent while outcomes can't be written, so that a
store that stands still bounds what would be repeated after a crash.
"""

from __future__ import annotations

import asyncio
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence

from gateway.arrived import ArrivedReceipt
from gateway.carrier_line import Line
from gateway.dispatch import Dispatcher
from gateway.dlr.parse import parse_receipt
from gateway.dlr.receipt import Malformed, NotAReceipt, Receipt
from gateway.inbound.desk import InboundDesk
from gateway.jobs import Job, Submission
from gateway.lease import ALWAYS, Lease
from gateway.lifecycle import EventKind, Status
from gateway.logs import get_logger
from gateway.message import Message
from gateway.model import CarrierId
from gateway.outcomes import Event, Party
from gateway.outgoing import build_submission
from gateway.peers.callbacks import Trail, Turn, is_peers
from gateway.receipts import ReceiptBook
from gateway.references import Reference
from gateway.smpp.client import CarrierBind
from gateway.smpp.errors import SmppError
from gateway.smpp.shapes import DeliverSm
from gateway.smpp.status import StatusClass
from gateway.smpp.vocabulary import status_name
from gateway.store.outcome_writer import OutcomeWriter
from gateway.throttle.limits import Limit

log = get_logger("carriers")

WATCH_S = 1.0
AT_ONCE_MAX = 128
"""Submissions to one bind in a turn of the loop, before what else happens has its turn: 2 ms. A
whole window at once would find the carrier idle while it is cut, and this node idle while the
carrier and then the store work through it: 9,900 messages a second in place of 11,700."""
TIMER_GRAIN_S = 0.001
"""The loop's clock and timers count milliseconds. A timer for a part of one fires at once, again
and again until that is over: 1,000 turns a second were half a million turns of the loop."""


class CarrierDesk:
    """Hears the binds, asks the dispatcher, hands to the writer. A `BindListener`."""

    def __init__(
        self,
        lines: Mapping[CarrierId, Line],
        writer: OutcomeWriter,
        inbound: InboundDesk,
        *,
        wake_hooks: Callable[[], None] = lambda: None,
        lease: Lease = ALWAYS,
    ) -> None:
        self._lease = lease
        self._lines = lines
        self._writer = writer
        self._inbound = inbound
        self._wake_hooks = wake_hooks
        self._pump_scheduled = False
        self._stalled = False
        self._timer: asyncio.TimerHandle | None = None

    def join(self, dispatcher: Dispatcher, book: ReceiptBook) -> None:
        """Learn who decides; they in turn were made with this desk's `record`."""
        self._dispatcher = dispatcher
        self._book = book
        self._loop = asyncio.get_running_loop()

    # ── what the deciding parts want written ─────────────────────────────────────────────────

    def record(self, event: Event) -> None:
        """Hand an event of the dispatcher to the writer, and tell the customer of an end."""
        self._writer.record(event)
        if not event.closes or event.kind is EventKind.SUBMITTED or not event.status.final:
            return
        job = self._dispatcher.find(event.message_id)
        if job is None:
            return
        if self._wanted(job.message):
            self._book.tell(
                job.message.account_id,
                job.message.id,
                _party(job.message),
                event.status,
                event.error or "",
                event.at,
                Trail(
                    Turn.ENDED_THERE if event.kind is EventKind.HELD else Turn.ENDED_HERE,
                    "" if event.carrier_id is None else self.name_of(event.carrier_id),
                    code=event.code,
                ),
            )

    def name_of(self, carrier_id: CarrierId) -> str:
        """Return a carrier's name, its number when it is configured no more."""
        line = self._lines.get(carrier_id)
        return str(carrier_id) if line is None else line.name

    def _tell_taken(self, line: Line, job: Job, carrier_message_id: str, wall: float) -> None:
        """Tell who asked in a peer's way that a carrier has taken all of a message."""
        message = job.message
        if is_peers(message.callback_url) and job.status() is Status.SUBMITTED:
            trail = Trail(Turn.TAKEN, line.name, carrier_message_id, wall)
            self._book.tell(
                message.account_id, message.id, _party(message), Status.SUBMITTED, "", wall, trail
            )

    def _wanted(self, message: Message) -> bool:
        """Say whether anybody is to be told what becomes of a message."""
        return self._book.party_of(
            message.account_id, message.callback_url, message.registered_delivery
        )

    def written(self, events: Sequence[Event], had_notices: bool) -> None:
        """Hear from the writer what is committed."""
        self._dispatcher.written(events)
        if had_notices:
            self._wake_hooks()
        if self._stalled and not self._writer.full:
            self._stalled = False
            self._dispatcher.ready.update(self._lines)
        if self._dispatcher.ready:
            self.pump_soon()

    # ── sending ──────────────────────────────────────────────────────────────────────────────

    def pump_soon(self) -> None:
        """Send what can be sent, once in this turn of the loop however often it is asked."""
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def wake(self, carrier_id: CarrierId) -> None:
        """Look whether something can be sent to a carrier by now."""
        self._dispatcher.ready.add(carrier_id)
        self.pump_soon()

    def _pump(self) -> None:
        self._pump_scheduled = False
        ready, self._dispatcher.ready = self._dispatcher.ready, set()
        for carrier_id in ready & self._lines.keys():
            self._pump_line(self._lines[carrier_id])
        self._arm_timer()

    def _pump_line(self, line: Line) -> None:
        # The loop's own time is that of the beginning of its turn, and a turn may be long.
        now, wall = time.monotonic(), time.time()
        state = self._dispatcher.carriers[line.id]
        if self._writer.full or not self._lease.allows(now):
            self._stalled = True
            state.note_limit(Limit.STORE, now)
            return
        if now < state.begins_at:
            if state.begins_at < math.inf:
                self._pump_at(line, state.begins_at)
            return
        state.note_limit(self._send(line, now, wall), now)
        if line.hold:
            prepared = self._dispatcher.prepare(line.id, now, wall)
            if prepared:
                self._writer.after_commit(functools.partial(self._cleared, prepared))

    def _send(self, line: Line, now: float, wall: float) -> Limit:
        """Send what can be sent; return what holds the rest, if there is any."""
        line.turn += 1
        count = len(line.binds)
        paced_until = math.inf
        unfinished = False
        for place in range(count):
            bind = line.binds[(line.turn + place) % count]
            room = min(bind.room, AT_ONCE_MAX)
            if room <= 0:
                continue
            pacer = line.pacers.get(bind) if line.pacers else None
            if pacer is not None:
                room = min(room, line.spare(pacer, now))
                if room <= 0:
                    paced_until = min(paced_until, pacer.ready_at(1, now))
                    continue
            taken, until = self._dispatcher.take(line.id, room, now, wall)
            if pacer is not None:
                pacer.charge(sum(len(submission.indexes) for submission in taken), now)
            self._submit(line, bind, taken, wall)
            if until is not None:
                self._pump_at(line, until)
                return Limit.RATE
            if len(taken) < room:
                return Limit.WINDOW
            unfinished |= room == AT_ONCE_MAX
            if pacer is not None:
                paced_until = min(paced_until, pacer.ready_at(1, now))
        if unfinished:
            self.wake(line.id)
        elif paced_until < math.inf:
            self._pump_at(line, paced_until)
            return Limit.BIND_RATE
        return Limit.WINDOW if line.can_submit else Limit.UNBOUND

    def _cleared(self, prepared: Sequence[Submission], committed: bool) -> None:
        self._dispatcher.cleared(prepared, self._loop.time(), time.time())
        self.pump_soon()

    def _pump_at(self, line: Line, at: float) -> None:
        if line.timer is not None:
            line.timer.cancel()
        line.timer = self._loop.call_at(self._no_sooner(at), self._pump_again, line)

    def _pump_again(self, line: Line) -> None:
        line.timer = None
        self._dispatcher.ready.add(line.id)
        self.pump_soon()

    def _submit(
        self, line: Line, bind: CarrierBind, taken: Sequence[Submission], wall: float
    ) -> None:
        for place, submission in enumerate(taken):
            try:
                body = build_submission(submission.job, submission.index, line.writing, wall)
            except SmppError as error:
                self._dispatcher.unsendable(submission, str(error), wall)
                continue
            try:
                bind.submit(body, submission)
            except SmppError:  # the bind went away, or its window is fuller than it said
                self._dispatcher.unsend(taken[place:], self._loop.time(), wall)
                return

    # ── what binds say ───────────────────────────────────────────────────────────────────────

    def bound(self, bind: CarrierBind) -> None:
        if bind.can_submit:
            carrier_id = CarrierId(bind.carrier_id)
            self._dispatcher.set_bound(carrier_id, True, self._loop.time(), time.time())
            self.pump_soon()

    def lost(self, bind: CarrierBind, reason: str, in_flight: Sequence[object]) -> None:
        line = self._lines[CarrierId(bind.carrier_id)]
        line.metrics.bind_lost(reason)
        now, wall = self._loop.time(), time.time()
        submissions = [context for context in in_flight if isinstance(context, Submission)]
        self._dispatcher.lost(submissions, now, wall)
        if not line.can_submit:
            self._dispatcher.set_bound(line.id, False, now, wall)
        self.pump_soon()

    def room(self, bind: CarrierBind) -> None:
        self._dispatcher.ready.add(CarrierId(bind.carrier_id))
        self.pump_soon()

    def responded(
        self, bind: CarrierBind, context: object, status: int, message_id: str, latency_s: float
    ) -> None:
        assert isinstance(context, Submission)
        line = self._lines[context.carrier_id]
        line.metrics.submitted(status_name(status))
        line.metrics.response_seconds.observe(latency_s)
        wall = time.time()
        carrier_message_id = line.ids.normalise_response(message_id)
        meaning = self._dispatcher.responded(
            context, status, carrier_message_id, self._loop.time(), wall
        )
        if meaning is StatusClass.OK:
            message = context.job.message
            if message.callback_url:
                self._tell_taken(line, context.job, carrier_message_id, wall)
            self._book.submitted(
                (line.id, carrier_message_id),
                Reference(
                    message.id,
                    message.account_id,
                    context.index,
                    context.job.states,
                    _party(message) if self._wanted(message) else None,
                    wall,
                    context.rest,
                ),
            )
        elif meaning is StatusClass.SESSION_FAULT:
            bind.rebind()

    def delivered(self, bind: CarrierBind, token: int, pdu: DeliverSm) -> None:
        line = self._lines[CarrierId(bind.carrier_id)]
        acknowledge = functools.partial(_acknowledge, bind, token)
        receipt = parse_receipt(pdu, line.dialect)
        if isinstance(receipt, Receipt):
            self._book.arrived(
                ArrivedReceipt(
                    (line.id, line.ids.normalise_receipt(receipt.carrier_message_id)),
                    receipt.status,
                    receipt.code,
                    receipt.error or receipt.network_error,
                    time.time(),
                    acknowledge,
                    receipt.carrier_message_id,
                    receipt.recipient,
                    pdu.tlvs,
                )
            )
            if self._book.wanted():
                self._writer.wake()
        elif isinstance(receipt, NotAReceipt):
            self._inbound.arrived(line.id, pdu, acknowledge)
        elif isinstance(receipt, Malformed):
            # It names no message, so there is nothing to apply and nothing to look for.
            line.metrics.received("malformed")
            log.warning("receipt_malformed", carrier=line.name, reason=receipt.reason)
            acknowledge(True)

    def ids_changed(self) -> None:
        """Match what is parked by the rules for ids as they are now."""
        self._book.name_parked_anew()

    def receipt_applied(self, carrier_id: CarrierId, status: Status, seconds: float) -> None:
        line = self._lines.get(carrier_id)
        if line is None:
            return  # it was taken out of the settings while the receipt was looked up
        metrics = line.metrics
        metrics.received(status.wire)
        if status.final:
            metrics.receipt_seconds.observe(seconds)
            deliveries = self._dispatcher.carriers[carrier_id].breaker.deliveries
            if deliveries is not None:
                now = self._loop.time()
                deliveries.note(status is Status.DELIVERED, now - seconds, now)

    def receipt_parked(self, carrier_id: CarrierId) -> None:
        if (line := self._lines.get(carrier_id)) is not None:
            line.metrics.receipts_parked()

    def receipt_unmatched(self, carrier_id: CarrierId) -> None:
        if (line := self._lines.get(carrier_id)) is not None:
            line.metrics.receipts_unmatched()

    def receipt_repeated(self, carrier_id: CarrierId) -> None:
        if (line := self._lines.get(carrier_id)) is not None:
            line.metrics.receipts_duplicate()

    # ── time ─────────────────────────────────────────────────────────────────────────────────

    async def watch(self) -> None:
        """Look now and then for what time alone changes, until cancelled."""
        looked_at = self._loop.time()
        while True:
            now = self._loop.time()
            self._dispatcher.shelves.note_drain(now - looked_at)
            looked_at = now
            self._dispatcher.fail_over(now)
            self._dispatcher.expire(time.time())
            self._count_limits()
            self.pump_soon()
            await asyncio.sleep(WATCH_S)

    def _count_limits(self) -> None:
        now = self._loop.time()
        for line in self._lines.values():
            state = self._dispatcher.carriers[line.id]
            if state.waiting:
                self._dispatcher.ready.add(line.id)  # a lost bind wakes nobody
            for limit, seconds in state.limits.drain(now).items():
                line.metrics.held_back(limit.wire, seconds)

    def _arm_timer(self) -> None:
        at = self._dispatcher.next_timer()
        if self._timer is not None:
            if at is not None and self._timer.when() <= at:
                return
            self._timer.cancel()
            self._timer = None
        if at is not None:
            self._timer = self._loop.call_at(self._no_sooner(at), self._tick)

    def _no_sooner(self, at: float) -> float:
        """Return the first time from `at` on that a timer can keep."""
        now = self._loop.time()
        return now + max(1, math.ceil((at - now) / TIMER_GRAIN_S)) * TIMER_GRAIN_S

    def _tick(self) -> None:
        self._timer = None
        self._dispatcher.tick(self._loop.time())
        self.pump_soon()


def _acknowledge(bind: CarrierBind, token: int, committed: bool) -> None:
    if committed:
        bind.acknowledge(token)


def _party(message: Message) -> Party:
    return Party(
        message.sender,
        message.recipient,
        message.client_ref,
        message.tag,
        message.callback_url,
        message.segments,
        message.registered_delivery,
        message.group_id,
        message.tlvs,
    )
