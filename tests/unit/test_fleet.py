"""What becomes of messages while carriers are added, drained, changed and taken out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from gateway.carrier_state import FAILOVER_AFTER_S, CarrierState, Policy
from gateway.dispatch import STALE_MAX, Dispatcher
from gateway.fleet import Fleet
from gateway.jobs import Submission, new_job
from gateway.lifecycle import EventKind
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event
from gateway.retry import RetryLimits
from gateway.routing.health import USABLE, Gone
from gateway.text.segment import Cut
from gateway.throttle.adaptive import AdaptiveRate

A, B, C = CarrierId(1), CarrierId(2), CarrierId(3)
OK, THROTTLED, SYSTEM_ERROR, REROUTE = 0x00, 0x58, 0x08, 0x66
VALIDITY_S = 60.0


def message(number: int = 1, *routes: CarrierId, segments: int = 1, **fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(number),
        "account_id": AccountId(1),
        "accepted_at": 1e6,
        "sender": "Shop",
        "recipient": "447400123456",
        "country": "GB",
        "text": "hi",
        "encoding": Encoding.GSM7,
        "segments": segments,
        "lane": Lane.TRANSACTIONAL,
        "price_micros": Micros(70 * segments),
        "routes": routes or (A, B),
        "expires_at": 1e6 + VALIDITY_S,
    }
    return Message(**usual | fields)


def carrier(carrier_id: CarrierId, *, hold: bool = False, window_size: int = 0) -> CarrierState:
    policy = Policy(name=f"carrier {carrier_id}", hold=hold)
    return CarrierState(carrier_id, policy, AdaptiveRate(0.0), window_size=window_size)


class Desk:
    """A dispatcher, its fleet, a clock, and what was recorded; every carrier is bound."""

    def __init__(
        self,
        *carriers: CarrierState,
        past: Iterable[CarrierId] = (),
        reroute: Callable[[Message], Sequence[CarrierId]] = lambda message: (),
    ) -> None:
        self.now, self.wall = 100.0, 1e6
        self.events: list[Event] = []
        self.committed = 0
        self.dispatcher = Dispatcher(
            carriers or (carrier(A), carrier(B)),
            self.events.append,
            limits=RetryLimits(attempts_max=3, first_s=5.0, max_s=60.0),
            held_max=10_000,
            past_carriers=past,
            reroute=reroute,
        )
        self.fleet = Fleet(self.dispatcher)
        for carrier_id in self.dispatcher.carriers:
            self.bind(carrier_id)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def bind(self, carrier_id: CarrierId, bound: bool = True) -> None:
        self.dispatcher.set_bound(carrier_id, bound, self.now, self.wall)

    def accept(self, *messages: Message) -> None:
        self.dispatcher.accept(messages, self.now, self.wall)

    def take(self, carrier_id: CarrierId, room: int = 100) -> list[Submission]:
        return self.dispatcher.take(carrier_id, room, self.now, self.wall)[0]

    def prepare(self, carrier_id: CarrierId) -> list[Submission]:
        return self.dispatcher.prepare(carrier_id, self.now, self.wall)

    def clear(self, submissions: Sequence[Submission]) -> None:
        self.dispatcher.cleared(submissions, self.now, self.wall)

    def answer(self, submission: Submission, status: int = OK) -> None:
        self.dispatcher.responded(submission, status, "x", self.now, self.wall)

    def lose(self, *submissions: Submission) -> None:
        self.dispatcher.lost(submissions, self.now, self.wall)

    def commit(self) -> None:
        committed, self.committed = self.committed, len(self.events)
        self.dispatcher.written(self.events[committed:])

    def drain(self, carrier_id: CarrierId = A) -> None:
        self.fleet.drain(carrier_id, "drained by hand", self.now, self.wall)

    def resume(self, carrier_id: CarrierId = A) -> None:
        self.fleet.resume(carrier_id, self.now)

    def retire(self, carrier_id: CarrierId = A) -> None:
        self.fleet.retire(carrier_id, self.now, self.wall)

    def remove(self, carrier_id: CarrierId = A) -> None:
        self.fleet.remove(carrier_id, self.now)

    def state(self, carrier_id: CarrierId = A) -> CarrierState:
        return self.dispatcher.carriers[carrier_id]

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


def numbers(submissions: Iterable[Submission]) -> list[int]:
    return [submission.job.message.id for submission in submissions]


# ── draining ─────────────────────────────────────────────────────────────────────────────────


def test_what_waits_for_a_drained_carrier_moves_at_once() -> None:
    desk = Desk()
    desk.accept(message(1), message(2))
    desk.drain()
    assert desk.take(A) == []
    assert numbers(desk.take(B)) == [1, 2]


def test_new_messages_pass_a_drained_carrier_by() -> None:
    desk = Desk()
    desk.drain()
    desk.accept(message(1))
    assert numbers(desk.take(B)) == [1]
    assert desk.state().availability(desk.now) == Gone("drained by hand")


def test_what_is_in_flight_stays_with_a_drained_carrier() -> None:
    desk = Desk()
    desk.accept(message(1))
    (submission,) = desk.take(A)
    desk.drain()
    assert desk.take(B) == []
    desk.answer(submission)
    assert desk.kinds == [EventKind.SUBMITTED]


def test_the_parts_of_a_text_that_has_begun_follow_the_first() -> None:
    desk = Desk()
    desk.accept(message(1, segments=3), message(2))
    (first,) = desk.take(A, room=1)
    desk.drain()
    assert [(s.job.message.id, s.index) for s in desk.take(A)] == [(1, 1), (1, 2)]
    assert numbers(desk.take(B)) == [2]
    desk.answer(first)


def test_what_only_a_drained_carrier_may_have_waits_until_it_is_resumed() -> None:
    desk = Desk()
    desk.accept(message(1, A), message(2, A))
    desk.drain()
    desk.accept(message(3, A))
    assert desk.take(A) == [] and desk.take(B) == []
    assert desk.state().waiting == desk.state().lane_waiting(Lane.TRANSACTIONAL) == 3
    desk.resume()
    assert numbers(desk.take(A)) == [1, 2, 3]
    assert desk.state().availability(desk.now) is USABLE


def test_what_waits_for_a_drained_carrier_moves_when_another_becomes_usable() -> None:
    desk = Desk()
    desk.bind(B, False)
    desk.later(FAILOVER_AFTER_S)
    desk.dispatcher.fail_over(desk.now)
    desk.drain()
    desk.accept(message(1))
    desk.dispatcher.fail_over(desk.now)
    assert desk.take(A) == []
    desk.bind(B)
    desk.dispatcher.fail_over(desk.now)
    assert numbers(desk.take(B)) == [1]


@pytest.mark.parametrize("status", [THROTTLED, SYSTEM_ERROR])
def test_what_comes_back_from_a_drained_carrier_goes_to_another(status: int) -> None:
    desk = Desk()
    desk.accept(message(1))
    (submission,) = desk.take(A)
    desk.drain()
    desk.answer(submission, status)
    desk.later(5.0)
    desk.dispatcher.tick(desk.now)
    assert desk.take(A) == []
    assert numbers(desk.take(B)) == [1]


def test_what_a_drained_carriers_lost_bind_gives_back_goes_to_another() -> None:
    desk = Desk()
    desk.accept(message(1), message(2, A))
    submissions = desk.take(A)
    desk.drain()
    desk.lose(*submissions)
    assert desk.take(A) == []
    assert numbers(desk.take(B)) == [1]
    desk.resume()
    assert numbers(desk.take(A)) == [2]


def test_a_text_that_comes_back_whole_in_parts_leaves_once() -> None:
    desk = Desk()
    desk.accept(message(1, segments=2))
    (first,) = desk.take(A, room=1)
    desk.drain()
    desk.lose(first)  # its second part stands in the queue all the while
    desk.dispatcher.fail_over(desk.now)
    left = [*desk.take(A), *desk.take(B)]
    assert sorted((s.job.message.id, s.index) for s in left) == [(1, 0), (1, 1)]
    assert len({s.carrier_id for s in left}) == 1


def test_what_was_prepared_for_a_drained_carrier_is_taken_back() -> None:
    desk = Desk(carrier(A, hold=True), carrier(B))
    desk.accept(message(1), message(2))
    cleared, late = [[each] for each in desk.prepare(A)]
    desk.clear(cleared)
    desk.drain()
    desk.clear(late)
    assert desk.take(A) == []
    assert numbers(desk.take(B)) == [1, 2]
    assert desk.state().in_flight == desk.state().prepared == 0
    # what its record of leaving said is taken back too, or a restart would hold it
    assert desk.kinds == [EventKind.LEAVING, EventKind.LEAVING, EventKind.RETRY, EventKind.RETRY]


def test_a_message_that_waits_for_a_drained_carrier_expires_in_time() -> None:
    desk = Desk()
    desk.accept(message(1, A))
    desk.drain()
    desk.later(VALIDITY_S)
    desk.dispatcher.expire(desk.wall)
    desk.resume()
    assert desk.take(A) == []
    assert desk.kinds == [EventKind.EXPIRED]


def test_what_ended_while_its_carrier_was_drained_is_not_kept_for_ever() -> None:
    desk = Desk()
    desk.drain()
    for number in range(1, STALE_MAX + 3):
        desk.accept(message(number, A))
        desk.dispatcher.cancel(MessageId(number), desk.wall)
    desk.commit()
    desk.dispatcher.expire(desk.wall)
    assert desk.state().waiting == 0


def test_draining_twice_and_resuming_twice_is_once() -> None:
    desk = Desk()
    desk.accept(message(1, A))
    desk.drain()
    desk.drain()
    desk.resume()
    desk.resume()
    assert numbers(desk.take(A)) == [1]


# ── adding ───────────────────────────────────────────────────────────────────────────────────


def test_an_added_carrier_gets_what_waited_for_it() -> None:
    desk = Desk(carrier(B), past=[A])
    desk.accept(message(1, A))
    desk.dispatcher.restore([new_job(message(2, A))], desk.now, desk.wall)
    desk.fleet.add(carrier(A), desk.now)
    desk.bind(A)
    assert numbers(desk.take(A)) == [1, 2]


def test_an_added_carrier_has_shelves_and_its_share_of_memory() -> None:
    desk = Desk(carrier(A))
    whole = desk.dispatcher.shelves[A, Lane.OTP].held_max
    desk.fleet.add(carrier(B), desk.now)
    assert {key[0] for key in desk.dispatcher.shelves} == {A, B}
    assert {shelf.held_max for shelf in desk.dispatcher.shelves.values()} == {whole // 2}


def test_an_added_carrier_takes_over_for_one_that_is_away() -> None:
    desk = Desk(carrier(A))
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.dispatcher.fail_over(desk.now)
    desk.accept(message(1, A, B))
    desk.fleet.add(carrier(B), desk.now)
    desk.bind(B)
    desk.dispatcher.fail_over(desk.now)
    assert numbers(desk.take(B)) == [1]


# ── taking out ───────────────────────────────────────────────────────────────────────────────


def test_what_waits_for_a_carrier_that_is_taken_out_goes_by_the_rest_of_its_route() -> None:
    desk = Desk()
    desk.accept(message(1), message(2))
    desk.retire()
    assert numbers(desk.take(B)) == [1, 2]
    assert desk.fleet.idle(A)
    desk.remove()
    assert set(desk.dispatcher.carriers) == {B}


def test_what_has_no_carrier_left_goes_by_the_routes_as_they_are_now() -> None:
    desk = Desk(carrier(A), carrier(C), reroute=lambda message: (C,))
    desk.accept(message(1, A))
    desk.retire()
    desk.accept(message(2, A))
    desk.remove()
    desk.accept(message(3, A, B))
    assert numbers(desk.take(C)) == [1, 2, 3]


def test_the_new_route_is_waited_for_when_its_carriers_are_away() -> None:
    desk = Desk(carrier(A), carrier(C), reroute=lambda message: (C,))
    desk.bind(C, False)
    desk.later(FAILOVER_AFTER_S)
    desk.accept(message(1, A))
    desk.retire()
    desk.remove()
    desk.bind(C)
    assert numbers(desk.take(C)) == [1]


def test_what_nobody_may_have_waits_for_a_route() -> None:
    ways: list[CarrierId] = []
    desk = Desk(carrier(A), carrier(C), reroute=lambda message: ways)
    desk.accept(message(1, A))
    desk.retire()
    desk.remove()
    assert desk.take(C) == []
    ways.append(C)
    desk.fleet.reroute(desk.now)
    assert numbers(desk.take(C)) == [1]


def test_a_refusal_on_the_new_route_is_not_tried_on_the_same_carrier_again() -> None:
    desk = Desk(carrier(A), carrier(B), carrier(C), reroute=lambda message: (B, C))
    desk.accept(message(1, A))
    desk.retire()
    desk.remove()
    (submission,) = desk.take(B)
    desk.answer(submission, REROUTE)
    (submission,) = desk.take(C)
    desk.answer(submission, REROUTE)
    assert desk.kinds == [EventKind.RETRY, EventKind.REFUSED]


def test_a_carrier_is_taken_out_only_when_everything_has_come_back() -> None:
    desk = Desk(carrier(A, window_size=10), carrier(B))
    desk.accept(message(1, segments=2))
    first, second = desk.take(A)
    desk.retire()
    desk.answer(first)
    assert not desk.fleet.quiet(A)
    desk.answer(second)
    assert not desk.fleet.quiet(A), "what it took is not committed yet"
    desk.commit()
    assert desk.fleet.quiet(A) and desk.fleet.idle(A)


def test_the_parts_of_a_begun_text_leave_before_a_carrier_is_idle() -> None:
    desk = Desk()
    desk.accept(message(1, segments=2))
    (first,) = desk.take(A, room=1)
    desk.retire()
    desk.answer(first)
    desk.commit()
    assert desk.fleet.quiet(A) and not desk.fleet.idle(A)
    (second,) = desk.take(A)
    desk.answer(second)
    desk.commit()
    assert desk.fleet.idle(A)


def test_a_text_that_left_in_part_waits_for_its_carrier_to_come_back() -> None:
    desk = Desk()
    desk.accept(message(1, segments=2))
    (first,) = desk.take(A, room=1)
    desk.retire()
    desk.answer(first)
    desk.commit()
    desk.remove()
    assert desk.take(B) == []
    desk.fleet.add(carrier(A), desk.now)
    desk.bind(A)
    assert [(s.job.message.id, s.index) for s in desk.take(A)] == [(1, 1)]


def test_a_retry_that_was_put_off_outlives_its_carrier() -> None:
    desk = Desk()
    desk.accept(message(1))
    (submission,) = desk.take(A)
    desk.answer(submission, SYSTEM_ERROR)
    desk.retire()
    desk.remove()
    desk.later(5.0)
    desk.dispatcher.tick(desk.now)
    assert numbers(desk.take(B)) == [1]


def test_a_carrier_that_is_taken_out_is_neither_drained_nor_resumed() -> None:
    desk = Desk()
    desk.retire()
    desk.drain()
    desk.resume()
    assert desk.state().gone == Gone("taken out of the settings")


# ── changing how a carrier is spoken to ──────────────────────────────────────────────────────


def test_nothing_leaves_while_a_carriers_form_changes() -> None:
    desk = Desk()
    desk.accept(message(1), message(2))
    (submission,) = desk.take(A, room=1)
    desk.fleet.pause(A)
    assert desk.take(A) == []
    desk.dispatcher.fail_over(desk.now)
    assert desk.take(B) == [], "it is as usable as before"
    desk.answer(submission)
    desk.commit()
    assert desk.fleet.quiet(A)
    desk.dispatcher.ready.clear()
    desk.fleet.change(A, Policy(name="A", whole=True))
    assert A in desk.dispatcher.ready
    assert numbers(desk.take(A)) == [2]


def test_what_was_prepared_leaves_before_a_carriers_policy_changes() -> None:
    desk = Desk(carrier(A, hold=True))
    desk.accept(message(1, A), message(2, A))
    prepared = desk.prepare(A)
    desk.fleet.pause(A)
    assert desk.prepare(A) == []
    desk.clear(prepared)
    for submission in desk.take(A):
        desk.answer(submission)
    desk.commit()
    assert desk.fleet.quiet(A)


def test_texts_are_cut_in_the_new_form_but_not_those_that_have_begun() -> None:
    desk = Desk()
    desk.accept(message(1, segments=3), message(2, segments=3))
    first, *_ = desk.take(A, room=1)
    waiting = desk.dispatcher.find(MessageId(2))
    assert waiting is not None
    first.job.cut = waiting.cut = Cut(Encoding.GSM7, (b"1", b"2", b"3"))
    desk.answer(first)
    desk.commit()
    desk.fleet.pause(A)
    desk.fleet.change(A, Policy(name="A", whole=True))
    assert first.job.cut is not None
    assert waiting.cut is None
    assert [s.indexes for s in desk.take(A)] == [(1,), (2,), (0, 1, 2)]
