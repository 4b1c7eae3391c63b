"""One session between a peer and an owner, with what must hold after every step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import LocalError
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
    RequestReceived,
    Responded,
    ResponseOverdue,
    SessionClosed,
    SubmitReceived,
)
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import decode
from gateway.smpp.protocol import Session
from gateway.smpp.shapes import Frame
from gateway.smpp.specification import PDUS
from gateway.smpp.states import REQUESTS, Role
from gateway.smpp.timers import Timings
from gateway.smpp.window import SEQUENCE_MAX

PDU_BYTES_MAX: Final = 2_048
_EITHER: Final = (Responded, Answered, ResponseOverdue, PeerUnbound, SessionClosed)
_HEARD: Final[dict[Role, tuple[type[Event], ...]]] = {
    Role.ESME: (Bound, BindRefused, Delivered, AlertReceived, OutbindReceived, *_EITHER),
    Role.SMSC: (BindRequested, SubmitReceived, RequestReceived, *_EITHER),
}
_ToAnswer = BindRequested | SubmitReceived | Delivered | RequestReceived
_TIMERS_TO_THE_END: Final = 12
"""How often a session that nobody speaks to may ask for its timer before it must be over."""


class Rig:
    """A session, and the books that are kept about it."""

    def __init__(self, role: Role, *, timings: Timings, window_size: int, owed_max: int) -> None:
        self.session = Session(
            role,
            0.0,
            window_size=window_size,
            timings=timings,
            pdu_bytes_max=PDU_BYTES_MAX,
            owed_max=owed_max,
        )
        self.now = 0.0
        self.asked: dict[int, int] = {}
        """Its requests without an answer: sequence_number → command_id."""
        self.waiting: list[_ToAnswer] = []
        """The peer's requests that the owner knows of and has not answered."""
        self._window_size = window_size
        self._owed_max = owed_max
        self._fed = Framer(PDU_BYTES_MAX)
        self._said = Framer()
        self._may_answer: Counter[int] = Counter()
        """How many answers each sequence_number may still get."""
        self._in_flight: set[object] = set()
        self._over = False

    def feed(self, octets: bytes) -> None:
        """Let the peer send."""
        for frame in self._fed.receive(octets):
            if frame.command_id < v.RESPONSE:
                self._may_answer[frame.sequence] += 1
            else:
                self.asked.pop(frame.sequence, None)
        if self._fed.failure is not None:
            self._may_answer[self._fed.failure.sequence] += 1
        self.take(self.session.receive_data(octets, self.now))

    def call(self, ask: Callable[[], object]) -> bool:
        """Let the owner ask for something; return whether it was allowed."""
        try:
            ask()
        except LocalError:
            return False
        finally:
            self.take(())
        return True

    def send(self, ask: Callable[[], object], context: object) -> None:
        """Let the owner send a request whose `context` must come back exactly once."""
        try:
            ask()
        except LocalError:
            pass
        else:
            self._in_flight.add(context)
        self.take(())

    def wait(self, seconds: float) -> None:
        """Let time run, and the session do what is due."""
        self.now += seconds
        self.take(self.session.handle_timer(self.now))
        again_at = self.session.next_timer()
        assert again_at is None or again_at > self.now, "a timer that is due at once, for ever"

    def run_out(self) -> None:
        """Fall silent: by its own timers the session must end, unless it was told to wait."""
        for _ in range(_TIMERS_TO_THE_END):
            at = self.session.next_timer()
            if at is None:
                break
            self.wait(max(at - self.now, 0.0))
        if not self.session.closed:
            assert self.session.next_timer() is None, "silence does not end it"
            self.take(self.session.close())
        assert not self._in_flight, "a request that never came back"

    def take(self, events: Sequence[Event]) -> None:
        """Look at what happened, at what goes out, and at every bound."""
        session, was_over = self.session, self._over
        for event in events:
            self._take_event(event)
        said = self._said.receive(session.data_to_send())
        assert not (was_over and said), "a word after the end"
        for frame in said:
            self._check_said(frame)
        for event in events:
            if isinstance(event, _ToAnswer):
                sequence = _sequence_of(event)
                assert self._may_answer[sequence] > 0, "refused, and handed over all the same"
        assert self._said.failure is None
        assert self._said.partial_bytes == 0
        assert session.closed == self._over
        assert session.in_flight == len(self._in_flight) <= self._window_size
        assert 0 <= session.room <= self._window_size
        assert session.owed <= (0 if self._over else self._owed_max)
        assert session.pending_bytes == 0

    def _take_event(self, event: Event) -> None:
        assert not self._over, "an event after the end"
        assert isinstance(event, _HEARD[self.session.role])
        if isinstance(event, Responded | Answered):
            self._in_flight.remove(event.context)
            assert event.latency_s >= 0
        elif isinstance(event, ResponseOverdue):
            assert event.context in self._in_flight
            if self.session.role is Role.SMSC:  # a customer's delivery comes back with this
                self._in_flight.remove(event.context)
        elif isinstance(event, SessionClosed):
            self._over = True
            assert set(event.in_flight) == self._in_flight
            assert len(event.in_flight) == len(self._in_flight)
            self._in_flight.clear()
        elif isinstance(event, _ToAnswer):
            self.waiting.append(event)

    def _check_said(self, frame: Frame) -> None:
        """What goes out can be read, is legal for this side, and answers what was asked."""
        assert frame.command_id in PDUS
        decode(frame)
        if frame.command_id >= v.RESPONSE:
            self._may_answer[frame.sequence] -= 1
            assert self._may_answer[frame.sequence] >= 0, "an answer to nothing, or a second one"
        else:
            assert frame.command_id in REQUESTS
            assert frame.status == 0
            assert 1 <= frame.sequence <= SEQUENCE_MAX
            self.asked[frame.sequence] = frame.command_id


def _sequence_of(event: _ToAnswer) -> int:
    return event.pdu.sequence if isinstance(event, RequestReceived) else event.sequence
