"""Two of our own sessions that talk to each other over a slow wire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bench.fuzz.source import Source
from bench.fuzz.wellformed import STATUSES, make_body
from gateway.smpp import vocabulary as v
from gateway.smpp.errors import LocalError
from gateway.smpp.events import (
    BindRequested,
    Delivered,
    Event,
    Reason,
    Responded,
    SessionClosed,
    SubmitReceived,
)
from gateway.smpp.protocol import Session
from gateway.smpp.states import BIND_STEPS, Role
from gateway.smpp.timers import Timings

_NEVER_S: Final = 1e9
_TIMINGS: Final = Timings(
    session_init_s=_NEVER_S,
    enquire_link_s=5.0,
    response_s=_NEVER_S,
    inactivity_s=0.0,
    unbind_s=_NEVER_S,
)
"""Enquire_links go between the messages, and no deadline ends anything."""
_POLITE: Final = {Reason.UNBOUND, Reason.PEER_UNBOUND}


class _End:
    """One session, what its owner knows, and the octets on their way to it."""

    def __init__(self, role: Role, window_size: int) -> None:
        self.session = Session(role, 0.0, window_size=window_size, timings=_TIMINGS)
        self.inbox = bytearray()
        self.sent: list[bytes] = []
        self.came: list[bytes] = []
        self.unanswered: list[tuple[int, bytes]] = []
        self.said: list[tuple[bytes, int]] = []
        """What it answered to which content."""
        self.told: list[tuple[bytes, int]] = []
        """What it was answered."""
        self.closed: SessionClosed | None = None


class _Wire:
    """Both ends. Nothing is lost on it; it only takes time."""

    def __init__(self, window_size: int) -> None:
        self.esme = _End(Role.ESME, window_size)
        self.smsc = _End(Role.SMSC, window_size)
        self.now = 0.0

    def other(self, end: _End) -> _End:
        return self.smsc if end is self.esme else self.esme

    def flush(self, end: _End) -> None:
        self.other(end).inbox += end.session.data_to_send()

    def carry(self, to: _End, size: int) -> None:
        """Let `size` octets arrive."""
        octets = bytes(to.inbox[:size])
        del to.inbox[:size]
        self.hear(to, to.session.receive_data(octets, self.now))

    def hear(self, end: _End, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case BindRequested(sequence=sequence):
                    end.session.accept_bind(sequence, "gateway")
                case (
                    SubmitReceived(sequence=sequence, pdu=pdu)
                    | Delivered(sequence=sequence, pdu=pdu)
                ):
                    end.unanswered.append((sequence, pdu.content))
                    end.came.append(pdu.content)
                case Responded(context=bytes() as content, status=status):
                    end.told.append((content, status))
                case SessionClosed():
                    assert end.closed is None
                    end.closed = event
        self.flush(end)


def check_pair(case: bytes) -> None:
    """Two sessions that only speak SMPP to each other, over a wire that cuts and delays: every
    message arrives once and in order, comes back once with what the other end said of it or with
    the end, neither end refuses or misreads anything, and an unbind of either at any time ends
    both."""
    source = Source(case)
    wire = _Wire(source.number() % 4 + 1)
    command_id = source.pick(tuple(BIND_STEPS))
    wire.esme.session.send_bind(command_id, system_id="shop", password="")
    wire.flush(wire.esme)
    while source.left:
        _step(wire, source)
    _finish(wire)
    for end in (wire.esme, wire.smsc):
        _check_end(end, wire.other(end))


def _step(wire: _Wire, source: Source) -> None:
    end = wire.smsc if source.flag() else wire.esme
    match source.number() % 7:
        case 0 | 1:
            wire.carry(end, source.number() + 1)
        case 2 | 3:
            _send(wire, end, source)
        case 4:
            _answer(wire, end, source)
        case 5 if source.number() % 4 == 0:
            _unbind(wire, end)
        case _:
            wire.now += source.number() / 64
            wire.hear(end, end.session.handle_timer(wire.now))


def _send(wire: _Wire, end: _End, source: Source) -> None:
    content = bytes((len(end.sent) & 0xFF,)) + source.some(8)
    body = _body_of(content)
    send = end.session.send_submit if end.session.role is Role.ESME else end.session.send_deliver
    try:
        send(body, content, wire.now)
    except LocalError:
        return  # not bound that way, or no room
    end.sent.append(content)
    wire.flush(end)


def _body_of(content: bytes) -> bytes:
    body = make_body(Source(b""), v.SUBMIT_SM)
    assert body.endswith(b"\0")  # an empty short_message
    return body[:-1] + bytes((len(content),)) + content


def _answer(wire: _Wire, end: _End, source: Source) -> None:
    if end.unanswered:
        _say(end, source.number() % len(end.unanswered), source.pick(STATUSES))
        wire.flush(end)


def _say(end: _End, at: int, status: int) -> None:
    sequence, content = end.unanswered.pop(at)
    end.said.append((content, status))
    if end.session.role is Role.SMSC:
        end.session.send_submit_resp(sequence, status, "" if status else "id")
    else:
        end.session.send_deliver_resp(sequence, status)


def _unbind(wire: _Wire, end: _End) -> None:
    try:
        end.session.send_unbind(wire.now)
    except LocalError:
        return  # not bound, or on its way already
    wire.flush(end)


def _finish(wire: _Wire) -> None:
    """Let everything arrive, answer what is open, and say goodbye."""
    _settle(wire)
    assert wire.esme.session.in_flight == wire.smsc.session.in_flight == 0
    _unbind(wire, wire.esme)
    _settle(wire)


def _settle(wire: _Wire) -> None:
    for end in (wire.smsc, wire.esme) * 4:
        wire.carry(end, len(end.inbox))
        while end.unanswered:
            _say(end, 0, 0)
        wire.flush(end)


def _check_end(end: _End, other: _End) -> None:
    assert end.came == other.sent
    assert end.closed is not None
    assert end.closed.reason in _POLITE
    handed_back = [content for content in end.closed.in_flight if isinstance(content, bytes)]
    assert sorted([content for content, _ in end.told] + handed_back) == sorted(end.sent)
    assert set(end.told) <= set(other.said)
    tally = end.session.tally
    # Not `unmatched`: an answer to an enquire_link that a later one has replaced counts there.
    assert (tally.malformed, tally.unknown, tally.refused, tally.nacks) == (0, 0, 0, 0)
