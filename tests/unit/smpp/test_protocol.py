"""The session: every state, every PDU, both roles, with octets and literal times alone."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import IllegalSend, InvalidField, WindowFull
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
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    build_frame,
    decode,
    encode,
    encode_deliver_sm,
    encode_header,
    encode_short_message,
    encode_submission,
    encode_submit_sm,
    encode_submit_sm_resp,
)
from gateway.smpp.protocol import Session
from gateway.smpp.shapes import DeliverSm, Frame, Pdu, SubmitSm, SubmitTemplate
from gateway.smpp.specification import PDUS
from gateway.smpp.states import MAY_SEND, REQUESTS, UNANSWERED, Role, State
from gateway.smpp.timers import Timings

relaxed = settings(deadline=None)

TIMINGS = Timings(
    session_init_s=10.0,
    enquire_link_s=30.0,
    response_s=60.0,
    late_grace_s=5.0,
    inactivity_s=300.0,
    unbind_s=7.0,
)
BINDS = {
    State.BINDING: v.BIND_TRANSCEIVER,
    State.UNBINDING: v.BIND_TRANSCEIVER,
    State.BOUND_TX: v.BIND_TRANSMITTER,
    State.BOUND_RX: v.BIND_RECEIVER,
    State.BOUND_TRX: v.BIND_TRANSCEIVER,
}
PEER_SEQUENCE = 900
BODY = encode_submission(SubmitTemplate(), 5, 0, "Brand", "447700900123", b"Hello")
RECEIPT = DeliverSm(source_addr="447700900123", esm_class=4, short_message=b"id:1 stat:DELIVRD")


class Bench:
    """One session, and what a test does to it at a time of its own."""

    def __init__(
        self,
        role: Role = Role.ESME,
        state: State = State.BOUND_TRX,
        *,
        window_size: int = 10,
        owed_max: int = 100,
    ) -> None:
        self.now = 0.0
        self.session = Session(
            role, self.now, window_size=window_size, timings=TIMINGS, owed_max=owed_max
        )
        self._reach(state)

    def hear(self, *pdus: Pdu) -> list[Event]:
        """Let the peer send."""
        return self.hear_octets(b"".join(map(encode, pdus)))

    def hear_octets(self, octets: bytes) -> list[Event]:
        return self.session.receive_data(octets, self.now)

    def pass_time(self, seconds: float) -> list[Event]:
        self.now += seconds
        return self.session.handle_timer(self.now)

    def submit(self, context: object) -> int:
        return self.session.send_submit(BODY, context, self.now)

    def sent(self) -> list[Frame]:
        """Return what the session has sent since the last call."""
        framer = Framer()
        frames = framer.receive(self.session.data_to_send())
        assert framer.failure is None
        assert framer.partial_bytes == 0
        return frames

    def send_bind(self, command_id: int = v.BIND_TRANSCEIVER) -> int:
        """Ask the peer to be bound; return the request's number."""
        self.session.send_bind(command_id, system_id="us", password="secret")
        (frame,) = self.sent()
        return frame.sequence

    def _reach(self, state: State) -> None:
        if state is State.CLOSED:
            self.session.receive_eof(self.now)
        elif state is not State.OPEN:
            self._bind(BINDS[state], answered=state is not State.BINDING)
        if state is State.UNBINDING:
            self.session.send_unbind(self.now)
        self.sent()
        assert self.session.state is state

    def _bind(self, command_id: int, *, answered: bool) -> None:
        if self.session.role is Role.ESME:
            sequence = self.send_bind(command_id)
            if answered:
                self.hear(Pdu(command_id | v.RESPONSE, sequence, fields={"system_id": "them"}))
        else:
            self.hear(Pdu(command_id, PEER_SEQUENCE, fields={"system_id": "them"}))
            if answered:
                self.session.accept_bind(PEER_SEQUENCE, "us")


def closed(events: list[Event]) -> SessionClosed:
    """Return the SessionClosed that must be the last and only one of these events."""
    endings = [event for event in events if isinstance(event, SessionClosed)]
    assert len(endings) == 1
    assert events[-1] is endings[0]
    return endings[0]


# ── the table: every role, state and request ─────────────────────────────────────────────────

ALIVE = [state for state in State if state is not State.CLOSED]
STATE_AFTER = {
    v.UNBIND: State.CLOSED,
    v.BIND_TRANSMITTER: State.BINDING,
    v.BIND_RECEIVER: State.BINDING,
    v.BIND_TRANSCEIVER: State.BINDING,
}
EVENT_AFTER: dict[int, type[Event] | None] = {
    v.ENQUIRE_LINK: None,
    v.UNBIND: PeerUnbound,
    v.BIND_TRANSMITTER: BindRequested,
    v.BIND_RECEIVER: BindRequested,
    v.BIND_TRANSCEIVER: BindRequested,
    v.OUTBIND: OutbindReceived,
    v.ALERT_NOTIFICATION: AlertReceived,
}


