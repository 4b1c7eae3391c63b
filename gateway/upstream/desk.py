"""What bound customers ask for: to have messages taken, and to be told of them.

It joins the deciding parts to intake's group commit. Nothing is waited for here and no message
has a task of its own: what one read of the socket brought is committed together, and answered
from that commit's callback.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gateway.errors import Rejected, StoreUnavailable
from gateway.fallback.decide import Fallbacks
from gateway.intake import Intake
from gateway.logs import get_logger
from gateway.message import Message, Order
from gateway.metrics import UpstreamMetrics
from gateway.model import MessageId
from gateway.record import replace
from gateway.smpp import vocabulary as v
from gateway.smpp.events import BindRequested, SubmitReceived
from gateway.smpp.fields import SmeAddress, UnsuccessfulSme
from gateway.smpp.shapes import Pdu
from gateway.smpp.vocabulary import status_name
from gateway.store.intake_writer import Entry, EntryFate, Fate, IntakeWriter
from gateway.upstream.bind import CustomerBind
from gateway.upstream.content import Unusable
from gateway.upstream.customer import Customer
from gateway.upstream.door import Door
from gateway.upstream.errands import Errands
from gateway.upstream.ids import format_id
from gateway.upstream.mailbox import Parcel
from gateway.upstream.orders import read_submission, read_submit_multi
from gateway.upstream.postman import Postman
from gateway.upstream.statuses import status_of

log = get_logger("upstream")

Statuses = Sequence[int]
"""The command_status of each entry of a commit, in order."""
Answer = Callable[[Statuses], None]


class CustomerDesk:
    """Hears the binds. A `BindDesk`."""

    def __init__(
        self,
        door: Door,
        intake: Intake,
        writer: IntakeWriter,
        postman: Postman,
        errands: Errands,
        metrics: UpstreamMetrics,
        fallbacks: Fallbacks,
    ) -> None:
        self._fallbacks = fallbacks
        self._door = door
        self._intake = intake
        self._writer = writer
        self._postman = postman
        self._errands = errands
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()

    # ── coming and going ─────────────────────────────────────────────────────────────────────

    def ask_to_bind(self, bind: CustomerBind, request: BindRequested) -> None:
        self._door.ask_to_bind(bind, request)

    def left(self, bind: CustomerBind, reason: str, under_way: Sequence[Parcel]) -> None:
        self._metrics.session_ended(reason)
        if bind.customer is None:
            return
        self._door.left(bind)
        account = bind.customer.terms.account
        self._postman.left(bind, account.id, under_way)
        log.info("customer_left", account=account.name, reason=reason, address=str(bind.address))

    # ── deliveries ───────────────────────────────────────────────────────────────────────────

    def responded(self, bind: CustomerBind, parcel: Parcel, status: int) -> None:
        self._postman.responded(parcel.delivery.account_id, parcel, status)

    def overdue(self, bind: CustomerBind, parcel: Parcel) -> None:
        self._postman.overdue(parcel.delivery.account_id, parcel)

    def has_room(self, bind: CustomerBind) -> None:
        if bind.customer is not None:
            self._postman.has_room(bind.customer.terms.account.id)

    # ── submissions ──────────────────────────────────────────────────────────────────────────

    def submit(self, bind: CustomerBind, submissions: Sequence[SubmitReceived]) -> None:
        customer = bind.customer
        assert customer is not None, "only a bound session hears submissions"
        now, wall = self._loop.time(), time.time()
        sequences: list[int] = []
        entries: list[Entry] = []
        refused: Counter[int] = Counter()
        for event in submissions:
            taken = self._take(bind, customer, event, now, wall)
            if isinstance(taken, Message):
                entries.append(self._entry(customer, taken))
                sequences.append(event.sequence)
                bind.unanswered += 1
                customer.uncommitted += 1
            else:
                refused[taken] += 1
                bind.answer_submission(event.sequence, taken)
        self._count(refused)
        if entries:
            self._commit(
                customer, entries, partial(self._answer, bind, customer, sequences, entries, now)
            )

    def _take(
        self, bind: CustomerBind, customer: Customer, event: SubmitReceived, now: float, wall: float
    ) -> Message | int:
        """Return the message that a submission becomes, or the status that refuses it."""
        if self._door.closing or not bind.bound:  # we have said goodbye
            return v.ESME_RSYSERR
        ceiling = customer.take(1, bind.unanswered, now)
        if ceiling is not None:
            return ceiling.status
        try:
            order = read_submission(event.pdu, customer.terms, wall)
            if isinstance(order, Unusable):
                return order.status
            return self._decide(customer, order, wall)
        except Exception:
            # What is wrong with one message must not cost the others of the same read.
            log.exception("submission_failed", account=customer.terms.account.name)
            return v.ESME_RSYSERR

    def _decide(self, customer: Customer, order: Order, wall: float) -> Message | int:
        decided = self._intake.decide_order(customer.terms.account, order, wall)
        if isinstance(decided, Rejected):
            self._metrics.rejected(decided.code)
            return status_of(decided.code)
        return decided

    def _answer(
        self,
        bind: CustomerBind,
        customer: Customer,
        sequences: Sequence[int],
        entries: Sequence[Entry],
        taken_at: float,
        statuses: Statuses,
    ) -> None:
        bind.unanswered -= len(entries)
        form = customer.terms.id_form
        for sequence, entry, status in zip(sequences, entries, statuses, strict=True):
            message_id = "" if status else format_id(entry.message.id, form)
            bind.answer_submission(sequence, status, message_id)
        bind.note_idle()
        self._count(Counter(statuses))
        self._metrics.submit_seconds.observe(self._loop.time() - taken_at)

    # ── submit_multi, and what is asked of messages ──────────────────────────────────────────

    def ask(self, bind: CustomerBind, request: Pdu) -> None:
        customer = bind.customer
        assert customer is not None, "only a bound session hears requests"
        if self._door.closing or not bind.bound:
            bind.answer(request, v.ESME_RSYSERR)
        elif bind.unanswered >= customer.terms.window_size:
            bind.answer(request, v.ESME_RTHROTTLED)
        elif request.command_id == v.SUBMIT_MULTI:
            self._submit_multi(bind, customer, request)
        elif not self._errands.take(bind, request):
            bind.answer(request, v.ESME_RINVCMDID)

    def _submit_multi(self, bind: CustomerBind, customer: Customer, request: Pdu) -> None:
        now, wall = self._loop.time(), time.time()
        destinations = read_submit_multi(request, customer.terms, wall)
        if isinstance(destinations, Unusable):
            self._refuse_multi(bind, request, destinations.status, 1)
            return
        ceiling = customer.take(len(destinations), bind.unanswered, now)
        if ceiling is not None:
            self._refuse_multi(bind, request, ceiling.status, len(destinations))
            return
        failures: list[UnsuccessfulSme] = []
        addresses: list[SmeAddress] = []
        entries: list[Entry] = []
        # The first message's id is what the customer gets for all of them.
        group_id: MessageId | None = None
        for destination in destinations:
            order = replace(destination.order, group_id=group_id)
            decided = self._decide(customer, order, wall)
            if isinstance(decided, Message):
                group_id = group_id or decided.id
                addresses.append(destination.address)
                entries.append(self._entry(customer, decided))
            else:
                failures.append(_failure(destination.address, decided))
        self._count(Counter(failure.status for failure in failures))
        bind.unanswered += 1
        customer.uncommitted += len(entries)
        answer = partial(
            self._answer_multi, bind, customer, request, group_id, addresses, failures, now
        )
        if entries:
            self._commit(customer, entries, answer)
        else:
            answer([])

    def _entry(self, customer: Customer, message: Message) -> Entry:
        account = customer.terms.account
        if account.fallback is None:
            return Entry(message)
        return Entry(message, fallback=self._fallbacks.by_rule(account, message))

    def _answer_multi(
        self,
        bind: CustomerBind,
        customer: Customer,
        request: Pdu,
        group_id: MessageId | None,
        addresses: Sequence[SmeAddress],
        failures: list[UnsuccessfulSme],
        taken_at: float,
        statuses: Statuses,
    ) -> None:
        bind.unanswered -= 1
        self._count(Counter(statuses))
        self._metrics.submit_seconds.observe(self._loop.time() - taken_at)
        failures += [
            _failure(address, status)
            for address, status in zip(addresses, statuses, strict=True)
            if status
        ]
        taken = v.ESME_ROK in statuses
        message_id = format_id(group_id, customer.terms.id_form) if taken and group_id else ""
        bind.answer(
            request,
            v.ESME_ROK if taken else v.ESME_RSUBMITFAIL,
            {"message_id": message_id, "unsuccess_smes": tuple(failures)},
        )
        bind.note_idle()

    def _refuse_multi(self, bind: CustomerBind, request: Pdu, status: int, count: int) -> None:
        bind.answer(request, status)
        self._count({status: count})

    # ── the commit ───────────────────────────────────────────────────────────────────────────

    def _commit(self, customer: Customer, entries: Sequence[Entry], answer: Answer) -> None:
        """Have entries committed together; `answer` hears what became of each."""
        try:
            committing = self._writer.commit(entries)
        except StoreUnavailable:
            # When the store is there and only behind, the customer is to slow down, not to fail.
            status = v.ESME_RMSGQFUL if self._writer.available else v.ESME_RSYSERR
            customer.uncommitted -= len(entries)
            answer([status] * len(entries))
        else:
            committing.add_done_callback(partial(self._committed, customer, entries, answer))

    def _committed(
        self,
        customer: Customer,
        entries: Sequence[Entry],
        answer: Answer,
        committing: asyncio.Future[list[EntryFate]],
    ) -> None:
        count = len(entries)
        customer.uncommitted -= count
        try:
            fates = committing.result()
        except StoreUnavailable:
            answer([v.ESME_RSYSERR] * count)
        except Exception:
            log.exception("commit_failed", account=customer.terms.account.name)
            answer([v.ESME_RSYSERR] * count)
        else:
            for entry, fate in zip(entries, fates, strict=True):
                if fate is not Fate.STORED:
                    self._intake.take_back(entry.message)
            answer([self._status_of_fate(fate) for fate in fates])

    def _status_of_fate(self, fate: EntryFate) -> int:
        if fate is Fate.STORED:
            return v.ESME_ROK
        self._metrics.rejected("no_credit")  # nothing has a key, so nothing else can be wrong
        return status_of("no_credit")

    def _count(self, statuses: Mapping[int, int]) -> None:
        for status, count in statuses.items():
            self._metrics.submitted(status_name(status), count)


def _failure(address: SmeAddress, status: int) -> UnsuccessfulSme:
    return UnsuccessfulSme(address.ton, address.npi, address.address, status)
