"""What becomes of messages while their carriers come to a node and go to others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from gateway.carrier_state import FAILOVER_AFTER_S, CarrierState, Policy
from gateway.dispatch import Dispatcher
from gateway.jobs import Submission, new_job
from gateway.lifecycle import EventKind
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event, Move
from gateway.ownership import Ownership
from gateway.retry import RetryLimits
from gateway.routing.health import USABLE, Away
from gateway.throttle.adaptive import AdaptiveRate

A, B, C = CarrierId(1), CarrierId(2), CarrierId(3)
OK, REROUTE = 0x00, 0x66


def message(number: int, *routes: CarrierId, **fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(number),
        "account_id": AccountId(1),
        "accepted_at": 1e6,
        "sender": "Shop",
        "recipient": "447400123456",
        "country": "GB",
        "text": "hi",
        "encoding": Encoding.GSM7,
        "segments": 1,
        "lane": Lane.TRANSACTIONAL,
        "price_micros": Micros(70),
        "routes": routes or (A, B),
        "expires_at": 1e6 + 3600,
    }
    return Message(**usual | fields)


class Node:
    """A dispatcher with carriers A, B and C, all bound, of which it has some."""

    def __init__(self, *has: CarrierId) -> None:
        self.now, self.wall = 100.0, 1e6
        self.events: list[Event] = []
        self.moves: list[Move] = []
        self.dispatcher = Dispatcher(
            [
                CarrierState(each, Policy(name=f"carrier {each}"), AdaptiveRate(0.0))
                for each in (A, B, C)
            ],
            self.events.append,
            limits=RetryLimits(attempts_max=3, first_s=5.0, max_s=60.0),
            held_max=10_000,
            move=self.moves.append,
        )
        self.ownership = Ownership(self.dispatcher)
        for carrier_id in (A, B, C):
            self.ownership.disown(carrier_id)
        for carrier_id in has:
            self.adopt(carrier_id)

    def adopt(self, carrier_id: CarrierId) -> None:
        self.ownership.adopt(carrier_id, self.now, self.now)
        self.dispatcher.set_bound(carrier_id, True, self.now, self.wall)
        for shelf in self.dispatcher.shelves.values():
            if shelf.carrier_id == carrier_id:
                shelf.unread = False  # nothing waits in the store

    def give_away(self, carrier_id: CarrierId) -> None:
        self.dispatcher.set_bound(carrier_id, False, self.now, self.wall)
        self.ownership.give_away(carrier_id, self.now)

    def usable(self, *carriers: CarrierId) -> None:
        for carrier_id in carriers:
            self.ownership.note_elsewhere(carrier_id, USABLE)

    def accept(self, *messages: Message) -> None:
        self.dispatcher.accept(messages, self.now, self.wall)

    def read(self, *messages: Message) -> None:
        self.dispatcher.restore([new_job(each) for each in messages], self.now, self.wall)

    def arrive(self, *messages: Message, began: int | None = None) -> None:
        began = self.dispatcher.foreign.departures if began is None else began
        jobs = [new_job(each) for each in messages]
        self.ownership.arrive(jobs, began, self.now, self.wall)

    def take(self, carrier_id: CarrierId) -> list[Submission]:
        return self.dispatcher.take(carrier_id, 100, self.now, self.wall)[0]

    def taken(self, carrier_id: CarrierId) -> list[int]:
        return [each.job.message.id for each in self.take(carrier_id)]

    def answer(self, submissions: Sequence[Submission], status: int) -> None:
        for each in submissions:
            self.dispatcher.responded(each, status, "x", self.now, self.wall)

    def commit(self) -> list[Move]:
        moves, self.moves[:] = list(self.moves), []
        self.dispatcher.written(self.events)
        self.events.clear()
        self.ownership.moved(moves)
        return moves

    def held(self, carrier_id: CarrierId) -> int:
        shelves = self.dispatcher.shelves.values()
        return sum(shelf.held for shelf in shelves if shelf.carrier_id == carrier_id)


def test_what_another_node_has_is_neither_kept_nor_sent_here() -> None:
    node = Node(A)
    node.accept(message(1, B, A), message(2, A, B))
    node.read(message(3, B))
    assert node.taken(B) == []
    assert node.taken(A) == [2]
    assert len(node.dispatcher) == 1


def test_a_refused_message_goes_on_elsewhere_by_the_commit_of_its_event_and_is_forgotten() -> None:
    node = Node(A)
    node.usable(B)
    node.accept(message(1, A, B, C))
    node.answer(node.take(A), REROUTE)
    assert [event.kind for event in node.events] == [EventKind.RETRY]
    assert len(node.dispatcher) == 1, "it is not committed yet"
    assert node.commit() == [Move(AccountId(1), MessageId(1), (B, C))]
    assert len(node.dispatcher) == 0
    assert node.held(A) == 0


def test_nothing_goes_to_a_carrier_of_which_nobody_has_said_that_it_can_be_used() -> None:
    node = Node(A)
    node.accept(message(1))
    node.dispatcher.set_bound(A, False, node.now, node.wall)
    node.now += FAILOVER_AFTER_S + 1
    node.dispatcher.fail_over(node.now)
    assert node.moves == []
    node.usable(B)
    node.dispatcher.fail_over(node.now)
    assert [move.routes for move in node.commit()] == [(B, A)]


def test_it_does_not_come_back_while_the_other_carrier_is_no_worse() -> None:
    node = Node(B)
    node.ownership.note_elsewhere(A, Away(math.inf))
    node.arrive(message(1, B, A))
    node.dispatcher.set_bound(B, False, node.now, node.wall)
    node.now += FAILOVER_AFTER_S + 1
    node.dispatcher.fail_over(node.now)
    assert node.moves == []
    node.dispatcher.set_bound(B, True, node.now, node.wall)
    assert node.taken(B) == [1]


def test_a_read_from_before_a_message_went_does_not_bring_it_back() -> None:
    node = Node(A)
    node.usable(B)
    node.accept(message(1))
    node.dispatcher.begin_refill()
    began = node.dispatcher.foreign.departures
    node.answer(node.take(A), REROUTE)
    node.commit()
    node.read(message(1))
    node.arrive(message(1), began=began)
    assert len(node.dispatcher) == 0
    node.dispatcher.end_refill()


def test_a_message_that_the_other_node_has_sent_back_is_taken() -> None:
    node = Node(A)
    node.usable(B)
    node.accept(message(1))
    node.dispatcher.begin_refill()
    node.answer(node.take(A), REROUTE)
    node.commit()
    node.arrive(message(1, A))
    node.dispatcher.end_refill()
    assert node.taken(A) == [1]


@pytest.mark.parametrize("by_arrival", [True, False])
def test_a_message_is_taken_when_the_carrier_that_it_leaves_for_comes_here(
    by_arrival: bool,
) -> None:
    node = Node(A)
    node.usable(B)
    node.accept(message(1))
    node.answer(node.take(A), REROUTE)
    node.adopt(B)  # its move is in the store, and nobody here has heard so
    (node.arrive if by_arrival else node.read)(message(1, B))
    assert node.taken(B) == [1]
    node.commit()
    assert len(node.dispatcher) == 1
    assert (node.held(A), node.held(B)) == (0, 1)


def test_what_arrives_twice_or_came_by_its_commit_leaves_once() -> None:
    node = Node(A)
    node.accept(message(1))
    node.arrive(message(1), message(2))
    node.arrive(message(2))
    assert node.taken(A) == [1, 2]
    assert node.held(A) == 2


def test_a_carrier_that_is_given_away_leaves_no_message_of_its_own_behind() -> None:
    node = Node(A, B)
    node.accept(message(1), message(2), message(3, B))
    node.give_away(A)
    assert len(node.dispatcher) == 1
    assert node.taken(A) == []
    assert node.moves == []
    assert (node.held(A), node.held(B)) == (0, 1)
    node.adopt(A)
    node.read(message(1), message(2))
    assert node.taken(A) == [1, 2]


def test_a_message_with_another_carrier_stays_there_when_the_first_of_its_route_goes() -> None:
    node = Node(A, B)
    node.accept(message(1))
    node.answer(node.take(A), REROUTE)
    assert node.moves == []
    node.give_away(A)
    assert node.commit() == [Move(AccountId(1), MessageId(1), (B,))]
    assert (node.held(A), node.held(B)) == (0, 1)
    taken = node.take(B)
    assert len(taken) == 1
    node.answer(taken, OK)
    node.commit()
    assert len(node.dispatcher) == 0
    assert node.held(B) == 0


def test_a_message_that_waits_for_a_carrier_that_goes_is_chosen_for_anew() -> None:
    node = Node(A, B)
    node.accept(message(1, A, B))
    node.answer(node.take(A), REROUTE)
    node.give_away(B)
    assert [move.routes for move in node.commit()] == [(B,)]
    assert len(node.dispatcher) == 0


def test_a_carrier_with_something_in_flight_is_not_given_away() -> None:
    node = Node(A)
    node.accept(message(1))
    node.take(A)
    with pytest.raises(AssertionError, match="answered to nobody"):
        node.ownership.give_away(A, node.now)


def test_a_carrier_is_kept_while_a_message_of_it_is_being_replaced() -> None:
    node = Node(A, B)
    node.accept(message(1))
    assert not node.ownership.is_replacing(A)
    node.dispatcher.hold(MessageId(1))
    assert node.ownership.is_replacing(A)
    assert not node.ownership.is_replacing(B)
    node.dispatcher.release(message(1, text="other"), node.now, node.wall)
    assert not node.ownership.is_replacing(A)


def test_nothing_may_be_sent_to_a_carrier_before_its_last_owners_second_is_over() -> None:
    node = Node()
    node.ownership.adopt(A, 100.0, 100.75)
    assert node.dispatcher.carriers[A].begins_at == 100.75
    node.ownership.hold(A)
    assert node.dispatcher.carriers[A].begins_at == math.inf


def test_a_queue_that_is_full_at_its_node_is_full_at_every_node() -> None:
    owner, other = Node(A, B), Node(C)
    for node in (owner, other):
        for carrier in node.dispatcher.carriers.values():
            carrier.queue_max = 2
    offered = message(9, A)
    owner.accept(message(1, A))
    assert list(owner.ownership.full_queues()) == []
    assert other.dispatcher.queue_wait_s(offered) == 0.0
    owner.accept(message(2, A), message(3, B))
    full = {(carrier, lane): wait_s for carrier, lane, wait_s in owner.ownership.full_queues()}
    assert full == {(A, Lane.TRANSACTIONAL): owner.dispatcher.queue_wait_s(offered)}
    other.ownership.note_full(full)
    assert other.dispatcher.queue_wait_s(offered) == full[A, Lane.TRANSACTIONAL] > 0
    assert other.dispatcher.queue_wait_s(message(9, A, lane=Lane.OTP)) == 0.0
    assert other.dispatcher.queue_wait_s(message(9, A, send_at=1e9)) == 0.0
    assert other.dispatcher.queue_wait_s(message(9, C)) == 0.0