def is_legal(role: Role, state: State, command_id: int) -> bool:
    """Say whether the peer of `role` may send this while the session is in `state`."""
    # While UNBINDING the peer may do what its bind allowed; the bench binds as a transceiver.
    allowing = State.BOUND_TRX if state is State.UNBINDING else state
    return allowing in MAY_SEND[role.peer].get(command_id, frozenset())


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", ALIVE)
@pytest.mark.parametrize("command_id", sorted(REQUESTS), ids=v.command_name)
def test_every_request_is_taken_where_it_is_legal_and_refused_everywhere_else(
    role: Role, state: State, command_id: int
) -> None:
    bench = Bench(role, state)
    fields: dict[str, Value] = {}
    if command_id == v.SUBMIT_MULTI:
        fields["dest_addresses"] = ()
    events = bench.hear(Pdu(command_id, 901, fields=fields))
    answers = bench.sent()
    if is_legal(role, state, command_id):
        assert bench.session.state is STATE_AFTER.get(command_id, state)
        message = Delivered if role is Role.ESME else SubmitReceived
        other = message if command_id in MESSAGES else RequestReceived
        expected = EVENT_AFTER.get(command_id, other)
        assert [type(event) for event in events[:1]] == ([expected] if expected else [])
        at_once = command_id in (v.ENQUIRE_LINK, v.UNBIND)
        assert answers == ([build_frame(command_id | v.RESPONSE, 0, 901, b"")] if at_once else [])
    else:
        assert events == []
        assert bench.session.state is state
        # An SMSC that asks an ESME to let it bind is in the wrong, not "bound already".
        again = command_id in BINDS.values() and role is Role.SMSC
        status = v.ESME_RALYBND if again else v.ESME_RINVBNDSTS
        own = v.GENERIC_NACK if command_id in UNANSWERED else command_id | v.RESPONSE
        assert answers == [build_frame(own, status, 901, b"")]
        assert bench.session.tally.refused == 1


MESSAGES = {v.SUBMIT_SM, v.DELIVER_SM, v.DATA_SM}


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", ALIVE)
@pytest.mark.parametrize(
    "command_id", sorted(c for c in PDUS if c >= v.RESPONSE), ids=v.command_name
)
def test_a_response_that_answers_nothing_is_counted_and_changes_nothing(
    role: Role, state: State, command_id: int
) -> None:
    bench = Bench(role, state)
    assert bench.hear(Pdu(command_id, 4711, 0x08)) == []
    assert bench.sent() == []
    assert bench.session.state is state
    assert bench.session.tally.unmatched == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", ALIVE)
def test_an_unknown_request_gets_a_nack_and_an_unknown_response_nothing(
    role: Role, state: State
) -> None:
    bench = Bench(role, state)
    assert bench.hear(Pdu(0x00010200, 5), Pdu(0x80010200, 6)) == []
    assert bench.sent() == [build_frame(v.GENERIC_NACK, v.ESME_RINVCMDID, 5, b"")]
    assert bench.session.state is state
    assert bench.session.tally.unknown == 1


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("command_id", sorted(PDUS), ids=v.command_name)
def test_a_closed_session_hears_and_says_nothing(role: Role, command_id: int) -> None:
    bench = Bench(role, State.CLOSED)
    assert bench.hear_octets(encode_header(command_id, 1)) == []
    assert bench.sent() == []
    assert bench.session.next_timer() is None
    assert bench.pass_time(1e6) == []
    assert bench.session.receive_eof(bench.now) == []
    assert bench.session.close() == []


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("command_id", sorted(REQUESTS - UNANSWERED), ids=v.command_name)
def test_what_may_not_be_sent_is_refused_before_a_byte_leaves(
    role: Role, state: State, command_id: int
) -> None:
    bench = Bench(role, state)
    session = bench.session
    allowed = state in MAY_SEND[role].get(command_id, frozenset())

    def send() -> None:
        if command_id in (v.BIND_TRANSMITTER, v.BIND_RECEIVER, v.BIND_TRANSCEIVER):
            session.send_bind(command_id, system_id="us", password="")
        elif command_id == v.UNBIND:
            session.send_unbind(0.0)
        else:
            fields: dict[str, Value] = {}
            if command_id == v.SUBMIT_MULTI:
                fields["dest_addresses"] = ()
            session.send_request(Pdu(command_id, fields=fields), "context", 0.0)

    if allowed:
        send()
        assert [frame.command_id for frame in bench.sent()] == [command_id]
    else:
        with pytest.raises(IllegalSend):
            send()
        assert bench.sent() == []
        assert session.in_flight == 0
        assert session.state is state


@pytest.mark.parametrize("command_id", sorted(UNANSWERED | {v.BIND_RECEIVER, v.UNBIND}))
def test_a_request_without_an_answer_for_the_owner_is_not_registered(command_id: int) -> None:
    bench = Bench(Role.SMSC)
    with pytest.raises(IllegalSend):
        bench.session.send_request(Pdu(command_id), "context", 0.0)
    assert bench.session.in_flight == 0


# ── binding ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", [State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX])
def test_a_bind_that_is_accepted_is_bound_as_it_asked(state: State) -> None:
    bench = Bench(state=State.OPEN)
    sequence = bench.send_bind(BINDS[state])
    version = ((v.TAG_SC_INTERFACE_VERSION, b"\x34"),)
    answer = Pdu(BINDS[state] | v.RESPONSE, sequence, 0, {"system_id": "them"}, version)
    assert bench.hear(answer) == [Bound("them", 0x34)]
    assert bench.session.state is state
    assert bench.session.can_submit == (state is not State.BOUND_RX)
    assert bench.session.room == (0 if state is State.BOUND_RX else 10)


