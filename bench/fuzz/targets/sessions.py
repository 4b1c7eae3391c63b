"""Whole sessions: a peer that sends anything, an owner that calls anything, time that runs.

`rig.py` holds one session and checks after every step what must hold for each; here are the
rows of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench.fuzz.source import Source
from bench.fuzz.target import Target
from bench.fuzz.targets.pair import check_pair
from bench.fuzz.targets.rig import Rig
from bench.fuzz.wellformed import COMMANDS, STATUSES, make_body, make_pdu
from gateway.smpp import vocabulary as v
from gateway.smpp.events import BindRequested, Delivered, RequestReceived, SubmitReceived
from gateway.smpp.pdu import encode_header
from gateway.smpp.shapes import Pdu
from gateway.smpp.states import BIND_STEPS, Role
from gateway.smpp.timers import Timings

_TIMINGS: Final = (
    Timings(
        session_init_s=5, enquire_link_s=4, response_s=3, late_grace_s=1, inactivity_s=9, unbind_s=2
    ),
    Timings(
        session_init_s=5, enquire_link_s=0, response_s=6, late_grace_s=0, inactivity_s=4, unbind_s=2
    ),
    Timings(
        session_init_s=1, enquire_link_s=2, response_s=1, late_grace_s=9, inactivity_s=0, unbind_s=9
    ),
)
_BINDS: Final = tuple(BIND_STEPS)


def check_carrier(case: bytes) -> None:
    """Whatever a carrier sends our session, and whatever its owner asks of it meanwhile: only
    documented errors; what goes out is well-formed, legal and answers each request at most once;
    every submission comes back exactly once; the session ends once, and always in time."""
    _check_session(case, Role.ESME)


def check_customer(case: bytes) -> None:
    """Whatever a customer sends our session, and whatever its owner asks of it meanwhile: as for a
    carrier, and what waits for our answer stays within its bound."""
    _check_session(case, Role.SMSC)


def _check_session(case: bytes, role: Role) -> None:
    source = Source(case)
    rig = Rig(
        role,
        timings=source.pick(_TIMINGS),
        window_size=source.number() % 4 + 1,
        owed_max=source.number() % 4 + 1,
    )
    if source.flag():
        _bind(rig, source)
    while source.left and not rig.session.closed:
        source.pick(_STEPS)(rig, source)
    _say_more(rig, source)
    rig.run_out()


def _bind(rig: Rig, source: Source) -> None:
    """Come to where most of the life of a session is."""
    command_id = source.pick(_BINDS)
    if rig.session.role is Role.ESME:
        rig.call(lambda: rig.session.send_bind(command_id, system_id="me", password=""))
        sequence = next(iter(rig.asked), 0)
        rig.feed(encode_header(command_id | v.RESPONSE, sequence))
    else:
        rig.feed(make_pdu(Source(b""), command_id, 1))
        rig.call(lambda: rig.session.accept_bind(1, "gateway"))


def _say_more(rig: Rig, source: Source) -> None:
    """Go on after the end: nothing may come of it."""
    if rig.session.closed:
        for _ in range(min(len(rig.waiting), 8)):
            _answer(rig, source)
        rig.feed(encode_header(v.ENQUIRE_LINK, 1))
        rig.call(lambda: rig.session.send_submit(b"", object(), rig.now))


# ── what the peer does ───────────────────────────────────────────────────────────────────────


def _feed_noise(rig: Rig, source: Source) -> None:
    rig.feed(source.some(40))


def _feed_pdu(rig: Rig, source: Source) -> None:
    rig.feed(make_pdu(source, source.pick(COMMANDS), source.number() % 8))


def _feed_several(rig: Rig, source: Source) -> None:
    """PDUs that share a read, with numbers in a row."""
    command_id = source.pick(COMMANDS)
    first = source.number() % 8
    pdus = [make_pdu(source, command_id, first + i) for i in range(source.number() % 6)]
    last = make_pdu(source, source.pick(COMMANDS), first + len(pdus))
    rig.feed(b"".join(pdus) + last)


def _feed_torn_pdu(rig: Rig, source: Source) -> None:
    """A PDU in two reads, with time between them; or half a PDU for ever."""
    octets = make_pdu(source, source.pick(COMMANDS), source.number() % 8)
    cut = source.number() % (len(octets) + 1)
    rig.feed(octets[:cut])
    rig.wait(source.number() % 3)
    if source.flag():
        rig.feed(octets[cut:])


def _feed_damaged_pdu(rig: Rig, source: Source) -> None:
    """A PDU whose end is known and whose body is not what it should be."""
    command_id = source.pick(COMMANDS)
    body = make_body(source, command_id)[: source.number()] + source.some(4)
    rig.feed(encode_header(command_id, source.number() % 8, 0, len(body)) + body)


def _feed_answer(rig: Rig, source: Source) -> None:
    """An answer to something that was asked: of its own kind, a nack, or of another."""
    if rig.asked:
        sequence = source.pick(list(rig.asked))
        own = rig.asked[sequence] | v.RESPONSE
        command_id = source.pick((own, own, own, v.GENERIC_NACK, v.DELIVER_SM_RESP))
        body = make_body(source, command_id)
        rig.feed(encode_header(command_id, sequence, source.pick(STATUSES), len(body)) + body)


def _feed_end(rig: Rig, source: Source) -> None:
    if source.number() % 8 == 0:
        rig.take(rig.session.receive_eof(rig.now))


# ── what the owner does ──────────────────────────────────────────────────────────────────────


def _ask(rig: Rig, source: Source) -> None:
    session, context = rig.session, object()
    body = make_body(source, v.SUBMIT_SM)
    match source.number() % 6:
        case 0:
            password = source.pick(("", "secret", "p" * 70))
            rig.call(
                lambda: session.send_bind(source.pick(_BINDS), system_id="me", password=password)
            )
        case 1 | 2:
            rig.send(lambda: session.send_submit(body, context, rig.now), context)
        case 3:
            rig.send(lambda: session.send_deliver(body, context, rig.now), context)
        case 4:
            pdu = Pdu(source.pick(COMMANDS), 0, 0, {"message_id": source.pick(("1", "x" * 70))})
            rig.send(lambda: session.send_request(pdu, context, rig.now), context)
        case _:
            rig.call(lambda: session.send_unbind(rig.now))


def _answer(rig: Rig, source: Source) -> None:
    """Answer something that waits, or something that does not."""
    session = rig.session
    status = source.pick(STATUSES)
    message_id = source.pick(("", "42", "x" * 70))
    if not rig.waiting:
        sequence = source.number() % 8
        rig.call(lambda: session.send_deliver_resp(sequence, status))
        rig.call(lambda: session.send_submit_resp(sequence, status, message_id))
        return
    event = source.pick(rig.waiting)
    if source.number() % 4:
        rig.waiting.remove(event)  # else it is answered twice, or another time
    match event:
        case BindRequested(sequence=sequence) if status:
            rig.call(lambda: session.refuse_bind(sequence, status))
        case BindRequested(sequence=sequence):
            rig.call(lambda: session.accept_bind(sequence, "gateway"))
        case SubmitReceived(sequence=sequence):
            rig.call(lambda: session.send_submit_resp(sequence, status, message_id))
        case Delivered(sequence=sequence):
            rig.call(lambda: session.send_deliver_resp(sequence, status))
        case RequestReceived(pdu=pdu):
            command_id = source.pick((pdu.command_id | v.RESPONSE, v.SUBMIT_SM_RESP))
            fields = {} if status else {"message_id": message_id}
            if command_id in (v.CANCEL_SM_RESP, v.REPLACE_SM_RESP):
                fields = {}
            answer = Pdu(command_id, pdu.sequence, status, fields)
            rig.call(lambda: session.send_response(answer))


def _wait(rig: Rig, source: Source) -> None:
    rig.wait(source.number() / 32)


_Step = Callable[[Rig, Source], None]
_STEPS: Final[tuple[_Step, ...]] = (
    _feed_noise,
    _feed_pdu,
    _feed_several,
    _feed_torn_pdu,
    _feed_damaged_pdu,
    _feed_answer,
    _feed_answer,
    _feed_end,
    _ask,
    _ask,
    _answer,
    _answer,
    _wait,
)

_SEEDS: Final = (
    b"\0\3\3\1\2" + bytes((8, 1)) * 6 + bytes((5, 0, 0, 0)) * 4,
    b"\0\3\3\1\2" + bytes((1, 13, 1, 0)) * 4 + bytes((10, 0, 0)) * 4 + bytes((12, 200)) * 3,
    b"\0\1\1\0",
)

TARGETS = (
    Target("carrier", check_carrier, (), _SEEDS),
    Target("customer", check_customer, (), _SEEDS),
    Target("pair", check_pair, (), (b"\2\3" + bytes(range(64)), b"\1\1" + bytes(64))),
)
