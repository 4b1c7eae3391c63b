"""What a carrier sees of us in any one second, whatever happens on our side.

Rate plus burst, counted in segments, over several binds, restarts, lost binds, complaints and
changes of the contract while it runs. Clock values are given.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.carrier_state import CarrierState, Policy
from gateway.dispatch import Dispatcher
from gateway.jobs import Submission
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.retry import RetryLimits
from gateway.throttle.adaptive import AdaptiveRate
from gateway.throttle.bucket import SEND
from gateway.throttle.pacer import Pacer

A = CarrierId(1)
OK, THROTTLED, QUEUE_FULL = 0x00, 0x58, 0x14
SEGMENTS_MAX = 3

rates = st.floats(min_value=0.1, max_value=300.0)
bursts = st.integers(min_value=1, max_value=30)
pauses = st.floats(min_value=0.0, max_value=0.4)


class Contract(msgspec.Struct, frozen=True):
    rate_per_s: float
    burst: int


class Carrier:
    """What an operator sees of all our processes, one after another."""

    def __init__(self, now: float, contract: Contract) -> None:
        self.seen: list[tuple[float, int]] = []
        self._contracts = [(now, contract)]

    def agree(self, now: float, contract: Contract) -> None:
        self._contracts.append((now, contract))

    def check(self, longer: int = 0) -> None:
        """In any second no more than the most that was allowed at any time in it; `longer` than
        one are the PDUs that stand for many segments."""
        for place, (at, _) in enumerate(self.seen):
            inside = 0
            for later, count in self.seen[place:]:
                if later > at + 1.0:
                    break
                inside += count
            since = sum(agreed_at < at for agreed_at, _ in self._contracts)
            until = sum(agreed_at <= at + 1.0 for agreed_at, _ in self._contracts)
            allowed = [
                contract.rate_per_s + contract.burst
                for _, contract in self._contracts[max(0, since - 1) : until]
            ]
            assert inside <= max(max(allowed), longer) + 1e-6


class Sends(msgspec.Struct, frozen=True):
    """Time passes, and binds have room for so many."""

    pause_s: float
    rooms: tuple[int, ...] = (1_000,)


class Restarts(msgspec.Struct, frozen=True):
    pause_s: float


class Agrees(msgspec.Struct, frozen=True):
    contract: Contract


class Answers(msgspec.Struct, frozen=True):
    """The carrier answers everything that is in flight."""

    status: int


class LosesBind(msgspec.Struct, frozen=True):
    pass


Step = Sends | Restarts | Agrees | Answers | LosesBind

contracts = st.builds(Contract, rates, bursts)
sends = st.builds(Sends, pauses, st.lists(st.integers(0, 40), min_size=1, max_size=3).map(tuple))
restarts = st.builds(Restarts, st.floats(0.0, 0.2))
agrees = st.builds(Agrees, contracts)
answers = st.builds(Answers, st.sampled_from([OK, THROTTLED, QUEUE_FULL]))


@settings(deadline=None)
@given(contracts, st.lists(st.one_of(st.builds(Sends, pauses), restarts, agrees), max_size=40))
def test_a_pacer_keeps_the_rate_over_restarts_and_changes(
    contract: Contract, course: list[Step]
) -> None:
    now = 1_000.0
    carrier, pacer = Carrier(now, contract), Pacer(contract.rate_per_s, contract.burst)
    for step in course:
        match step:
            case Sends(pause_s):
                now += pause_s
            case Restarts(pause_s):
                now += pause_s
                pacer = Pacer(contract.rate_per_s, contract.burst, started_at=now)
            case Agrees(contract):
                pacer.change(contract.rate_per_s, contract.burst, now)
                carrier.agree(now, contract)
        while pacer.take(1, now) is SEND:
            carrier.seen.append((now, 1))
    carrier.check()


class Node:
    """One process: a dispatcher that has more to send than it may, and its clock."""

    def __init__(self, contract: Contract, now: float, *, whole: bool) -> None:
        self._state = CarrierState(
            A,
            Policy(name="alpha", whole=whole),
            AdaptiveRate(contract.rate_per_s, contract.burst, started_at=now),
        )
        self._dispatcher = Dispatcher(
            [self._state],
            lambda event: None,
            limits=RetryLimits(),
            held_max=10_000,
        )
        self._dispatcher.set_bound(A, True, now, now)
        self._in_flight: list[Submission] = []
        self._accepted = 0

    def send(self, rooms: Sequence[int], now: float) -> int:
        """Send what goes through binds with so much room; return how many segments."""
        sent = 0
        for room in rooms:
            self._fill(room, now)
            taken, _ = self._dispatcher.take(A, room, now, now)
            self._in_flight += taken
            sent += sum(len(submission.indexes) for submission in taken)
        return sent

    def agree(self, contract: Contract, now: float) -> None:
        self._state.rate.agree(contract.rate_per_s, contract.burst, now)

    def answer(self, status: int, now: float) -> None:
        for submission in self._in_flight:
            self._dispatcher.responded(submission, status, "x", now, now)
        self._in_flight.clear()

    def lose_bind(self, now: float) -> None:
        self._dispatcher.lost(self._in_flight, now, now)
        self._in_flight.clear()

    def _fill(self, room: int, now: float) -> None:
        while len(self._state.queue) < room:
            self._accepted += 1
            self._dispatcher.accept([_message(self._accepted)], now, now)


def _message(number: int) -> Message:
    segments = 1 + number % SEGMENTS_MAX
    return Message(
        id=MessageId(number),
        account_id=AccountId(1 + number % 2),
        accepted_at=0.0,
        sender="Shop",
        recipient="447400123456",
        country="GB",
        text="hi",
        encoding=Encoding.GSM7,
        segments=segments,
        lane=Lane(number % 3),
        price_micros=Micros(0),
        routes=(A,),
        expires_at=1e9,
    )


def _run(contract: Contract, course: list[Step], *, whole: bool) -> Carrier:
    now = 1_000.0
    carrier, node = Carrier(now, contract), Node(contract, now, whole=whole)
    for step in course:
        match step:
            case Sends(pause_s, rooms):
                now += pause_s
                sent = node.send(rooms, now)
                if sent:
                    carrier.seen.append((now, sent))
            case Restarts(pause_s):
                now += pause_s
                node = Node(contract, now, whole=whole)
            case Agrees(contract):
                node.agree(contract, now)
                carrier.agree(now, contract)
            case Answers(status):
                node.answer(status, now)
            case LosesBind():
                node.lose_bind(now)
    return carrier


courses = st.lists(
    st.one_of(sends, sends, answers, restarts, agrees, st.builds(LosesBind)), max_size=40
)


@settings(deadline=None)
@given(contracts, courses)
def test_no_second_sees_more_than_rate_plus_burst(contract: Contract, course: list[Step]) -> None:
    _run(contract, course, whole=False).check()


@settings(deadline=None)
@given(contracts, courses)
def test_nor_when_a_pdu_stands_for_many_segments(contract: Contract, course: list[Step]) -> None:
    """Unless one PDU alone is more: then it is that second's only one."""
    _run(contract, course, whole=True).check(longer=SEGMENTS_MAX)