def test_a_bind_s_fields_reach_the_carrier() -> None:
    bench = Bench(state=State.OPEN)
    bench.session.send_bind(
        v.BIND_TRANSMITTER,
        system_id="us",
        password="a long password",
        system_type="VMA",
        addr_ton=1,
        addr_npi=2,
        address_range="^44",
    )
    (frame,) = bench.sent()
    assert decode(frame).fields == {
        "system_id": "us",
        "password": "a long password",
        "system_type": "VMA",
        "interface_version": 0x34,
        "addr_ton": 1,
        "addr_npi": 2,
        "address_range": "^44",
    }


def test_a_bind_that_does_not_fit_is_refused_and_the_session_stays_open() -> None:
    bench = Bench(state=State.OPEN)
    with pytest.raises(InvalidField) as refused:
        bench.session.send_bind(v.BIND_TRANSCEIVER, system_id="x" * 16, password="")
    assert refused.value.field == "system_id"
    assert bench.session.state is State.OPEN
    assert bench.sent() == []


@pytest.mark.parametrize("body", [b"", b"them", b"them\0", b"them\0\x02\x10\0\1"])
def test_a_bind_is_accepted_by_answers_of_any_completeness(body: bytes) -> None:
    bench = Bench(state=State.OPEN)
    sequence = bench.send_bind()
    answer = encode_header(v.BIND_TRANSCEIVER_RESP, sequence, 0, len(body)) + body
    assert bench.hear_octets(answer) == [Bound("them" if body else "", None)]


def test_a_bind_that_is_already_bound_there_counts_as_bound() -> None:
    bench = Bench(state=State.OPEN)
    sequence = bench.send_bind()
    assert bench.hear(Pdu(v.BIND_TRANSCEIVER_RESP, sequence, v.ESME_RALYBND)) == [Bound("", None)]


@pytest.mark.parametrize("command_id", [v.BIND_TRANSCEIVER_RESP, v.GENERIC_NACK])
def test_a_refused_bind_says_why_and_ends_the_session(command_id: int) -> None:
    bench = Bench(state=State.OPEN)
    sequence = bench.send_bind()
    events = bench.hear(Pdu(command_id, sequence, v.ESME_RINVPASWD))
    assert events[0] == BindRefused(v.ESME_RINVPASWD)
    assert closed(events) == SessionClosed(Reason.BIND_REFUSED, (), "ESME_RINVPASWD")


def test_a_nack_without_a_status_refuses_a_bind_all_the_same() -> None:
    bench = Bench(state=State.OPEN)
    sequence = bench.send_bind()
    assert bench.hear(Pdu(v.GENERIC_NACK, sequence, 0))[0] == BindRefused(v.ESME_RUNKNOWNERR)


def test_a_message_that_follows_the_bind_s_answer_in_one_read_is_taken() -> None:
    bench = Bench(state=State.OPEN)
    sequence = bench.send_bind()
    octets = encode(Pdu(v.BIND_TRANSCEIVER_RESP, sequence)) + encode_deliver_sm(1, RECEIPT)
    assert bench.hear_octets(octets) == [Bound("", None), Delivered(1, RECEIPT)]


def test_an_outbind_names_who_asks() -> None:
    bench = Bench(state=State.OPEN)
    fields: dict[str, Value] = {"system_id": "them", "password": "pw"}
    assert bench.hear(Pdu(v.OUTBIND, 1, fields=fields)) == [OutbindReceived("them", "pw")]


# ── binding, seen from the SMSC ──────────────────────────────────────────────────────────────


def test_a_customer_s_bind_waits_for_its_answer() -> None:
    bench = Bench(Role.SMSC, State.OPEN)
    fields: dict[str, Value] = {
        "system_id": "them",
        "password": "pw",
        "system_type": "VMA",
        "interface_version": 0x34,
        "addr_ton": 1,
        "addr_npi": 2,
        "address_range": "^44",
    }
    assert bench.hear(Pdu(v.BIND_TRANSMITTER, 3, fields=fields)) == [
        BindRequested(3, v.BIND_TRANSMITTER, "them", "pw", "VMA", 0x34, 1, 2, "^44")
    ]
    assert bench.sent() == []
    bench.session.accept_bind(3, "us")
    (frame,) = bench.sent()
    answer = decode(frame)
    assert (answer.command_id, answer.sequence) == (v.BIND_TRANSMITTER_RESP, 3)
    assert answer.text("system_id") == "us"
    assert answer.tlvs == ((v.TAG_SC_INTERFACE_VERSION, b"\x34"),)
    assert bench.session.state is State.BOUND_TX


def test_a_refused_customer_may_try_again() -> None:
    bench = Bench(Role.SMSC, State.BINDING)
    bench.session.refuse_bind(PEER_SEQUENCE, v.ESME_RINVPASWD)
    assert bench.sent() == [
        build_frame(v.BIND_TRANSCEIVER_RESP, v.ESME_RINVPASWD, PEER_SEQUENCE, b"")
    ]
    assert bench.session.state is State.OPEN
    (again,) = bench.hear(Pdu(v.BIND_RECEIVER, 901))
    assert isinstance(again, BindRequested)


