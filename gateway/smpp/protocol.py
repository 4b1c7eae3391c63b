"""One SMPP session without its connection: octets and `now` in, events and octets out.

Theory of operation. The owner feeds `receive_data`, `receive_eof` and `handle_timer`, calls
`send_*`, and after any of these writes `data_to_send()` and waits until `next_timer()`. All that
happened comes back as a list of events. The state changes in `_move` alone, by the table in
`states.py`; what each side may send in it is computed there once a transition, so that the many
PDUs between two transitions cost one look into a set.

The session answers by itself whatever needs no decision: enquire_link in any state, unbind,
unknown commands, requests that the state forbids, PDUs that can't be read. Everything that needs
one becomes an event and waits for its `send_*_resp`. It never refuses a response: one that
answers nothing is counted and dropped.

Every session ends with exactly one SessionClosed, which hands back what was in flight. Not here:
the socket (`client.py`), what a status means (`status.py`), when timers run out (`timers.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import BrokenStream, IllegalSend, MalformedPdu
from gateway.smpp.events import (
    AlertReceived,
    Answered,
    BindRefused,
    BindRequested,
    Bound,
    Delivered,
    Event,
    OutbindReceived,
    PeerUnbound,
    Reason,
    RequestReceived,
    Responded,
    ResponseOverdue,
    SessionClosed,
    SubmitReceived,
)
from gateway.smpp.fields import Value
from gateway.smpp.framing import PDU_BYTES_MAX, Framer
from gateway.smpp.owed import OWED_MAX, Noted, Owed
from gateway.smpp.pdu import (
    decode,
    decode_deliver_sm,
    decode_message_resp,
    decode_submit_sm,
    encode,
    encode_deliver_sm_resp,
    encode_header,
    encode_submit_sm_resp,
    message_from_data_sm,
)
from gateway.smpp.shapes import HEADER_SIZE, NO_TLVS, DeliverSm, Frame, Pdu, SubmitSm
from gateway.smpp.specification import PDUS
from gateway.smpp.states import (
    BIND_STEPS,
    BOUND,
    TRANSITIONS,
    UNANSWERED,
    Role,
    State,
    Step,
    list_legal,
)
from gateway.smpp.status import BindOutcome, classify_bind
from gateway.smpp.tally import Tally
from gateway.smpp.timers import Clocks, Due, Timings, next_deadline, step
from gateway.smpp.tlvs import decode_tlv_value, encode_tlv_value
from gateway.smpp.window import Window

_MESSAGE_RESPONSES: Final = frozenset({v.SUBMIT_SM_RESP, v.DELIVER_SM_RESP, v.DATA_SM_RESP})
_BIND_RESPONSES: Final = frozenset(command | v.RESPONSE for command in BIND_STEPS)
_NOT_REGISTERED: Final = UNANSWERED | frozenset(BIND_STEPS) | {v.UNBIND}
_CLOSES: Final = {
    Due.UNBIND_EXPIRED: Reason.UNBIND_UNANSWERED,
    Due.SESSION_INIT_EXPIRED: Reason.SESSION_INIT_EXPIRED,
    Due.PEER_SILENT: Reason.PEER_SILENT,
    Due.INACTIVE: Reason.INACTIVE,
    Due.GRACE_OVER: Reason.RESPONSE_OVERDUE,
}


class Session:
    """One session of either role, from the connection's first octet to SessionClosed."""

    def __init__(
        self,
        role: Role,
        now: float,
        *,
        window_size: int,
        timings: Timings,
        pdu_bytes_max: int = PDU_BYTES_MAX,
        owed_max: int = OWED_MAX,
        tally: Tally | None = None,
    ) -> None:
        self.role = role
        self.state = State.OPEN
        self._timings = timings
        self._window = Window(window_size)
        self._framer = Framer(pdu_bytes_max)
        self.tally = tally or Tally()
        self._owed = Owed(owed_max)
        self._out: list[bytes] = []
        self._may_send = list_legal(role, State.OPEN)
        self._peer_may_send = list_legal(role.peer, State.OPEN)
        self._message_command = v.SUBMIT_SM if role is Role.ESME else v.DELIVER_SM
        self._can_submit = False
        # The requests of the session itself: each has at most one unanswered.
        self._bind_sequence = 0
        self._bind_command = 0
        self._unbind_sequence: int | None = None
        self._enquire_sequence: int | None = None
        self._opened_at = now
        self._heard_at = now
        self._enquired_at: float | None = None
        self._overdue_at: float | None = None
        self._unbound_at: float | None = None

    # ── what the owner asks ──────────────────────────────────────────────────────────────────

    @property
    def closed(self) -> bool:
        return self.state is State.CLOSED

    @property
    def in_flight(self) -> int:
        """Our requests without the peer's answer."""
        return len(self._window)

    @property
    def owed(self) -> int:
        """The peer's requests without our answer."""
        return len(self._owed)

    @property
    def can_submit(self) -> bool:
        """Whether messages may be sent in this state, room or not."""
        return self._can_submit and self._overdue_at is None

    @property
    def room(self) -> int:
        """How many messages can be sent now."""
        return self._window.room if self.can_submit else 0

    def resize_window(self, window_size: int) -> None:
        """Let so many requests be unanswered from now on; those that are stay."""
        self._window.size_max = window_size

    @property
    def pending_bytes(self) -> int:
        """How much output waits for `data_to_send`."""
        return sum(map(len, self._out))

    def data_to_send(self) -> bytes:
        """Hand over all output since the last call."""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def next_timer(self) -> float | None:
        """Return when `handle_timer` is to be called; None when never."""
        if self.closed:
            return None
        return next_deadline(self._timings, self._clocks())

    # ── what the owner tells ─────────────────────────────────────────────────────────────────

    def receive_data(self, data: bytes, now: float) -> list[Event]:
        """Take octets from the peer; nothing is read any more after SessionClosed."""
        events: list[Event] = []
        if self.closed:
            return events
        frames = self._framer.receive(data)
        if frames:
            # Anything whole proves that the peer lives: it need not be the enquire_link_resp.
            self._heard_at = now
            self._enquired_at = None
        for frame in frames:
            command_id = frame.command_id
            if command_id in _MESSAGE_RESPONSES:
                self._receive_message_resp(frame, now, events)
            elif command_id >= v.RESPONSE:
                self._receive_response(frame, now, events)
            else:
                self._receive_request(frame, events)
            if self.closed:
                return events
        if self._framer.failure is not None:
            self._receive_garbage(self._framer.failure, events)
        return events

    def receive_eof(self, now: float) -> list[Event]:
        """Take note that the connection is gone or that the peer sends no more."""
        return self.close(Reason.CONNECTION_LOST)

    def handle_timer(self, now: float) -> list[Event]:
        """Do all that is due at `now`; harmless when called early."""
        events: list[Event] = []
        while (due := self._find_due(now)) is not None:
            if due is Due.ENQUIRE:
                self._enquire(now)
            elif due is Due.RESPONSE_OVERDUE:
                self._note_overdue(now, events)
            else:
                if self.state in BOUND:
                    # A courtesy that lets the carrier free the bind; nobody waits for its answer.
                    self._out.append(encode_header(v.UNBIND, self._window.take_sequence()))
                self._end(_CLOSES[due], events)
        return events

    def close(self, reason: Reason = Reason.ABANDONED, detail: str = "") -> list[Event]:
        """End the session at once without another word to the peer; harmless when it is over."""
        events: list[Event] = []
        if not self.closed:
            self._end(reason, events, detail)
        return events

    # ── what the owner sends ─────────────────────────────────────────────────────────────────

    def send_bind(
        self,
        command_id: int,
        *,
        system_id: str,
        password: str,
        system_type: str = "",
        interface_version: int = v.INTERFACE_VERSION_34,
        addr_ton: int = 0,
        addr_npi: int = 0,
        address_range: str = "",
    ) -> None:
        """Ask to be bound: Bound, or BindRefused and SessionClosed, will follow.

        Raises IllegalSend, and InvalidField for what does not fit its field.
        """
        self._check_may_send(command_id)
        sequence = self._window.take_sequence()
        fields: dict[str, Value] = {
            "system_id": system_id,
            "password": password,
            "system_type": system_type,
            "interface_version": interface_version,
            "addr_ton": addr_ton,
            "addr_npi": addr_npi,
            "address_range": address_range,
        }
        self._out.append(encode(Pdu(command_id, sequence, 0, fields)))
        self._bind_sequence = sequence
        self._bind_command = command_id
        self._move(Step.BIND_ASKED)

    def send_submit(self, body: bytes, context: object, now: float) -> int:
        """Send a submit_sm with a body from `pdu.encode_submission`; return its sequence_number.

        Raises IllegalSend or WindowFull. The answer comes as Responded with this `context`, or
        the context comes back with SessionClosed: exactly one of the two.
        """
        return self._send_message(v.SUBMIT_SM, body, context, now)

    def send_deliver(self, body: bytes, context: object, now: float) -> int:
        """Send a deliver_sm to a customer; as `send_submit`, but an overdue one comes back too."""
        return self._send_message(v.DELIVER_SM, body, context, now)

    def send_request(self, pdu: Pdu, context: object, now: float) -> int:
        """Send any other request that has a response; its `sequence` is replaced.

        Raises IllegalSend, WindowFull or InvalidField. Answered, or for data_sm Responded, will
        follow, or the context comes back with SessionClosed.
        """
        if pdu.command_id in _NOT_REGISTERED:
            raise IllegalSend(f"{v.command_name(pdu.command_id)} is not sent this way")
        return self._send_message(pdu.command_id, encode(pdu)[HEADER_SIZE:], context, now)

    def send_unbind(self, now: float) -> None:
        """Say goodbye. Answers are still taken until SessionClosed; raises IllegalSend."""
        self._check_may_send(v.UNBIND)
        sequence = self._window.take_sequence()
        self._out.append(encode_header(v.UNBIND, sequence))
        self._unbind_sequence = sequence
        self._unbound_at = now
        self._move(Step.UNBIND_ASKED)

    def send_deliver_resp(self, sequence: int, status: int = 0) -> None:
        """Answer a Delivered; what was answered before is not answered again."""
        command_id = self._owed.settle(sequence, v.DELIVER_SM, v.DATA_SM)
        if command_id == v.DELIVER_SM:
            self._out.append(encode_deliver_sm_resp(sequence, status))
        elif command_id:
            self._out.append(encode(Pdu(command_id | v.RESPONSE, sequence, status)))

    def send_submit_resp(
        self,
        sequence: int,
        status: int = 0,
        message_id: str = "",
        tlvs: Mapping[int, bytes] = NO_TLVS,
    ) -> None:
        """Answer a SubmitReceived; raises InvalidField, and the answer is then gone as well."""
        command_id = self._owed.settle(sequence, v.SUBMIT_SM, v.DATA_SM)
        if command_id == v.SUBMIT_SM:
            self._out.append(encode_submit_sm_resp(sequence, status, message_id, tlvs))
        elif command_id:
            fields: dict[str, Value] = {} if status else {"message_id": message_id}
            answer = Pdu(command_id | v.RESPONSE, sequence, status, fields, tuple(tlvs.items()))
            self._out.append(encode(answer))

    def send_response(self, pdu: Pdu) -> None:
        """Answer a RequestReceived with its own response; raises IllegalSend, InvalidField."""
        if self._owed.settle(pdu.sequence, pdu.command_id & ~v.RESPONSE):
            self._out.append(encode(pdu))
        elif self._owed.owes(pdu.sequence):
            raise IllegalSend(f"{v.command_name(pdu.command_id)} does not answer this request")

    def accept_bind(
        self, sequence: int, system_id: str, interface_version: int | None = v.INTERFACE_VERSION_34
    ) -> None:
        """Take a BindRequested; None tells a peer of 3.3, which reads no TLVs, no version.

        Raises IllegalSend, InvalidField.
        """
        command_id = self._take_bind(sequence)
        tlvs: tuple[tuple[int, bytes], ...] = ()
        if interface_version is not None:
            version = encode_tlv_value(v.TAG_SC_INTERFACE_VERSION, interface_version)
            tlvs = ((v.TAG_SC_INTERFACE_VERSION, version),)
        fields: dict[str, Value] = {"system_id": system_id}
        self._out.append(encode(Pdu(command_id | v.RESPONSE, sequence, 0, fields, tlvs)))
        self._move(BIND_STEPS[command_id])

    def refuse_bind(self, sequence: int, status: int) -> None:
        """Refuse a BindRequested; the customer may try again on the same connection."""
        assert status, "a refusal needs a status"
        command_id = self._take_bind(sequence)
        self._out.append(encode_header(command_id | v.RESPONSE, sequence, status))
        self._move(Step.BIND_REFUSED)

    # ── inside: the state ────────────────────────────────────────────────────────────────────

    def _move(self, taken: Step) -> None:
        before = self.state
        self.state = state = TRANSITIONS[before][taken]
        self._may_send = list_legal(self.role, state)
        # An unbind and the peer's last requests cross on the wire: while UNBINDING, the peer
        # may still send what the state before allowed.
        allowing = before if state is State.UNBINDING else state
        self._peer_may_send = list_legal(self.role.peer, allowing)
        self._can_submit = self._message_command in self._may_send

    def _end(self, reason: Reason, events: list[Event], detail: str = "") -> None:
        in_flight = tuple(entry.context for entry in self._window.drain())
        self._owed.clear()
        self._move(Step.ENDED)
        events.append(SessionClosed(reason, in_flight, detail))

    def _check_may_send(self, command_id: int) -> None:
        if command_id not in self._may_send:
            raise IllegalSend(
                f"{v.command_name(command_id)} may not be sent by the {self.role.value} "
                f"while {self.state.value}"
            )

    def _clocks(self) -> Clocks:
        return Clocks(
            self.state in BOUND,
            self._opened_at,
            self._heard_at,
            self._enquired_at,
            self._window.oldest_sent_at,
            self._overdue_at,
            self._unbound_at,
        )

    def _find_due(self, now: float) -> Due | None:
        return None if self.closed else step(self._timings, self._clocks(), now)

    def _note_overdue(self, now: float, events: list[Event]) -> None:
        """Report what is not answered in time.

        A carrier that stops answering is stuck: the session takes no more and ends. A customer
        keeps its bind, which it submits through as well: its deliveries are handed back alone.
        """
        for entry in self._window.overdue(now - self._timings.response_s):
            self.tally.overdue += 1
            events.append(ResponseOverdue(entry.context, now - entry.sent_at))
            if self.role is Role.SMSC:
                self._window.resolve(entry.sequence)
        if self.role is Role.ESME:
            self._overdue_at = now

    def _enquire(self, now: float) -> None:
        self._enquire_sequence = self._window.take_sequence()
        self._enquired_at = now
        self._out.append(encode_header(v.ENQUIRE_LINK, self._enquire_sequence))

    def _send_message(self, command_id: int, body: bytes, context: object, now: float) -> int:
        self._check_may_send(command_id)
        if self._overdue_at is not None:
            raise IllegalSend("an earlier request is overdue: the session may be about to end")
        # Registered first: from here on an answer finds it, and SessionClosed hands it back.
        sequence = self._window.register(command_id, context, now)
        self._out.append(encode_header(command_id, sequence, 0, len(body)))
        self._out.append(body)
        return sequence

    def _take_bind(self, sequence: int) -> int:
        if self.state is not State.BINDING or sequence != self._bind_sequence:
            raise IllegalSend("this bind is not waiting for an answer")
        return self._bind_command

    # ── inside: responses ────────────────────────────────────────────────────────────────────

    def _receive_message_resp(self, frame: Frame, now: float, events: list[Event]) -> None:
        answer = decode_message_resp(frame.octets)
        entry = self._window.resolve(answer.sequence, frame.command_id ^ v.RESPONSE)
        if entry is None:
            self.tally.unmatched += 1
            return
        latency_s = now - entry.sent_at
        events.append(
            Responded(entry.context, answer.status, answer.message_id, latency_s, answer.tlvs)
        )
        if self._overdue_at is not None:
            self._reconsider_overdue(now)

    def _receive_response(self, frame: Frame, now: float, events: list[Event]) -> None:
        command_id, sequence = frame.command_id, frame.sequence
        nack = command_id == v.GENERIC_NACK
        # A nack is a refusal whatever its status says.
        status = (frame.status or v.ESME_RUNKNOWNERR) if nack else frame.status
        self.tally.nacks += nack
        entry = self._window.resolve(sequence, 0 if nack else command_id ^ v.RESPONSE)
        if entry is None:
            self._receive_own_response(frame, status, events)
            return
        if nack:
            events.append(Responded(entry.context, status, "", now - entry.sent_at))
        else:
            events.append(Answered(entry.context, self._read_leniently(frame), now - entry.sent_at))
        if self._overdue_at is not None:
            self._reconsider_overdue(now)

    def _receive_own_response(self, frame: Frame, status: int, events: list[Event]) -> None:
        """Take the answer to one of the session's own requests, if it is one."""
        command_id, sequence = frame.command_id, frame.sequence
        nack = command_id == v.GENERIC_NACK
        if sequence == self._unbind_sequence and (nack or command_id == v.UNBIND_RESP):
            self._end(Reason.UNBOUND, events)
        elif sequence == self._enquire_sequence and (nack or command_id == v.ENQUIRE_LINK_RESP):
            self._enquire_sequence = None
        elif (
            self.role is Role.ESME
            and self.state is State.BINDING
            and sequence == self._bind_sequence
            and (nack or command_id in _BIND_RESPONSES)
        ):
            self._receive_bind_resp(frame, status, events)
        else:
            self.tally.unmatched += 1

    def _receive_bind_resp(self, frame: Frame, status: int, events: list[Event]) -> None:
        if classify_bind(status) is not BindOutcome.BOUND:
            events.append(BindRefused(status))
            self._end(Reason.BIND_REFUSED, events, v.status_name(status))
            return
        answer = self._read_leniently(frame)
        version = answer.tlv(v.TAG_SC_INTERFACE_VERSION)
        told = None if version is None else decode_tlv_value(v.TAG_SC_INTERFACE_VERSION, version)
        self._move(BIND_STEPS[self._bind_command])
        events.append(Bound(answer.text("system_id"), told if isinstance(told, int) else None))

    def _read_leniently(self, frame: Frame) -> Pdu:
        """Read a response; its status is what matters, so a damaged body reads as none."""
        try:
            return decode(frame)
        except MalformedPdu:
            self.tally.malformed += 1
            return Pdu(frame.command_id, frame.sequence, frame.status)

    def _reconsider_overdue(self, now: float) -> None:
        """Go on as before once every overdue request was answered after all."""
        oldest_sent_at = self._window.oldest_sent_at
        if oldest_sent_at is None or oldest_sent_at > now - self._timings.response_s:
            self._overdue_at = None

    # ── inside: requests ─────────────────────────────────────────────────────────────────────

    def _receive_request(self, frame: Frame, events: list[Event]) -> None:
        command_id = frame.command_id
        if command_id == v.ENQUIRE_LINK:
            self._out.append(encode_header(v.ENQUIRE_LINK_RESP, frame.sequence))
        elif command_id in self._peer_may_send:
            try:
                self._receive_legal(frame, events)
            except MalformedPdu as fault:
                self.tally.malformed += 1
                self._refuse(frame, fault.status)
        elif command_id not in PDUS:
            self.tally.unknown += 1
            self._refuse(frame, v.ESME_RINVCMDID)
        else:
            self.tally.refused += 1
            again = command_id in BIND_STEPS and self._bind_command and self.role is Role.SMSC
            self._refuse(frame, v.ESME_RALYBND if again else v.ESME_RINVBNDSTS)

    def _receive_legal(self, frame: Frame, events: list[Event]) -> None:
        """Take a request that the state allows; raises MalformedPdu before anything changed."""
        command_id, sequence = frame.command_id, frame.sequence
        if command_id == v.DELIVER_SM:
            deliver = decode_deliver_sm(frame.octets, HEADER_SIZE)
            if self._owe_answer(frame):
                events.append(Delivered(sequence, deliver))
        elif command_id == v.SUBMIT_SM:
            submit = decode_submit_sm(frame.octets, HEADER_SIZE)
            if self._owe_answer(frame):
                events.append(SubmitReceived(sequence, submit))
        elif command_id == v.DATA_SM:
            self._receive_data_sm(frame, events)
        elif command_id == v.UNBIND:
            self._out.append(encode_header(v.UNBIND_RESP, sequence))
            events.append(PeerUnbound())
            self._end(Reason.PEER_UNBOUND, events)
        elif command_id in BIND_STEPS:
            self._receive_bind(decode(frame), events)
        elif command_id == v.ALERT_NOTIFICATION:
            events.append(AlertReceived(decode(frame)))
        elif command_id == v.OUTBIND:
            outbind = decode(frame)
            events.append(OutbindReceived(outbind.text("system_id"), outbind.text("password")))
        else:
            request = decode(frame)
            if self._owe_answer(frame):
                events.append(RequestReceived(request))

    def _receive_data_sm(self, frame: Frame, events: list[Event]) -> None:
        pdu = decode(frame)
        if not self._owe_answer(frame):
            return
        if self.role is Role.ESME:
            events.append(Delivered(frame.sequence, message_from_data_sm(DeliverSm, pdu)))
        else:
            events.append(SubmitReceived(frame.sequence, message_from_data_sm(SubmitSm, pdu)))

    def _receive_bind(self, bind: Pdu, events: list[Event]) -> None:
        self._bind_sequence = bind.sequence
        self._bind_command = bind.command_id
        self._move(Step.BIND_ASKED)
        events.append(
            BindRequested(
                bind.sequence,
                bind.command_id,
                bind.text("system_id"),
                bind.text("password"),
                bind.text("system_type"),
                bind.number("interface_version"),
                bind.number("addr_ton"),
                bind.number("addr_npi"),
                bind.text("address_range"),
            )
        )

    def _receive_garbage(self, failure: BrokenStream, events: list[Event]) -> None:
        self._out.append(encode_header(v.GENERIC_NACK, failure.sequence, failure.status))
        self._end(Reason.GARBAGE, events, str(failure))

    def _owe_answer(self, frame: Frame) -> bool:
        """Remember that the owner must answer; False when the peer was told to come back later."""
        match self._owed.note(frame.sequence, frame.command_id):
            case Noted.NEW:
                return True
            case Noted.REPEATED:
                self.tally.repeated += 1
                return True
            case Noted.NO_ROOM:
                self.tally.overflowed += 1
        self._refuse(frame, v.ESME_RX_T_APPN if self.role is Role.ESME else v.ESME_RMSGQFUL)
        return False

    def _refuse(self, frame: Frame, status: int) -> None:
        """Answer a request with a status alone, by its own response where it has one."""
        own = frame.command_id in PDUS and frame.command_id not in UNANSWERED
        command_id = frame.command_id | v.RESPONSE if own else v.GENERIC_NACK
        self._out.append(encode_header(command_id, frame.sequence, status))
