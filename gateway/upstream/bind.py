"""One customer's connection: hands what its session says to the desk, and the answers back.

Nothing is decided here. The session's rules are `gateway/smpp/protocol.py`'s, the socket is
`gateway/smpp/link.py`'s, and who is let in, what is taken and what goes up is `desk.py`'s and
`postman.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Protocol

from gateway.logs import get_logger
from gateway.record import replace
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import SmppError
from gateway.smpp.events import (
    BindRequested,
    Event,
    RequestReceived,
    Responded,
    ResponseOverdue,
    SessionClosed,
    SubmitReceived,
)
from gateway.smpp.fields import Value
from gateway.smpp.link import Link
from gateway.smpp.pdu import decode_deliver_sm, encode_short_message
from gateway.smpp.shapes import NO_TLVS, Pdu
from gateway.smpp.states import BOUND, State
from gateway.upstream.admission import Refused
from gateway.upstream.customer import Customer
from gateway.upstream.mailbox import Parcel
from gateway.upstream.terms import Address, Terms

log = get_logger("upstream")


class BindDesk(Protocol):
    """Who decides about a bind. Called from the loop, never waited for."""

    def ask_to_bind(self, bind: CustomerBind, request: BindRequested) -> None:
        """A customer wants in: `admit` or `refuse` it, now or later."""

    def submit(self, bind: CustomerBind, submissions: Sequence[SubmitReceived]) -> None:
        """A customer submits: `answer` each sequence, now or later."""

    def ask(self, bind: CustomerBind, request: Pdu) -> None:
        """A customer asks for something else: `answer` its sequence, now or later."""

    def responded(self, bind: CustomerBind, parcel: Parcel, status: int) -> None:
        """A customer answered a delivery."""

    def overdue(self, bind: CustomerBind, parcel: Parcel) -> None:
        """A customer did not answer a delivery; it is under way no more."""

    def has_room(self, bind: CustomerBind) -> None:
        """More can go up: after answers, or after a customer who did not read caught up."""

    def left(self, bind: CustomerBind, reason: str, under_way: Sequence[Parcel]) -> None:
        """A session is over, bound or not; `under_way` are the deliveries nobody answered."""


class CustomerBind:
    """One connection, from accepting to closing; `customer` is None until it is bound."""

    def __init__(self, desk: BindDesk) -> None:
        self.link: Link
        self.address: Address = IPv6Address(0)
        self.certificate_names: frozenset[str] = frozenset()
        """Of the certificate that it showed; empty without one."""
        self.customer: Customer | None = None
        self.terms: Terms | None = None
        """Those it was admitted under; what holds now is its customer's."""
        self.mode = ""
        self.unanswered = 0
        """The customer's requests that the store has not answered yet."""
        self.idle = asyncio.Event()
        """Set when nothing is owed in either direction; looked at by a stop alone."""
        self._desk = desk
        self._with_tlvs = True

    @property
    def receives(self) -> bool:
        """Whether deliveries may go up here."""
        return self.link.session.state in (State.BOUND_RX, State.BOUND_TRX)

    @property
    def bound(self) -> bool:
        return self.link.session.state in BOUND

    @property
    def binding(self) -> bool:
        """Whether a request to be bound still waits for its answer."""
        return self.link.session.state is State.BINDING

    @property
    def room(self) -> int:
        """How many deliveries can go up now."""
        session, customer = self.link.session, self.customer
        if customer is None or self.link.paused:
            return 0
        return min(session.room, customer.terms.window_size - session.in_flight)

    # ── what the desk says ───────────────────────────────────────────────────────────────────

    def admit(
        self, request: BindRequested, customer: Customer, terms: Terms, system_id: str
    ) -> None:
        """Let the customer in; `system_id` is how we call ourselves."""
        self.customer, self.terms = customer, terms
        self._with_tlvs = request.interface_version >= v.INTERFACE_VERSION_TLVS
        self.mode = v.command_name(request.command_id).removeprefix("bind_")
        version = v.INTERFACE_VERSION_34 if self._with_tlvs else None
        self.link.session.accept_bind(request.sequence, system_id, version)
        self.link.touch()

    def refuse(self, request: BindRequested, refused: Refused) -> None:
        """Keep the customer out; it may try again on this connection."""
        self.link.session.refuse_bind(request.sequence, refused.status)
        self.link.touch()

    def answer_submission(self, sequence: int, status: int, message_id: str = "") -> None:
        """Answer a submit_sm or data_sm; after the session this does nothing."""
        self.link.session.send_submit_resp(sequence, status, message_id)
        self.link.touch()

    def answer(self, request: Pdu, status: int, fields: dict[str, Value] | None = None) -> None:
        """Answer any other request; after the session this does nothing."""
        answer = Pdu(request.command_id | v.RESPONSE, request.sequence, status, fields or {})
        self.link.session.send_response(answer)
        self.link.touch()

    def deliver(self, parcel: Parcel, now: float) -> bool:
        """Send a delivery up; False when that is not possible after all."""
        body = parcel.delivery.body
        if not self._with_tlvs:
            body = _without_tlvs(body)
        try:
            self.link.session.send_deliver(body, parcel, now)
        except SmppError:
            return False
        self.link.touch()
        return True

    def unbind(self, now: float) -> None:
        """Say goodbye; the session's own timer bounds the wait for the answer."""
        if self.bound:
            self.link.session.send_unbind(now)
            self.link.touch()

    def note_idle(self) -> None:
        """Set `idle` when that is so."""
        session = self.link.session
        if session.closed or not (self.unanswered or session.in_flight):
            self.idle.set()
        else:
            self.idle.clear()

    # ── what the link says ───────────────────────────────────────────────────────────────────

    def hear(self, link: Link, events: Sequence[Event]) -> None:
        """Take what happened in the session; never raises."""
        submissions: list[SubmitReceived] = []
        freed = False
        for event in events:
            if isinstance(event, SubmitReceived):
                submissions.append(event)
                continue
            try:
                freed |= self._hear_other(event)
            except Exception:
                log.exception("listener_failed", event_kind=type(event).__name__)
        if submissions:
            self._submit(submissions)
        if freed:
            self._desk.has_room(self)
            self.note_idle()

    def resumed(self, link: Link) -> None:
        """The customer reads again."""
        self._desk.has_room(self)

    def _submit(self, submissions: list[SubmitReceived]) -> None:
        if self.link.session.closed:
            return  # no answer can reach the customer, so nothing is taken
        try:
            self._desk.submit(self, submissions)
        except Exception:
            # One fault of ours must not leave customers without any answer, nor end the bind.
            log.exception("listener_failed", event_kind="SubmitReceived")
            for event in submissions:
                self.answer_submission(event.sequence, v.ESME_RSYSERR)

    def _hear_other(self, event: Event) -> bool:
        """Take one event that is no submission; say whether a delivery has left the window."""
        if isinstance(event, Responded):
            assert isinstance(event.context, Parcel)
            self._desk.responded(self, event.context, event.status)
            return True
        if isinstance(event, ResponseOverdue):
            assert isinstance(event.context, Parcel)
            self._desk.overdue(self, event.context)
            return True
        if isinstance(event, BindRequested):
            self._desk.ask_to_bind(self, event)
        elif isinstance(event, RequestReceived):
            self._ask(event.pdu)
        elif isinstance(event, SessionClosed):
            parcels = [context for context in event.in_flight if isinstance(context, Parcel)]
            self.idle.set()
            self._desk.left(self, event.reason, parcels)
        return False

    def _ask(self, request: Pdu) -> None:
        try:
            self._desk.ask(self, request)
        except Exception:
            self.answer(request, v.ESME_RSYSERR)
            raise


def _without_tlvs(body: bytes) -> bytes:
    """Return a deliver_sm for a peer of SMPP 3.3, which knows no TLVs."""
    return encode_short_message(replace(decode_deliver_sm(body), tlvs=NO_TLVS))