@pytest.mark.parametrize("sequence", [PEER_SEQUENCE, 1])
def test_only_the_bind_that_waits_can_be_answered(sequence: int) -> None:
    bench = Bench(Role.SMSC, State.BOUND_TRX if sequence == PEER_SEQUENCE else State.BINDING)
    with pytest.raises(IllegalSend):
        bench.session.accept_bind(sequence, "us")
    with pytest.raises(IllegalSend):
        bench.session.refuse_bind(sequence, v.ESME_RBINDFAIL)


def test_a_response_to_its_own_bind_does_not_bind_a_customer() -> None:
    bench = Bench(Role.SMSC, State.BINDING)
    assert bench.hear(Pdu(v.BIND_TRANSCEIVER_RESP, PEER_SEQUENCE)) == []
    assert bench.session.state is State.BINDING
    assert bench.session.tally.unmatched == 1


# ── submissions ──────────────────────────────────────────────────────────────────────────────


def test_a_submission_is_answered_with_its_context_and_latency() -> None:
    bench = Bench()
    bench.now = 5.0
    sequence = bench.submit("message 1")
    assert bench.sent() == [build_frame(v.SUBMIT_SM, 0, sequence, BODY)]
    bench.now = 5.25
    answer = encode_submit_sm_resp(sequence, 0, "abc", {0x1401: b"x"})
    assert bench.hear_octets(answer) == [Responded("message 1", 0, "abc", 0.25, {0x1401: b"x"})]
    assert bench.session.in_flight == 0


def test_answers_come_in_any_order() -> None:
    bench = Bench()
    sequences = [bench.submit(name) for name in "abc"]
    answers = [encode_submit_sm_resp(s, 0, f"id{s}") for s in reversed(sequences)]
    events = bench.hear_octets(b"".join(answers))
    assert [event.context for event in events if isinstance(event, Responded)] == ["c", "b", "a"]


def test_an_answer_that_comes_twice_is_reported_once() -> None:
    bench = Bench()
    answer = encode_submit_sm_resp(bench.submit("a"), 0, "id")
    assert len(bench.hear_octets(answer + answer)) == 1
    assert bench.session.tally.unmatched == 1


@pytest.mark.parametrize("status", [0x58, 0x08, 0x412, 0xFFFFFFFF])
def test_a_refusal_comes_with_its_number_body_or_not(status: int) -> None:
    bench = Bench()
    without, with_one = bench.submit("a"), bench.submit("b")
    events = bench.hear_octets(
        encode_header(v.SUBMIT_SM_RESP, without, status)
        + encode_header(v.SUBMIT_SM_RESP, with_one, status, 3)
        + b"id\0"
    )
    assert events == [Responded("a", status, "", 0.0), Responded("b", status, "id", 0.0)]


@pytest.mark.parametrize(("nacked", "status"), [(0x03, 0x03), (0, v.ESME_RUNKNOWNERR)])
def test_a_nack_answers_a_submission_and_never_means_success(nacked: int, status: int) -> None:
    bench = Bench()
    sequence = bench.submit("a")
    assert bench.hear(Pdu(v.GENERIC_NACK, sequence, nacked)) == [Responded("a", status, "", 0.0)]
    assert bench.session.tally.nacks == 1


def test_an_answer_of_another_kind_answers_nothing() -> None:
    bench = Bench()
    sequence = bench.submit("a")
    assert bench.hear(Pdu(v.DELIVER_SM_RESP, sequence), Pdu(v.QUERY_SM_RESP, sequence)) == []
    assert bench.session.in_flight == 1
    assert bench.session.tally.unmatched == 2


def test_a_full_window_refuses_until_an_answer_makes_room() -> None:
    bench = Bench(window_size=2)
    first = bench.submit("a")
    bench.submit("b")
    assert bench.session.room == 0
    with pytest.raises(WindowFull):
        bench.submit("c")
    assert len(bench.sent()) == 2
    bench.hear_octets(encode_submit_sm_resp(first, 0, "id"))
    assert bench.session.room == 1
    bench.submit("c")


def test_another_request_is_answered_with_its_whole_pdu() -> None:
    bench = Bench()
    query = Pdu(v.QUERY_SM, fields={"message_id": "abc"})
    sequence = bench.session.send_request(query, "query", 0.0)
    fields: dict[str, Value] = {
        "message_id": "abc",
        "final_date": "",
        "message_state": 2,
        "error_code": 0,
    }
    answer = Pdu(v.QUERY_SM_RESP, sequence, 0, fields)
    assert bench.hear(answer) == [Answered("query", answer, 0.0)]


def test_another_request_s_damaged_answer_still_answers() -> None:
    bench = Bench()
    sequence = bench.session.send_request(Pdu(v.QUERY_SM), "query", 0.0)
    damaged = encode_header(v.QUERY_SM_RESP, sequence, 0x67, 2) + b"id"
    answer = Pdu(v.QUERY_SM_RESP, sequence, 0x67)
    assert bench.hear_octets(damaged) == [Answered("query", answer, 0.0)]
    assert bench.session.tally.malformed == 1


