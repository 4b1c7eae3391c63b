"""What a carrier can take, and whether it is there."""

from __future__ import annotations

import math

import pytest

from gateway.carrier_state import FAILOVER_AFTER_S, PREPARED_S, CarrierState, Policy
from gateway.jobs import Job, new_job
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.routing.health import USABLE, Away
from gateway.throttle.adaptive import AdaptiveRate

NOW = 100.0


def carrier(rate_per_s: float = 0.0, window_size: int = 10, *, bound: bool = True) -> CarrierState:
    state = CarrierState(
        CarrierId(1), Policy(name="one"), AdaptiveRate(rate_per_s), window_size=window_size
    )
    state.bound = bound
    return state


def job(number: int, account: int = 1) -> Job:
    return new_job(
        Message(
            id=MessageId(number),
            account_id=AccountId(account),
            accepted_at=0.0,
            sender="Shop",
            recipient="447400123456",
            country="GB",
            text="hi",
            encoding=Encoding.GSM7,
            segments=1,
            lane=Lane.OTP,
            price_micros=Micros(0),
            routes=(CarrierId(1),),
            expires_at=1.0,
        )
    )


def push(to: CarrierState, *jobs: Job) -> None:
    for each in jobs:
        to.queue.push(each, each.message.lane, each.message.account_id)


@pytest.mark.parametrize(
    ("window_size", "in_flight", "unwritten", "room"),
    [(10, 0, 0, 10), (10, 4, 3, 3), (10, 0, 10, 0), (0, 99, 99, math.inf)],
)
def test_what_a_crash_would_repeat_takes_room(
    window_size: int, in_flight: int, unwritten: int, room: float
) -> None:
    state = carrier(window_size=window_size)
    state.in_flight, state.unwritten = in_flight, unwritten
    assert state.room == room


@pytest.mark.parametrize(
    ("rate_per_s", "prepared", "bound", "preparable"),
    [
        (0.0, 0, True, 10),
        (0.0, 4, True, 6),
        (8.0, 0, True, 8 * PREPARED_S),
        (8.0, 2, True, 0),
        (0.01, 0, True, 1),
        (1_000.0, 0, True, 10),
        (0.0, 0, False, 0),
    ],
)
def test_no_more_is_prepared_than_has_its_turn_soon(
    rate_per_s: float, prepared: int, bound: bool, preparable: float
) -> None:
    state = carrier(rate_per_s, bound=bound)
    state.prepared = state.in_flight = prepared
    assert state.preparable == preparable


def test_a_carrier_is_away_when_it_has_been_down_for_a_while() -> None:
    state = carrier(bound=False)
    assert state.availability(NOW) == USABLE, "nobody has waited for it yet"
    state.down_since = NOW
    assert state.availability(NOW + FAILOVER_AFTER_S - 0.1) == USABLE
    gone_at = NOW + FAILOVER_AFTER_S
    assert state.availability(gone_at) == Away(gone_at + FAILOVER_AFTER_S)
    state.bound = True
    assert state.availability(gone_at) == USABLE


def test_a_carrier_whose_breaker_is_open_is_away_though_it_is_bound() -> None:
    state = carrier()
    for _ in range(20):
        state.breaker.sent(NOW)
        state.breaker.failed(NOW)
    assert isinstance(state.availability(NOW), Away)


def test_what_came_back_goes_to_the_front_in_its_order() -> None:
    state = carrier()
    jobs = [job(number) for number in range(1, 6)]
    push(state, jobs[3], jobs[4])
    state.returned = [jobs[1], jobs[0], jobs[2]]
    state.put_returned()
    assert [state.queue.pop().message.id for _ in range(5)] == [1, 2, 3, 4, 5]
    assert state.returned == []


def test_emptying_the_queue_leaves_out_what_has_ended_or_moved() -> None:
    state = carrier()
    waiting, ended, moved, returned = (job(number) for number in range(1, 5))
    ended.closed = True
    moved.move_to(CarrierId(2))
    push(state, waiting, ended, moved)
    state.returned = [returned]
    assert state.empty_queue() == [returned, waiting]
    assert len(state.queue) == 0


def test_silence_counts_from_the_last_answer_while_something_is_in_flight() -> None:
    state = carrier()
    for second in range(100):  # nothing is in flight
        state.note_silence(NOW + second)
    state.in_flight = 2
    state.note_silence(NOW + 100.0)
    state.note_silence(NOW + 113.9)  # a look before it something was: a second may be too early
    assert state.availability(NOW + 113.9) == USABLE
    state.breaker.answered(NOW + 114.0)
    state.note_silence(NOW + 114.1)
    state.note_silence(NOW + 129.0)
    assert state.availability(NOW + 129.0) == USABLE
    state.note_silence(NOW + 129.1)
    assert isinstance(state.availability(NOW + 129.1), Away)


def test_what_is_only_prepared_waits_for_no_answer() -> None:
    state = carrier()
    state.in_flight = state.prepared = 3
    for second in range(100):
        state.note_silence(NOW + second)
    assert state.availability(NOW + 100.0) == USABLE