def test_data_sm_is_answered_like_a_submission() -> None:
    bench = Bench()
    sequence = bench.session.send_request(Pdu(v.DATA_SM), "data", 0.0)
    answer = Pdu(v.DATA_SM_RESP, sequence, 0, {"message_id": "id"})
    assert bench.hear(answer) == [Responded("data", 0, "id", 0.0)]


def test_a_deliver_sm_to_a_customer_is_answered_like_a_submission() -> None:
    bench = Bench(Role.SMSC)
    sequence = bench.session.send_deliver(encode_short_message(RECEIPT), "receipt", 0.0)
    assert bench.sent() == [build_frame(v.DELIVER_SM, 0, sequence, encode_short_message(RECEIPT))]
    events = bench.hear(Pdu(v.DELIVER_SM_RESP, sequence, 0x64, {"message_id": ""}))
    assert events == [Responded("receipt", 0x64, "", 0.0)]


# ── messages and receipts from the peer ──────────────────────────────────────────────────────


def test_a_receipt_waits_for_its_acknowledgement() -> None:
    bench = Bench()
    assert bench.hear_octets(encode_deliver_sm(7, RECEIPT)) == [Delivered(7, RECEIPT)]
    assert bench.sent() == []
    assert bench.session.owed == 1
    bench.session.send_deliver_resp(7)
    assert bench.sent() == [build_frame(v.DELIVER_SM_RESP, 0, 7, b"\0")]
    bench.session.send_deliver_resp(7)
    assert bench.sent() == []


def test_a_receipt_by_data_sm_is_acknowledged_as_such() -> None:
    bench = Bench()
    tlvs = ((v.TAG_MESSAGE_PAYLOAD, b"text"),)
    (event,) = bench.hear(Pdu(v.DATA_SM, 8, 0, {"esm_class": 4}, tlvs))
    assert event == Delivered(8, DeliverSm(esm_class=4, tlvs=dict(tlvs)))
    bench.session.send_deliver_resp(8, v.ESME_RX_T_APPN)
    assert bench.sent() == [build_frame(v.DATA_SM_RESP, v.ESME_RX_T_APPN, 8, b"")]


def test_a_number_that_is_used_twice_is_reported_and_answered_twice() -> None:
    bench = Bench()
    other = DeliverSm(short_message=b"another")
    octets = encode_deliver_sm(7, RECEIPT) + encode_deliver_sm(7, other)
    assert bench.hear_octets(octets) == [Delivered(7, RECEIPT), Delivered(7, other)]
    assert bench.session.tally.repeated == 1
    for _ in range(3):
        bench.session.send_deliver_resp(7)
    assert bench.sent() == [build_frame(v.DELIVER_SM_RESP, 0, 7, b"\0")] * 2


def test_two_requests_with_one_number_get_their_own_answers_in_any_order() -> None:
    bench = Bench(Role.SMSC)
    bench.hear(Pdu(v.SUBMIT_SM, 7), Pdu(v.QUERY_SM, 7, 0, {"message_id": "1"}))
    bench.session.send_response(Pdu(v.QUERY_SM_RESP, 7, v.ESME_RQUERYFAIL))
    bench.session.send_submit_resp(7, 0, "id")
    assert bench.sent() == [
        build_frame(v.QUERY_SM_RESP, v.ESME_RQUERYFAIL, 7, b""),
        build_frame(v.SUBMIT_SM_RESP, 0, 7, b"id\0"),
    ]


@pytest.mark.parametrize(
    ("role", "command_id", "status"),
    [
        (Role.ESME, v.DELIVER_SM, v.ESME_RX_T_APPN),
        (Role.SMSC, v.SUBMIT_SM, v.ESME_RMSGQFUL),
        (Role.SMSC, v.DATA_SM, v.ESME_RMSGQFUL),
        (Role.SMSC, v.QUERY_SM, v.ESME_RMSGQFUL),
    ],
)
def test_what_is_too_much_to_owe_is_sent_away_for_later(
    role: Role, command_id: int, status: int
) -> None:
    bench = Bench(role, owed_max=1)
    assert len(bench.hear(Pdu(command_id, 1), Pdu(command_id, 2))) == 1
    assert bench.sent() == [build_frame(command_id | v.RESPONSE, status, 2, b"")]
    assert bench.session.tally.overflowed == 1
    assert bench.session.owed == 1


def test_a_malformed_receipt_is_refused_and_the_next_one_taken() -> None:
    bench = Bench()
    damaged = encode_header(v.DELIVER_SM, 7, 0, 3) + b"\0\1\1"
    events = bench.hear_octets(damaged + encode_deliver_sm(8, RECEIPT))
    assert events == [Delivered(8, RECEIPT)]
    assert bench.sent() == [build_frame(v.DELIVER_SM_RESP, v.ESME_RINVCMDLEN, 7, b"")]
    assert bench.session.tally.malformed == 1
    assert bench.session.owed == 1


def test_a_malformed_bind_is_refused_and_the_session_stays_open() -> None:
    bench = Bench(Role.SMSC, State.OPEN)
    assert bench.hear_octets(encode_header(v.BIND_RECEIVER, 7, 0, 2) + b"us") == []
    assert bench.sent() == [build_frame(v.BIND_RECEIVER_RESP, v.ESME_RINVCMDLEN, 7, b"")]
    assert bench.session.state is State.OPEN


def test_a_customer_s_submission_is_answered_with_its_id() -> None:
    bench = Bench(Role.SMSC)
    submit = SubmitSm(destination_addr="447700900123", short_message=b"hi")
    assert bench.hear_octets(encode_submit_sm(7, submit)) == [SubmitReceived(7, submit)]
    bench.session.send_submit_resp(7, 0, "id", {0x1401: b"x"})
    assert bench.session.data_to_send() == encode_submit_sm_resp(7, 0, "id", {0x1401: b"x"})


@pytest.mark.parametrize("status", [0, v.ESME_RTHROTTLED])
def test_a_customer_s_data_sm_is_answered_as_such(status: int) -> None:
    bench = Bench(Role.SMSC)
    assert bench.hear(Pdu(v.DATA_SM, 7)) == [SubmitReceived(7, SubmitSm())]
    bench.session.send_submit_resp(7, status, "id")
    body = b"" if status else b"id\0"
    assert bench.sent() == [build_frame(v.DATA_SM_RESP, status, 7, body)]
    assert bench.session.owed == 0


def test_a_customer_s_other_request_is_answered_by_its_own_response() -> None:
    bench = Bench(Role.SMSC)
    query = Pdu(v.QUERY_SM, 7, fields={"message_id": "id"})
    (event,) = bench.hear(query)
    assert isinstance(event, RequestReceived)
    assert event.pdu.text("message_id") == "id"
    answer = Pdu(v.QUERY_SM_RESP, 7, 0x67)
    bench.session.send_response(answer)
    bench.session.send_response(answer)
    assert bench.sent() == [build_frame(v.QUERY_SM_RESP, 0x67, 7, b"")]


def test_another_response_than_its_own_does_not_answer_a_request() -> None:
    bench = Bench(Role.SMSC)
    bench.hear(Pdu(v.QUERY_SM, 7))
    with pytest.raises(IllegalSend):
        bench.session.send_response(Pdu(v.CANCEL_SM_RESP, 7))
    assert bench.sent() == []


def test_an_alert_needs_no_answer() -> None:
    bench = Bench()
    (event,) = bench.hear(Pdu(v.ALERT_NOTIFICATION, 7, fields={"source_addr": "4477"}))
    assert isinstance(event, AlertReceived)
    assert event.pdu.text("source_addr") == "4477"
    assert bench.session.owed == 0


# ── time ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", [State.OPEN, State.BINDING])
def test_a_session_that_is_not_bound_in_time_ends(role: Role, state: State) -> None:
    bench = Bench(role, state)
    assert bench.session.next_timer() == 10.0
    assert bench.pass_time(9.9) == []
    assert closed(bench.pass_time(0.1)).reason is Reason.SESSION_INIT_EXPIRED
    assert bench.sent() == []


def test_a_quiet_link_is_asked_and_its_answer_settles_it() -> None:
    bench = Bench()
    assert bench.session.next_timer() == 30.0
    assert bench.pass_time(30.0) == []
    (enquiry,) = bench.sent()
    assert enquiry.command_id == v.ENQUIRE_LINK
    assert bench.pass_time(0.0) == []
    assert bench.sent() == []
    assert bench.hear(Pdu(v.ENQUIRE_LINK_RESP, enquiry.sequence)) == []
    assert bench.session.tally.unmatched == 0
    assert bench.session.next_timer() == 60.0


def test_a_peer_that_does_not_know_the_question_is_alive_as_well() -> None:
    bench = Bench()
    bench.pass_time(30.0)
    (enquiry,) = bench.sent()
    assert bench.hear(Pdu(v.GENERIC_NACK, enquiry.sequence, v.ESME_RINVCMDID)) == []
    assert (bench.session.tally.unmatched, bench.session.tally.nacks) == (0, 1)
    assert bench.pass_time(29.9) == []
    assert bench.session.state is State.BOUND_TRX


def test_traffic_puts_the_question_off() -> None:
    bench = Bench()
    bench.now = 20.0
    bench.hear(Pdu(v.ENQUIRE_LINK, 1))
    assert bench.sent() == [build_frame(v.ENQUIRE_LINK_RESP, 0, 1, b"")]
    assert bench.session.next_timer() == 50.0


def test_half_a_pdu_does_not_count_as_traffic() -> None:
    bench = Bench()
    bench.now = 20.0
    bench.hear_octets(encode_header(v.ENQUIRE_LINK, 1)[:7])
    assert bench.session.next_timer() == 30.0


def test_anything_heard_answers_the_question() -> None:
    bench = Bench()
    bench.pass_time(30.0)
    bench.now = 40.0
    bench.hear_octets(encode_deliver_sm(1, RECEIPT))
    assert bench.pass_time(29.9) == []
    assert bench.session.state is State.BOUND_TRX


def test_a_link_that_does_not_answer_ends_and_hands_back_what_was_in_flight() -> None:
    bench = Bench()
    bench.pass_time(30.0)
    bench.submit("a")
    bench.sent()
    assert closed(bench.pass_time(60.0)) == SessionClosed(Reason.PEER_SILENT, ("a",))
    assert [frame.command_id for frame in bench.sent()] == [v.UNBIND]


def test_a_link_without_enquire_link_ends_by_inactivity() -> None:
    timings = Timings(enquire_link_s=0.0, inactivity_s=300.0)
    session = Session(Role.SMSC, 0.0, window_size=1, timings=timings)
    session.receive_data(encode(Pdu(v.BIND_RECEIVER, 1)), 1.0)
    session.accept_bind(1, "us")
    assert session.next_timer() == 301.0
    assert closed(session.handle_timer(301.0)).reason is Reason.INACTIVE


def test_an_overdue_submission_stops_others_and_ends_the_session_after_a_grace() -> None:
    bench = Bench()
    bench.submit("late")
    bench.now = 59.0
    bench.hear(Pdu(v.ENQUIRE_LINK, 1))
    bench.submit("fresh")
    assert bench.session.next_timer() == 60.0
    assert bench.pass_time(1.0) == [ResponseOverdue("late", 60.0)]
    assert bench.session.tally.overdue == 1
    assert (bench.session.can_submit, bench.session.room) == (False, 0)
    with pytest.raises(IllegalSend):
        bench.submit("another")
    assert bench.session.next_timer() == 65.0
    assert bench.pass_time(4.9) == []
    assert closed(bench.pass_time(0.2)) == SessionClosed(Reason.RESPONSE_OVERDUE, ("late", "fresh"))


def test_a_customer_that_does_not_answer_keeps_its_bind() -> None:
    bench = Bench(Role.SMSC)
    body = encode_short_message(RECEIPT)
    late = bench.session.send_deliver(body, "late", bench.now)
    bench.now = 59.0
    bench.hear(Pdu(v.SUBMIT_SM, 1))
    bench.session.send_deliver(body, "fresh", bench.now)
    assert bench.pass_time(1.0) == [ResponseOverdue("late", 60.0)]
    assert (bench.session.state, bench.session.room) == (State.BOUND_TRX, 9)
    assert bench.hear(Pdu(v.DELIVER_SM_RESP, late)) == []
    assert bench.session.tally.unmatched == 1
    assert bench.session.close(Reason.ABANDONED) == [SessionClosed(Reason.ABANDONED, ("fresh",))]


def test_answers_within_the_grace_are_taken_and_not_handed_back() -> None:
    bench = Bench()
    late = bench.submit("late")
    bench.submit("never answered")
    bench.pass_time(60.0)
    bench.now += 4.0
    events = bench.hear_octets(encode_submit_sm_resp(late, 0, "id"))
    assert events == [Responded("late", 0, "id", 64.0)]
    assert closed(bench.pass_time(1.0)).in_flight == ("never answered",)


def test_a_session_whose_overdue_answers_all_came_goes_on() -> None:
    bench = Bench()
    late = bench.submit("late")
    bench.now = 50.0
    fresh = bench.submit("fresh")
    bench.pass_time(10.0)
    bench.now += 3.0
    bench.hear_octets(encode_submit_sm_resp(late, 0, "id"))
    assert bench.session.room == 9
    assert bench.session.next_timer() == 63.0 + 30.0
    bench.hear_octets(encode_submit_sm_resp(fresh, 0, "id"))
    assert bench.session.room == 10


def test_a_nack_within_the_grace_lets_the_session_go_on_as_well() -> None:
    bench = Bench()
    late = bench.submit("late")
    bench.pass_time(60.0)
    bench.hear(Pdu(v.GENERIC_NACK, late, 0x08))
    assert bench.session.room == 10


def test_a_response_after_the_end_is_not_reported() -> None:
    bench = Bench()
    late = bench.submit("late")
    bench.pass_time(60.0)
    closed(bench.pass_time(5.0))
    assert bench.hear_octets(encode_submit_sm_resp(late, 0, "id")) == []


def test_a_timer_that_fires_early_does_nothing() -> None:
    bench = Bench()
    assert bench.pass_time(29.999) == []
    assert bench.sent() == []


# ── the end ──────────────────────────────────────────────────────────────────────────────────


def test_an_unbind_is_answered_and_everything_in_flight_comes_back_in_order() -> None:
    bench = Bench()
    for name in "abc":
        bench.submit(name)
    bench.sent()
    events = bench.hear(Pdu(v.UNBIND, 7))
    assert bench.sent() == [build_frame(v.UNBIND_RESP, 0, 7, b"")]
    assert events[0] == PeerUnbound()
    assert closed(events) == SessionClosed(Reason.PEER_UNBOUND, ("a", "b", "c"))


@pytest.mark.parametrize("command_id", [v.UNBIND_RESP, v.GENERIC_NACK])
def test_our_unbind_takes_answers_until_its_own(command_id: int) -> None:
    bench = Bench()
    first, _ = bench.submit("a"), bench.submit("b")
    bench.sent()
    bench.session.send_unbind(0.0)
    (unbind,) = bench.sent()
    assert bench.session.room == 0
    assert len(bench.hear_octets(encode_submit_sm_resp(first, 0, "id"))) == 1
    assert len(bench.hear_octets(encode_deliver_sm(9, RECEIPT))) == 1
    bench.session.send_deliver_resp(9)
    assert [frame.command_id for frame in bench.sent()] == [v.DELIVER_SM_RESP]
    events = bench.hear(Pdu(command_id, unbind.sequence, 0x08 if command_id else 0))
    assert closed(events) == SessionClosed(Reason.UNBOUND, ("b",))


def test_unbinds_that_cross_end_the_session_once() -> None:
    bench = Bench(state=State.UNBINDING)
    assert closed(bench.hear(Pdu(v.UNBIND, 7))).reason is Reason.PEER_UNBOUND
    assert bench.sent() == [build_frame(v.UNBIND_RESP, 0, 7, b"")]


def test_an_unbind_without_an_answer_ends_by_its_own_timer() -> None:
    bench = Bench(state=State.UNBINDING)
    assert bench.session.next_timer() == 7.0
    assert closed(bench.pass_time(7.0)).reason is Reason.UNBIND_UNANSWERED


def test_what_follows_an_unbind_in_the_same_read_is_not_read() -> None:
    bench = Bench()
    octets = encode(Pdu(v.UNBIND, 7)) + encode_deliver_sm(8, RECEIPT)
    closed(bench.hear_octets(octets))
    assert [frame.command_id for frame in bench.sent()] == [v.UNBIND_RESP]


def test_a_lost_connection_hands_back_everything_once() -> None:
    bench = Bench()
    bench.submit("a")
    assert bench.session.receive_eof(0.0) == [SessionClosed(Reason.CONNECTION_LOST, ("a",))]
    assert bench.session.receive_eof(0.0) == []
    assert bench.session.in_flight == 0


def test_an_owner_may_let_go_and_say_why() -> None:
    bench = Bench()
    events = bench.session.close(Reason.ABANDONED, "deadline")
    assert events == [SessionClosed(Reason.ABANDONED, (), "deadline")]


def test_acknowledging_after_the_end_says_nothing() -> None:
    bench = Bench()
    bench.hear_octets(encode_deliver_sm(7, RECEIPT))
    bench.session.receive_eof(0.0)
    bench.session.send_deliver_resp(7)
    assert bench.sent() == []


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(16), b"\xff" * 99])
def test_garbage_gets_a_nack_and_ends_the_session_behind_what_was_whole(garbage: bytes) -> None:
    bench = Bench()
    bench.submit("a")
    bench.sent()
    events = bench.hear_octets(encode_deliver_sm(7, RECEIPT) + garbage)
    assert events[0] == Delivered(7, RECEIPT)
    ending = closed(events)
    assert (ending.reason, ending.in_flight) == (Reason.GARBAGE, ("a",))
    (nack,) = bench.sent()
    assert (nack.command_id, nack.status) == (v.GENERIC_NACK, v.ESME_RINVCMDLEN)


# ── anything at all ──────────────────────────────────────────────────────────────────────────

pdus_or_octets = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda command_id, status, sequence, body: (
            encode_header(command_id, sequence, status, len(body)) + body
        ),
        st.sampled_from(sorted(PDUS)) | st.integers(0, 0xFFFFFFFF),
        st.sampled_from([0, 0x58, 0x412]),
        st.integers(0, 12) | st.just(PEER_SEQUENCE),
        st.binary(max_size=40) | st.just(BODY) | st.just(b"\0"),
    ),
)


@relaxed
@given(
    st.sampled_from(Role),
    st.sampled_from(ALIVE),
    st.lists(pdus_or_octets, max_size=12),
    st.data(),
)
def test_whatever_the_peer_sends_every_submission_comes_back_exactly_once(
    role: Role, state: State, chunks: list[bytes], data: st.DataObject
) -> None:
    bench = Bench(role, state)
    submitted: list[int] = []
    came_back: list[object] = []
    endings = 0
    events: list[Event] = []
    for number, chunk in enumerate(chunks):
        if bench.session.room:
            if role is Role.ESME:
                bench.session.send_submit(BODY, number, bench.now)
            else:
                bench.session.send_deliver(BODY, number, bench.now)
            submitted.append(number)
        events += bench.hear_octets(chunk)
        events += bench.pass_time(data.draw(st.sampled_from([0.0, 5.0, 31.0, 61.0])))
        Framer().receive(bench.session.data_to_send())
    events += bench.session.receive_eof(bench.now)
    for event in events:
        if isinstance(event, Responded | Answered):
            came_back.append(event.context)
        elif isinstance(event, ResponseOverdue) and role is Role.SMSC:
            came_back.append(event.context)
        elif isinstance(event, SessionClosed):
            came_back.extend(event.in_flight)
            endings += 1
    assert sorted(map(repr, came_back)) == sorted(map(repr, submitted))
    assert endings == 1
    assert bench.session.state is State.CLOSED


@pytest.mark.parametrize("size", [1, 3, 7, 16])
def test_a_session_by_bytes_tells_the_same_as_a_session_by_pdus(size: int) -> None:
    octets = b"".join(
        [
            encode_deliver_sm(7, RECEIPT),
            encode(Pdu(v.ENQUIRE_LINK, 8)),
            encode_submit_sm_resp(2, 0, "id"),
            encode(Pdu(0x00010200, 9)),
            encode(Pdu(v.UNBIND, 10)),
        ]
    )
    whole, split = Bench(), Bench()
    whole.submit("a")
    split.submit("a")
    expected = whole.hear_octets(octets)
    told: list[Event] = []
    for at in range(0, len(octets), size):
        told += split.hear_octets(octets[at : at + size])
    assert told == expected
    assert split.session.data_to_send() == whole.session.data_to_send()
