"""What leaves next, through whom, and what follows: every decision on its own.

Everything together, with crashes in between, is tried in `tests/simulation`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from gateway.carrier_state import FAILOVER_AFTER_S, CarrierState, Policy
from gateway.dispatch import STALE_MAX, Dispatcher
from gateway.jobs import NOT_TAKEN, Job, Submission, new_job, rebuild_job
from gateway.journal import PART_FAILED
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event
from gateway.retry import SESSION_FAULT_PAUSE_S, RetryLimits
from gateway.shelves import Progress
from gateway.smpp.status import StatusClass
from gateway.throttle.adaptive import AdaptiveRate
from gateway.throttle.drain import WAIT_MAX_S
from gateway.throttle.pacer import LATE_S
from gateway.withdrawn import Canceled, NotHere, TooLate

A, B, C = CarrierId(1), CarrierId(2), CarrierId(3)
NOW, WALL = 100.0, 1_000_000.0
VALIDITY_S = 60.0
PRICE = 70
LIMITS = RetryLimits(attempts_max=3, first_s=5.0, max_s=600.0)

OK, THROTTLED, QUEUE_FULL, SYSTEM_ERROR, REROUTE, BAD_NUMBER, NOT_BOUND = (
    *(0x00, 0x58, 0x14, 0x08, 0x66, 0x0B, 0x04),
)
RETRY, REFUSED, SUBMITTED = EventKind.RETRY, EventKind.REFUSED, EventKind.SUBMITTED
EXPIRED, CANCELED, HELD, LEAVING = (
    *(EventKind.EXPIRED, EventKind.CANCELED, EventKind.HELD, EventKind.LEAVING),
)


def message(number: int = 1, segments: int = 1, **fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(number),
        "account_id": AccountId(1),
        "accepted_at": WALL,
        "sender": "Shop",
        "recipient": "447400123456",
        "country": "GB",
        "text": "hi",
        "encoding": Encoding.GSM7,
        "segments": segments,
        "lane": Lane.TRANSACTIONAL,
        "price_micros": Micros(PRICE * segments),
        "routes": (A,),
        "expires_at": WALL + VALIDITY_S,
    }
    return Message(**usual | fields)


class Desk:
    """A dispatcher with its clock and what it recorded; carriers are bound unless told."""

    def __init__(self, *carriers: CarrierState, bound: bool = True, **settings: Any) -> None:
        self.now, self.wall = NOW, WALL
        self.events: list[Event] = []
        self._committed = 0
        wanted: dict[str, Any] = {"limits": LIMITS, "held_max": 10_000} | settings
        self.dispatcher = Dispatcher(carriers or (carrier(),), self.events.append, **wanted)
        if bound:
            for carrier_id in self.dispatcher.carriers:
                self.bind(carrier_id)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.wall += seconds

    def bind(self, carrier_id: CarrierId, bound: bool = True) -> None:
        self.dispatcher.set_bound(carrier_id, bound, self.now, self.wall)

    def accept(self, *messages: Message) -> None:
        self.dispatcher.accept(messages, self.now, self.wall)

    def restore(self, *jobs: Job) -> None:
        self.dispatcher.restore(jobs, self.now, self.wall)

    def take(self, carrier_id: CarrierId = A, room: int = 100) -> list[Submission]:
        return self.dispatcher.take(carrier_id, room, self.now, self.wall)[0]

    def take_one(self, carrier_id: CarrierId = A) -> Submission:
        (submission,) = self.take(carrier_id, room=1)
        return submission

    def wait_until(self, carrier_id: CarrierId = A, room: int = 100) -> float | None:
        return self.dispatcher.take(carrier_id, room, self.now, self.wall)[1]

    def answer(self, submission: Submission, status: int = OK, name: str = "x") -> StatusClass:
        return self.dispatcher.responded(submission, status, name, self.now, self.wall)

    def lose(self, *submissions: Submission) -> None:
        self.dispatcher.lost(submissions, self.now, self.wall)

    def unsend(self, *submissions: Submission) -> None:
        self.dispatcher.unsend(submissions, self.now, self.wall)

    def prepare(self, carrier_id: CarrierId = A) -> list[Submission]:
        return self.dispatcher.prepare(carrier_id, self.now, self.wall)

    def clear(self, submissions: Iterable[Submission]) -> None:
        self.dispatcher.cleared(list(submissions), self.now, self.wall)

    def tick(self) -> None:
        self.dispatcher.tick(self.now)

    def fail_over(self) -> None:
        self.dispatcher.fail_over(self.now)

    def expire(self) -> None:
        self.dispatcher.expire(self.wall)

    def cancel(self, number: int = 1) -> Canceled | TooLate | NotHere:
        return self.dispatcher.cancel(MessageId(number), self.wall)

    def commit(self) -> None:
        committed, self._committed = self._committed, len(self.events)
        self.dispatcher.written(self.events[committed:])

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]

    @property
    def money(self) -> tuple[int, int]:
        return (
            sum(event.posted_micros for event in self.events),
            sum(event.voided_micros for event in self.events),
        )

    @property
    def closing(self) -> list[bool]:
        return [event.closes for event in self.events]


def carrier(
    carrier_id: CarrierId = A,
    *,
    rate_per_s: float = 0.0,
    burst: int = 1,
    window_size: int = 0,
    hold: bool = False,
    statuses: dict[int, StatusClass] | None = None,
) -> CarrierState:
    return CarrierState(
        carrier_id,
        Policy(name=f"carrier {carrier_id}", hold=hold, statuses=statuses or {}),
        AdaptiveRate(rate_per_s, burst),
        window_size=window_size,
    )


def parts(submissions: Iterable[Submission]) -> list[tuple[int, int]]:
    return [(s.job.message.id, s.index) for s in submissions]


def numbers(submissions: Iterable[Submission]) -> list[int]:
    return [s.job.message.id for s in submissions]


# ── leaving ──────────────────────────────────────────────────────────────────────────────────


def test_messages_leave_in_the_order_of_their_acceptance_part_after_part() -> None:
    desk = Desk()
    desk.accept(message(1), message(2, segments=2), message(3))
    assert parts(desk.take()) == [(1, 0), (2, 0), (2, 1), (3, 0)]
    assert desk.take() == []


def test_no_more_leave_than_there_is_room_for() -> None:
    desk = Desk()
    desk.accept(message(1, segments=2), message(2))
    assert parts(desk.take(room=0)) == []
    assert parts(desk.take(room=1)) == [(1, 0)]
    assert parts(desk.take(room=5)) == [(1, 1), (2, 0)]


def test_urgent_messages_go_first() -> None:
    desk = Desk()
    desk.accept(message(1, lane=Lane.MARKETING), message(2, lane=Lane.OTP))
    assert numbers(desk.take()) == [2, 1]


def test_the_rate_says_when_to_come_back() -> None:
    desk = Desk(carrier(rate_per_s=2.0))
    desk.accept(message(1), message(2))
    assert numbers(desk.take()) == [1]
    assert desk.wait_until() == pytest.approx(NOW + 0.5, abs=LATE_S)
    desk.later(0.5)
    assert numbers(desk.take()) == [2]


def test_with_nothing_to_send_the_rate_is_not_asked() -> None:
    desk = Desk(carrier(rate_per_s=2.0))
    assert desk.wait_until() is None
    desk.accept(message(1))
    desk.cancel(1)
    assert desk.wait_until() is None
    desk.accept(message(2))
    assert numbers(desk.take()) == [2]


def test_a_taken_segment_is_posted_and_the_last_one_closes() -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    first, second = desk.take()
    assert desk.answer(second, name="b") is StatusClass.OK
    desk.answer(first, name="a")
    assert [(e.kind, e.segment, e.carrier_id, e.carrier_message_id) for e in desk.events] == [
        (SUBMITTED, 2, A, "b"),
        (SUBMITTED, 1, A, "a"),
    ]
    assert desk.closing == [False, True]
    assert desk.money == (2 * PRICE, 0)


def test_a_message_is_remembered_until_its_end_is_committed() -> None:
    desk = Desk()
    desk.accept(message())
    desk.answer(desk.take_one())
    assert desk.dispatcher.find(MessageId(1)) is not None
    desk.commit()
    assert desk.dispatcher.find(MessageId(1)) is None
    assert len(desk.dispatcher) == 0


def test_what_is_taken_and_not_committed_keeps_its_place_in_the_window() -> None:
    desk = Desk(carrier(window_size=2))
    desk.accept(*(message(number) for number in range(1, 6)))
    submissions = desk.take()
    assert numbers(submissions) == [1, 2]
    for submission in submissions:
        desk.answer(submission)
    assert desk.take() == [], "a crash now would send both of them again"
    desk.dispatcher.ready.clear()
    desk.commit()
    assert desk.dispatcher.ready == {A}
    assert numbers(desk.take()) == [3, 4]


def test_what_was_refused_frees_its_place_at_once() -> None:
    desk = Desk(carrier(window_size=1))
    desk.accept(message(1), message(2))
    desk.answer(desk.take_one(), BAD_NUMBER)
    assert numbers(desk.take()) == [2]


def test_a_carriers_own_meanings_of_statuses_count() -> None:
    desk = Desk(carrier(statuses={0x45: StatusClass.PERMANENT}))
    desk.accept(message())
    assert desk.answer(desk.take_one(), 0x45) is StatusClass.PERMANENT
    assert desk.kinds == [REFUSED]


# ── who is told that there is something to do ────────────────────────────────────────────────


def accepting(desk: Desk) -> None:
    desk.accept(message(5))


def restoring(desk: Desk) -> None:
    desk.restore(new_job(message(5)))


def binding(desk: Desk) -> None:
    desk.bind(A)


def losing(desk: Desk) -> None:
    desk.lose(*desk.take())


def unsending(desk: Desk) -> None:
    desk.unsend(*desk.take())


def throttling(desk: Desk) -> None:
    desk.answer(desk.take_one(), THROTTLED)


def retrying(desk: Desk) -> None:
    desk.answer(desk.take_one(), SYSTEM_ERROR)
    desk.later(5.0)
    desk.tick()


@pytest.mark.parametrize(
    "change", [accepting, restoring, binding, losing, unsending, throttling, retrying]
)
def test_a_carrier_that_has_something_new_to_send_is_named(change: Any) -> None:
    desk = Desk()
    desk.accept(message(1))
    desk.dispatcher.ready.clear()
    change(desk)
    assert desk.dispatcher.ready == {A}


def test_a_carrier_is_named_when_what_was_prepared_may_leave() -> None:
    desk = Desk(carrier(hold=True))
    desk.accept(message())
    prepared = desk.prepare()
    desk.dispatcher.ready.clear()
    desk.clear(prepared)
    assert desk.dispatcher.ready == {A}


# ── throttled ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [THROTTLED, QUEUE_FULL])
def test_what_was_throttled_stays_first_in_its_order_and_costs_no_attempt(status: int) -> None:
    desk = Desk(carrier(rate_per_s=1_000.0, burst=10))
    desk.accept(*(message(number) for number in range(1, 6)))
    submissions = desk.take(room=3)
    for submission in submissions:
        assert desk.answer(submission, status) is StatusClass.THROTTLE
    assert desk.take() == []
    desk.later(2.0)
    again = desk.take()
    assert numbers(again) == [1, 2, 3, 4, 5]
    assert [s.job.attempts for s in again] == [{}] * 5
    assert desk.events == []


def test_a_throttled_carrier_pauses_and_says_until_when() -> None:
    desk = Desk(carrier(rate_per_s=100.0))
    desk.accept(message(1), message(2))
    desk.answer(desk.take_one(), THROTTLED)
    until = desk.wait_until()
    assert until is not None
    assert until >= NOW + 1.0


def test_a_throttled_part_leaves_again_before_the_parts_after_it() -> None:
    desk = Desk()
    desk.accept(message(1, segments=3), message(2))
    first, _ = desk.take(room=2)
    desk.answer(first, THROTTLED)
    desk.later(5.0)
    assert parts(desk.take(room=1)) == [(1, 0)]


def test_however_often_it_is_throttled_a_message_does_not_end_before_its_validity() -> None:
    desk = Desk(carrier(rate_per_s=1_000.0))
    desk.accept(message())
    for _ in range(10):
        desk.answer(desk.take_one(), THROTTLED)
        desk.later(2.0)
        assert desk.events == []
    desk.later(VALIDITY_S)
    assert desk.take() == []
    assert desk.kinds == [EXPIRED]


# ── retried ──────────────────────────────────────────────────────────────────────────────────


def test_a_retry_is_recorded_and_put_off_longer_each_time() -> None:
    desk = Desk()
    desk.accept(message(expires_at=WALL + 3_600))
    for wait_s in (5.0, 10.0):
        desk.answer(desk.take_one(), SYSTEM_ERROR)
        assert desk.dispatcher.next_timer() == desk.now + wait_s
        desk.later(wait_s - 0.1)
        desk.tick()
        assert desk.take() == []
        desk.later(0.2)
        desk.tick()
    assert [(e.kind, e.code, e.carrier_id) for e in desk.events] == [(RETRY, SYSTEM_ERROR, A)] * 2
    assert desk.answer(desk.take_one()) is StatusClass.OK


def test_after_so_many_attempts_it_is_given_up() -> None:
    desk = Desk()
    desk.accept(message(expires_at=WALL + 3_600))
    for _ in range(LIMITS.attempts_max):
        desk.answer(desk.take_one(), SYSTEM_ERROR)
        desk.later(60.0)
        desk.tick()
    assert desk.kinds == [RETRY, RETRY, REFUSED]
    assert desk.closing == [False, False, True]
    assert desk.money == (0, PRICE)


def test_attempts_are_counted_a_segment_so_a_long_text_has_as_many_as_a_short_one() -> None:
    desk = Desk()
    desk.accept(message(segments=5, expires_at=WALL + 3_600))
    for submission in desk.take():
        desk.answer(submission, SYSTEM_ERROR)
    assert desk.kinds == [RETRY] * 5
    assert desk.dispatcher.next_timer() == NOW + LIMITS.first_s


def test_a_retry_puts_off_the_parts_that_still_wait_as_well() -> None:
    desk = Desk()
    desk.accept(message(1, segments=3), message(2))
    first, *_ = desk.take(room=1)
    desk.answer(first, SYSTEM_ERROR)
    assert parts(desk.take()) == [(2, 0)]
    desk.later(5.0)
    desk.tick()
    assert parts(desk.take()) == [(1, 0), (1, 1), (1, 2)]


def test_of_several_waits_the_longest_counts() -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    first, second = desk.take()
    desk.answer(first, SYSTEM_ERROR)
    desk.answer(second, NOT_BOUND)
    desk.later(SESSION_FAULT_PAUSE_S)
    desk.tick()
    assert desk.take() == []
    desk.later(5.0)
    desk.tick()
    assert parts(desk.take()) == [(1, 0), (1, 1)]


def test_a_fault_of_the_session_is_no_fault_of_the_message() -> None:
    desk = Desk()
    desk.accept(message())
    assert desk.answer(desk.take_one(), NOT_BOUND) is StatusClass.SESSION_FAULT
    assert desk.dispatcher.next_timer() == NOW + SESSION_FAULT_PAUSE_S


def test_timers_of_what_ended_do_nothing() -> None:
    desk = Desk()
    desk.accept(message())
    desk.answer(desk.take_one(), SYSTEM_ERROR)
    desk.cancel()
    desk.later(5.0)
    desk.tick()
    assert desk.dispatcher.next_timer() is None
    assert desk.take() == []


# ── another carrier ──────────────────────────────────────────────────────────────────────────


def two(**settings: Any) -> Desk:
    return Desk(carrier(A), carrier(B), **settings)


def test_what_a_carrier_does_not_want_goes_to_the_next_one_at_once() -> None:
    desk = two()
    desk.accept(message(routes=(A, B)))
    desk.answer(desk.take_one(A), REROUTE)
    assert desk.take(A) == []
    (submission,) = desk.take(B)
    desk.answer(submission)
    assert [(e.kind, e.code, e.carrier_id) for e in desk.events] == [
        (RETRY, REROUTE, A),
        (SUBMITTED, None, B),
    ]


def test_when_nobody_wants_it_it_is_refused() -> None:
    desk = two()
    desk.accept(message(routes=(A, B)))
    desk.answer(desk.take_one(A), REROUTE)
    desk.answer(desk.take_one(B), REROUTE)
    assert [(e.kind, e.code, e.closes) for e in desk.events] == [
        (RETRY, REROUTE, False),
        (REFUSED, REROUTE, True),
    ]
    assert desk.money == (0, PRICE)


def test_a_carrier_that_is_configured_no_more_is_no_other() -> None:
    desk = Desk(carrier(A))
    desk.accept(message(routes=(A, B)))
    desk.answer(desk.take_one(A), REROUTE)
    assert desk.kinds == [REFUSED]


def test_with_the_next_carrier_attempts_and_pauses_begin_anew() -> None:
    desk = two()
    desk.accept(message(routes=(A, B), expires_at=WALL + 3_600))
    for _ in range(LIMITS.attempts_max):
        desk.answer(desk.take_one(A), SYSTEM_ERROR)
        desk.later(60.0)
        desk.tick()
    assert desk.take(A) == []
    desk.answer(desk.take_one(B), SYSTEM_ERROR)
    assert desk.dispatcher.next_timer() == desk.now + LIMITS.first_s


def test_a_long_text_moves_as_a_whole_once_all_of_it_has_come_back() -> None:
    desk = two()
    desk.accept(message(segments=3, routes=(A, B)))
    first, second = desk.take(A, room=2)
    desk.answer(first, REROUTE)
    assert desk.take(A) == [], "it does not go on where it is not wanted"
    assert desk.take(B) == [], "its other part may be taken yet"
    desk.answer(second, REROUTE)
    assert desk.take(A) == []
    assert parts(desk.take(B)) == [(1, 0), (1, 1), (1, 2)]
    assert desk.money == (0, 0)


def test_what_has_moved_does_not_leave_from_its_old_queue() -> None:
    desk = two()
    desk.accept(message(segments=2, routes=(A, B)))
    desk.answer(desk.take_one(A), REROUTE)
    assert desk.take(A) == []
    assert parts(desk.take(B)) == [(1, 0), (1, 1)]


@pytest.mark.parametrize("answer", [THROTTLED, SYSTEM_ERROR, NOT_BOUND, None])
def test_whatever_keeps_its_other_part_from_being_taken_lets_it_move(answer: int | None) -> None:
    desk = two()
    desk.accept(message(segments=2, routes=(A, B)))
    first, second = desk.take(A)
    desk.answer(first, REROUTE)
    if answer is None:
        desk.lose(second)
    else:
        desk.answer(second, answer)
    assert parts(desk.take(B)) == [(1, 0), (1, 1)]


def test_what_was_not_sent_after_all_lets_it_move() -> None:
    desk = two()
    desk.accept(message(segments=2, routes=(A, B)))
    first, second = desk.take(A)
    desk.answer(first, REROUTE)
    desk.unsend(second)
    assert parts(desk.take(B)) == [(1, 0), (1, 1)]


@pytest.mark.parametrize("first_answer", [OK, REROUTE])
def test_a_text_of_which_a_part_was_taken_ends_and_does_not_go_two_ways(first_answer: int) -> None:
    desk = two()
    desk.accept(message(segments=3, routes=(A, B)))
    first, second = desk.take(A, room=2)
    desk.answer(first, first_answer)
    desk.answer(second, REROUTE if first_answer == OK else OK)
    others = [REFUSED, REFUSED]
    assert desk.kinds == (
        [SUBMITTED, *others] if first_answer == OK else [RETRY, SUBMITTED, *others]
    )
    assert desk.take(A) == desk.take(B) == []
    assert desk.money == (PRICE, 2 * PRICE)
    assert desk.closing.count(True) == 1
    assert desk.closing[-1]


def test_one_that_nobody_could_ever_take_ends_at_once() -> None:
    desk = two()
    desk.accept(message(segments=2, routes=(A, B)))
    first, second = desk.take(A)
    desk.answer(first, REROUTE)
    desk.answer(second, BAD_NUMBER)
    assert [(e.kind, e.segment) for e in desk.events] == [(RETRY, 1), (REFUSED, 2), (REFUSED, 1)]
    assert desk.money == (0, 2 * PRICE)
    assert desk.take(B) == []


# ── refused ──────────────────────────────────────────────────────────────────────────────────


def test_a_part_that_is_refused_for_good_ends_what_has_not_left() -> None:
    desk = Desk()
    desk.accept(message(segments=3))
    first, _second = desk.take(room=2)
    desk.answer(first, BAD_NUMBER)
    assert [(e.segment, e.code, e.error) for e in desk.events] == [
        (1, BAD_NUMBER, None),
        (3, None, PART_FAILED),
    ]
    assert not any(desk.closing)
    assert desk.take() == []


@pytest.mark.parametrize(
    ("answer", "kind", "posted"),
    [(OK, SUBMITTED, PRICE), (THROTTLED, REFUSED, 0), (SYSTEM_ERROR, REFUSED, 0)],
)
def test_the_answer_to_what_was_in_flight_then_closes(
    answer: int, kind: EventKind, posted: int
) -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    first, second = desk.take()
    desk.answer(first, BAD_NUMBER)
    desk.answer(second, answer)
    assert desk.kinds == [REFUSED, kind]
    assert desk.closing == [False, True]
    assert desk.money == (posted, 2 * PRICE - posted)


def test_what_can_not_be_written_is_given_up_and_named() -> None:
    desk = Desk()
    desk.accept(message())
    (submission,) = desk.take()
    desk.dispatcher.unsendable(submission, "source_addr: too long", WALL)
    assert [(e.kind, e.error, e.closes) for e in desk.events] == [
        (REFUSED, "source_addr: too long", True)
    ]
    assert desk.dispatcher.carriers[A].in_flight == 0


# ── lost ─────────────────────────────────────────────────────────────────────────────────────


def test_what_a_lost_bind_left_unanswered_leaves_again_in_its_order() -> None:
    desk = Desk()
    desk.accept(*(message(number) for number in (1, 2, 3, 4)))
    desk.lose(*desk.take(room=3))
    assert [(e.kind, e.error) for e in desk.events] == [(RETRY, "bind lost")] * 3
    assert numbers(desk.take()) == [1, 2, 3, 4]


def test_a_bind_that_is_lost_counts_one_attempt_a_segment() -> None:
    desk = Desk()
    desk.accept(message(segments=4))
    for _ in range(LIMITS.attempts_max - 1):
        desk.lose(*desk.take())
        assert REFUSED not in desk.kinds
    desk.lose(*desk.take())
    assert desk.events[-1].kind is REFUSED
    assert desk.closing.count(True) == 1
    assert desk.money == (0, 4 * PRICE)


def test_with_a_carrier_of_at_most_once_what_was_lost_is_not_sent_again() -> None:
    desk = Desk(carrier(hold=True))
    desk.accept(message(segments=2))
    desk.clear(desk.prepare())
    first, second = desk.take()
    desk.answer(first)
    desk.lose(second)
    assert [(e.kind, e.segment_status, e.closes) for e in desk.events[-1:]] == [
        (HELD, Status.UNKNOWN, True)
    ]
    assert desk.money == (PRICE, PRICE)
    assert desk.take() == desk.prepare() == []


def test_what_is_lost_after_another_part_was_refused_ends() -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    first, second = desk.take()
    desk.answer(first, BAD_NUMBER)
    desk.lose(second)
    assert desk.kinds == [REFUSED, REFUSED]
    assert desk.closing == [False, True]
    assert desk.take() == []


def test_losing_nothing_is_nothing() -> None:
    desk = Desk()
    desk.lose()
    assert desk.events == []


def test_what_was_not_sent_after_all_goes_back_as_if_nothing_had_been() -> None:
    desk = Desk()
    desk.accept(message(1, segments=2), message(2))
    desk.unsend(*desk.take())
    assert desk.events == []
    assert parts(desk.take()) == [(1, 0), (1, 1), (2, 0)]
    assert desk.dispatcher.carriers[A].in_flight == 3


def test_what_was_not_sent_after_another_part_was_refused_ends() -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    first, second = desk.take()
    desk.answer(first, BAD_NUMBER)
    desk.unsend(second)
    assert [(e.kind, e.error) for e in desk.events] == [(REFUSED, None), (REFUSED, PART_FAILED)]
    assert desk.closing == [False, True]


# ── at most once ─────────────────────────────────────────────────────────────────────────────


def hold_desk(**settings: Any) -> Desk:
    return Desk(carrier(A, hold=True, **settings), carrier(B))


def test_nothing_leaves_before_its_leaving_is_committed() -> None:
    desk = hold_desk()
    desk.accept(message(1), message(2))
    assert desk.take() == []
    prepared = desk.prepare()
    assert numbers(prepared) == [1, 2]
    assert [(e.kind, e.carrier_id, e.closes) for e in desk.events] == [(LEAVING, A, False)] * 2
    assert desk.take() == desk.prepare() == []
    desk.clear(prepared)
    assert numbers(desk.take()) == [1, 2]
    assert desk.take() == []


def test_no_more_is_prepared_than_the_window_holds() -> None:
    desk = hold_desk(window_size=2)
    desk.accept(*(message(number) for number in (1, 2, 3)))
    prepared = desk.prepare()
    assert numbers(prepared) == [1, 2]
    desk.clear(prepared)
    first, second = desk.take()
    assert desk.prepare() == []
    desk.answer(first, BAD_NUMBER)
    desk.answer(second)
    assert numbers(desk.prepare()) == [3], "the second is taken and not committed"


def test_only_what_is_about_to_have_its_turn_is_prepared_so_the_urgent_overtake_the_rest() -> None:
    desk = hold_desk(rate_per_s=8.0)
    desk.accept(*(message(number, lane=Lane.MARKETING) for number in range(1, 10)))
    assert numbers(desk.prepare()) == [1, 2]
    desk.accept(message(10, lane=Lane.OTP))
    assert desk.prepare() == []
    desk.clear([])


def test_even_a_slow_carrier_has_one_prepared() -> None:
    desk = hold_desk(rate_per_s=0.01)
    desk.accept(message(1), message(2))
    assert numbers(desk.prepare()) == [1]


def test_what_is_cleared_leaves_by_the_rate() -> None:
    desk = hold_desk(rate_per_s=10.0)
    desk.accept(message(1), message(2))
    desk.clear(desk.prepare())
    assert numbers(desk.take()) == [1]
    assert desk.wait_until() == pytest.approx(NOW + 0.1, abs=LATE_S)
    desk.later(0.1)
    assert numbers(desk.take()) == [2]


def test_nothing_is_prepared_for_a_carrier_without_a_bind() -> None:
    desk = hold_desk()
    desk.bind(A, False)
    desk.accept(message())
    assert desk.prepare() == []


@pytest.mark.parametrize("cleared", [True, False])
def test_what_did_not_leave_before_the_last_bind_was_lost_goes_back(cleared: bool) -> None:
    desk = hold_desk()
    desk.accept(message(1), message(2))
    prepared = desk.prepare()
    if cleared:
        desk.clear(prepared)
    desk.bind(A, False)
    if not cleared:
        desk.clear(prepared)
    assert [(e.kind, e.error) for e in desk.events[2:]] == [(RETRY, NOT_TAKEN)] * 2
    state = desk.dispatcher.carriers[A]
    assert (state.prepared, state.in_flight, len(state.cleared)) == (0, 0, 0)
    desk.bind(A)
    assert numbers(desk.prepare()) == [1, 2]


def test_what_was_throttled_says_that_it_has_not_left() -> None:
    desk = hold_desk()
    desk.accept(message())
    desk.clear(desk.prepare())
    desk.answer(desk.take_one(), THROTTLED)
    assert [(e.kind, e.code, e.error) for e in desk.events] == [
        (LEAVING, None, None),
        (RETRY, THROTTLED, NOT_TAKEN),
    ]
    assert rebuild_job(message(), desk.events).doubtful == []


def test_what_expires_while_its_record_is_written_does_not_leave() -> None:
    desk = hold_desk()
    desk.accept(message())
    prepared = desk.prepare()
    desk.later(VALIDITY_S)
    desk.clear(prepared)
    assert desk.take() == []
    desk.expire()
    assert desk.kinds == [LEAVING, RETRY, EXPIRED]
    assert desk.closing[-1]


def test_what_is_refused_while_its_record_is_written_does_not_leave() -> None:
    desk = hold_desk()
    desk.accept(message(segments=2, routes=(A, B)))
    prepared = desk.prepare()
    desk.clear(prepared)
    (first,) = desk.take(room=1)
    desk.answer(first, REROUTE)
    assert desk.take(A) == []
    assert parts(desk.take(B)) == [(1, 0), (1, 1)]


def test_what_is_given_up_while_its_record_is_written_ends_there() -> None:
    desk = hold_desk()
    desk.accept(message(segments=2))
    desk.clear(desk.prepare())
    (first,) = desk.take(room=1)
    desk.answer(first, BAD_NUMBER)
    assert desk.take() == []
    assert desk.closing.count(True) == 1
    assert desk.money == (0, 2 * PRICE)


def test_after_a_restart_what_was_about_to_leave_is_unknown_and_the_rest_goes_on() -> None:
    desk = hold_desk()
    job = rebuild_job(message(segments=2), [left(1)])
    desk.restore(job)
    assert [(e.kind, e.segment, e.error, e.closes) for e in desk.events] == [
        (HELD, 1, "restart", False)
    ]
    assert parts(desk.prepare()) == [(1, 1)]


def test_after_a_restart_a_message_that_was_all_about_to_leave_ends() -> None:
    desk = hold_desk()
    desk.restore(rebuild_job(message(), [left(1)]))
    assert desk.closing == [True]
    assert desk.money == (0, PRICE)


def left(segment: int) -> Event:
    accepted = Status.ACCEPTED
    return Event(MessageId(1), AccountId(1), WALL, LEAVING, segment, accepted, accepted, False, A)


# ── validity ─────────────────────────────────────────────────────────────────────────────────


def test_what_is_too_late_at_its_turn_expires() -> None:
    desk = Desk()
    desk.accept(message(1, segments=2), message(2, expires_at=WALL + 999))
    desk.later(VALIDITY_S)
    assert numbers(desk.take()) == [2]
    assert [(e.kind, e.error) for e in desk.events] == [(EXPIRED, "validity ended")] * 2
    assert desk.closing == [False, True]
    assert desk.money == (0, 2 * PRICE)


def waiting_in_its_queue(desk: Desk) -> None:
    desk.accept(message())


def waiting_for_a_retry(desk: Desk) -> None:
    desk.accept(message())
    desk.answer(desk.take_one(), SYSTEM_ERROR)


def waiting_after_a_throttle(desk: Desk) -> None:
    desk.accept(message())
    desk.answer(desk.take_one(), THROTTLED)


def waiting_for_its_hour(desk: Desk) -> None:
    desk.accept(message(send_at=WALL + 999.0))


def waiting_for_its_carrier(desk: Desk) -> None:
    desk.accept(message(routes=(C,)))


@pytest.mark.parametrize(
    "waits",
    [
        waiting_in_its_queue,
        waiting_for_a_retry,
        waiting_after_a_throttle,
        waiting_for_its_hour,
        waiting_for_its_carrier,
    ],
)
def test_it_expires_wherever_it_waits(waits: Any) -> None:
    desk = Desk()
    waits(desk)
    desk.expire()
    assert EXPIRED not in desk.kinds
    desk.later(VALIDITY_S)
    desk.expire()
    desk.expire()
    assert desk.events[-1].kind is EXPIRED
    assert desk.closing.count(True) == 1
    assert desk.take() == []
    assert desk.cancel() == TooLate()


def test_of_a_text_in_flight_the_rest_expires_at_its_turn_and_the_answer_closes() -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    (first,) = desk.take(room=1)
    desk.later(VALIDITY_S)
    desk.expire()
    assert desk.events == []
    assert desk.take() == []
    desk.answer(first)
    assert desk.kinds == [EXPIRED, SUBMITTED]
    assert desk.closing == [False, True]
    assert desk.money == (PRICE, PRICE)


# ── canceling ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "waits",
    [
        waiting_in_its_queue,
        waiting_for_a_retry,
        waiting_after_a_throttle,
        waiting_for_its_hour,
        waiting_for_its_carrier,
    ],
)
def test_a_message_of_which_nothing_left_is_withdrawn_wherever_it_waits(waits: Any) -> None:
    desk = Desk()
    waits(desk)
    assert desk.cancel() == Canceled()
    assert (desk.events[-1].kind, desk.closing[-1]) == (CANCELED, True)
    assert desk.money == (0, PRICE)
    desk.later(10.0)
    desk.tick()
    assert desk.take() == []
    assert desk.cancel() == TooLate()


def test_what_is_in_flight_or_taken_is_too_late_to_be_withdrawn() -> None:
    desk = Desk()
    desk.accept(message(segments=2))
    (first,) = desk.take(room=1)
    assert desk.cancel() == TooLate()
    desk.answer(first)
    assert desk.cancel() == TooLate()
    assert CANCELED not in desk.kinds


def test_a_message_that_memory_does_not_know_is_not_here() -> None:
    assert Desk().cancel(17) == NotHere()


def read(desk: Desk, job: Job) -> Canceled | TooLate:
    """Cancel a message that a read of the store has just brought."""
    return desk.dispatcher.cancel_read(job, desk.wall)


def test_one_that_was_read_from_the_store_is_withdrawn_and_counted_until_that_is_committed() -> (
    None
):
    desk = Desk()
    shelf = desk.dispatcher.shelves[A, Lane.TRANSACTIONAL]
    desk.dispatcher.begin_refill()
    assert read(desk, new_job(message())) == Canceled()
    desk.dispatcher.end_refill()
    assert (shelf.held, shelf.cursor, desk.kinds) == (1, 0, [CANCELED])
    desk.commit()
    assert (shelf.held, len(desk.dispatcher)) == (0, 0)


@pytest.mark.parametrize(
    "kinds", [[SUBMITTED], [REFUSED], [CANCELED], [LEAVING], [HELD], [RETRY, SUBMITTED]]
)
def test_one_that_left_or_ended_by_what_the_store_knows_is_too_late(kinds: list[EventKind]) -> None:
    other = Desk(carrier(hold=LEAVING in kinds or HELD in kinds))
    other.accept(message())
    happened = {
        SUBMITTED: Status.SUBMITTED,
        REFUSED: Status.REJECTED,
        CANCELED: Status.CANCELED,
        HELD: Status.UNKNOWN,
    }
    events = [
        Event(MessageId(1), AccountId(1), WALL, kind, 1, status, status, False, A)
        for kind in kinds
        for status in [happened.get(kind, Status.ACCEPTED)]
    ]
    desk = Desk()
    desk.dispatcher.begin_refill()
    assert read(desk, rebuild_job(message(), events)) == TooLate()
    assert (desk.events, len(desk.dispatcher)) == ([], 0)


def test_one_that_came_into_memory_while_it_was_read_is_judged_by_memory() -> None:
    desk = Desk()
    desk.dispatcher.begin_refill()
    stale = new_job(message())
    desk.accept(message())
    (submission,) = desk.take()
    assert read(desk, stale) == TooLate()
    desk.answer(submission)
    desk.commit()
    assert read(desk, stale) == TooLate()
    desk.dispatcher.end_refill()
    assert desk.kinds == [SUBMITTED]


def test_a_page_does_not_bring_back_what_was_withdrawn_meanwhile() -> None:
    desk = Desk()
    desk.dispatcher.begin_refill()  # the page
    desk.dispatcher.begin_refill()  # the cancel's own read
    assert read(desk, new_job(message())) == Canceled()
    desk.dispatcher.end_refill()
    desk.commit()
    desk.restore(new_job(message()))
    desk.dispatcher.end_refill()
    assert desk.take() == []


# ── failing over ─────────────────────────────────────────────────────────────────────────────


def test_messages_wait_for_a_lost_carrier_before_they_look_for_another() -> None:
    desk = two()
    desk.accept(message(1, routes=(A, B)), message(2, routes=(A, B)))
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S - 0.1)
    desk.fail_over()
    assert desk.take(B) == []
    desk.later(0.2)
    desk.fail_over()
    assert numbers(desk.take(B)) == [1, 2]


def test_new_messages_choose_among_those_that_are_there() -> None:
    desk = two()
    desk.bind(A, False)
    desk.accept(message(1, routes=(A, B)))
    desk.later(FAILOVER_AFTER_S)
    desk.accept(message(2, routes=(A, B)))
    assert numbers(desk.take(B)) == [2]


def test_what_has_begun_to_leave_is_never_moved() -> None:
    desk = two()
    desk.accept(message(1, segments=2, routes=(A, B)), message(2, routes=(A, B)))
    (first,) = desk.take(A, room=1)
    desk.answer(first)
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    assert numbers(desk.take(B)) == [2]
    desk.bind(A)
    assert parts(desk.take(A)) == [(1, 1)]


def test_what_is_in_flight_stays_where_it_is() -> None:
    desk = two()
    desk.accept(message(1, segments=2, routes=(A, B)))
    (first,) = desk.take(A, room=1)
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    assert desk.take(B) == []
    desk.answer(first)
    assert desk.kinds == [SUBMITTED]


def test_what_came_back_from_a_lost_bind_is_moved_as_well() -> None:
    desk = two()
    desk.accept(message(1, routes=(A, B)), message(2, routes=(A, B)))
    desk.lose(*desk.take(A, room=1))
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    assert numbers(desk.take(B)) == [1, 2]


def test_what_comes_back_after_the_others_have_moved_follows_them() -> None:
    desk = two()
    desk.accept(message(1, routes=(A, B)))
    (submission,) = desk.take(A)
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    desk.lose(submission)
    desk.fail_over()
    assert numbers(desk.take(B)) == [1]


def test_messages_that_found_nobody_move_when_somebody_comes() -> None:
    desk = two()
    desk.bind(A, False)
    desk.bind(B, False)
    desk.later(FAILOVER_AFTER_S)
    desk.accept(message(routes=(A, B)))
    desk.fail_over()
    desk.bind(B)
    desk.fail_over()
    assert numbers(desk.take(B)) == [1]


def test_messages_that_came_while_their_other_carrier_was_away_too_move_when_it_is_back() -> None:
    desk = two()
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    desk.bind(B, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    desk.accept(message(routes=(A, B)))
    desk.bind(B)
    desk.fail_over()
    assert numbers(desk.take(B)) == [1]


def test_a_carrier_that_is_lost_again_loses_its_messages_again() -> None:
    desk = two()
    for number in (1, 2):
        desk.bind(A)
        desk.fail_over()
        desk.accept(message(number, routes=(A, B)))
        desk.bind(A, False)
        desk.later(FAILOVER_AFTER_S)
        desk.fail_over()
        assert numbers(desk.take(B)) == [number]


def test_without_another_carrier_messages_keep_their_place() -> None:
    desk = two()
    desk.accept(*(message(number, routes=(A,)) for number in (1, 2, 3)))
    desk.bind(A, False)
    desk.later(FAILOVER_AFTER_S)
    desk.fail_over()
    desk.bind(A)
    assert numbers(desk.take(A)) == [1, 2, 3]


def test_at_the_start_every_carrier_has_its_time_to_bind() -> None:
    desk = two(bound=False)
    desk.accept(message(1, routes=(A, B)))
    desk.bind(B)
    desk.fail_over()
    desk.later(FAILOVER_AFTER_S - 0.1)
    desk.fail_over()
    assert desk.take(B) == []
    desk.later(0.1)
    desk.fail_over()
    assert numbers(desk.take(B)) == [1]


def test_a_carrier_that_fails_everything_is_left_alone_for_a_while() -> None:
    desk = two()
    desk.accept(*(message(number, routes=(A, B)) for number in range(1, 31)))
    for submission in desk.take(A, room=25):
        desk.answer(submission, SYSTEM_ERROR)
    desk.fail_over()
    assert numbers(desk.take(B)) == [26, 27, 28, 29, 30]


def test_a_lost_bind_is_one_failure_however_much_was_in_flight() -> None:
    desk = two()
    desk.accept(*(message(number, routes=(A, B)) for number in range(1, 31)))
    desk.lose(*desk.take(A))
    desk.fail_over()
    assert desk.take(B) == []


def test_what_comes_back_from_a_carrier_that_is_avoided_takes_the_other_way() -> None:
    desk = two()
    desk.accept(*(message(number, routes=(A, B)) for number in range(1, 27)), message(27))
    submissions = desk.take(A)
    for submission in submissions[:20]:
        desk.answer(submission, SYSTEM_ERROR)
    desk.lose(*submissions[20:])
    assert numbers(desk.take(B)) == [21, 22, 23, 24, 25, 26]
    assert numbers(desk.take(A)) == [27], "which has no other way"


# ── carriers that are configured no more ─────────────────────────────────────────────────────


def test_messages_of_a_former_carrier_go_by_what_is_left_of_their_route() -> None:
    desk = Desk(carrier(B), past_carriers=[A])
    desk.restore(new_job(message(1, routes=(A, B))))
    desk.accept(message(2, routes=(C, B)))
    assert numbers(desk.take(B)) == [1, 2]


def test_they_do_so_also_while_the_next_carrier_is_away() -> None:
    desk = Desk(carrier(B), past_carriers=[A])
    desk.bind(B, False)
    desk.later(FAILOVER_AFTER_S)
    desk.restore(new_job(message(1, routes=(A, B))))
    desk.bind(B)
    assert numbers(desk.take(B)) == [1]


def test_without_any_carrier_left_they_wait_for_their_end() -> None:
    desk = Desk(carrier(B), past_carriers=[A])
    desk.restore(new_job(message(routes=(A,))))
    desk.fail_over()
    assert desk.take(B) == []
    desk.later(VALIDITY_S)
    desk.expire()
    assert desk.kinds == [EXPIRED]


def test_a_text_that_left_in_part_waits_for_its_former_carrier() -> None:
    desk = Desk(carrier(B), past_carriers=[A])
    sent = Event(
        MessageId(1),
        AccountId(1),
        WALL,
        SUBMITTED,
        1,
        Status.SUBMITTED,
        Status.SENDING,
        False,
        A,
        "x",
        posted_micros=PRICE,
    )
    desk.restore(rebuild_job(message(segments=2, routes=(A, B)), [sent]))
    assert desk.take(B) == []


# ── scheduled ────────────────────────────────────────────────────────────────────────────────


def test_a_scheduled_message_leaves_at_its_hour_and_counts_on_no_shelf() -> None:
    desk = Desk()
    desk.accept(message(send_at=WALL + 30.0, expires_at=WALL + 90))
    assert desk.dispatcher.next_timer() == NOW + 30.0
    assert [shelf.held for shelf in desk.dispatcher.shelves.values()] == [0, 0, 0]
    desk.later(29.0)
    desk.tick()
    assert desk.take() == []
    desk.later(1.0)
    desk.tick()
    assert numbers(desk.take()) == [1]


def test_one_whose_hour_is_past_leaves_at_once() -> None:
    desk = Desk()
    desk.accept(message(send_at=WALL - 1.0))
    assert numbers(desk.take()) == [1]


def test_a_retry_of_a_scheduled_message_waits_for_nothing_but_its_pause() -> None:
    desk = Desk()
    desk.accept(message(send_at=WALL))
    desk.answer(desk.take_one(), SYSTEM_ERROR)
    desk.later(5.0)
    desk.tick()
    assert numbers(desk.take()) == [1]


# ── memory and store ─────────────────────────────────────────────────────────────────────────


def test_what_does_not_fit_waits_in_the_store_and_is_read_when_half_is_free() -> None:
    desk = Desk()
    shelf = desk.dispatcher.shelves[A, Lane.TRANSACTIONAL]
    shelf.held_max = 2
    messages = [message(number) for number in range(1, 5)]
    desk.accept(*messages)
    assert (len(desk.dispatcher), desk.dispatcher.shelves.wanting()) == (2, [])
    for submission in desk.take():
        desk.answer(submission)
    desk.commit()
    assert desk.dispatcher.shelves.wanting() == [shelf]
    (wanted,) = shelf.wanted(10)
    shelf.begin_refill(wanted.at_most)
    desk.dispatcher.begin_refill()
    assert desk.dispatcher.shelves.wanting() == []
    desk.restore(*(new_job(m) for m in messages if m.id > wanted.after_id))
    shelf.end_refill({wanted.account_id: Progress(4, complete=True)})
    desk.dispatcher.end_refill()
    assert numbers(desk.take()) == [3, 4]
    assert shelf.stored == 0


def test_a_full_queue_says_when_it_has_room_by_how_fast_it_empties() -> None:
    desk = Desk(carrier())
    desk.dispatcher.carriers[A].queue_max = 10
    offered = message(99)
    desk.accept(*(message(number) for number in range(9)))
    assert desk.dispatcher.queue_wait_s(offered) == 0.0
    desk.accept(*(message(number) for number in range(10, 31)))
    assert desk.dispatcher.queue_wait_s(offered) == WAIT_MAX_S, "nothing is known yet"
    for submission in desk.take(room=12):
        desk.answer(submission)
    desk.commit()
    desk.dispatcher.shelves.note_drain(6.0)
    # 18 wait and 9 may: what is one too many is gone in five seconds at two a second
    assert desk.dispatcher.queue_wait_s(offered) == pytest.approx(9 / 2)
    assert desk.dispatcher.queue_wait_s(message(99, lane=Lane.OTP)) == 0.0
    assert desk.dispatcher.queue_wait_s(message(99, send_at=WALL + 9.0)) == 0.0
    assert desk.dispatcher.queue_wait_s(message(99, routes=(B,))) == 0.0


def test_what_waits_in_the_store_fills_the_queue_as_well() -> None:
    desk = Desk(carrier())
    desk.dispatcher.carriers[A].queue_max = 10
    desk.dispatcher.shelves[A, Lane.TRANSACTIONAL].held_max = 4
    desk.accept(*(message(number) for number in range(12)))
    assert desk.dispatcher.queue_wait_s(message(99)) > 0.0


def test_a_full_lane_keeps_no_other_lane_out() -> None:
    desk = Desk()
    desk.dispatcher.shelves[A, Lane.TRANSACTIONAL].held_max = 1
    desk.accept(message(1), message(2), message(3, lane=Lane.OTP))
    assert numbers(desk.take()) == [3, 1]


@pytest.mark.parametrize("send_at", [None, WALL])
@pytest.mark.parametrize("ended", [False, True])
def test_a_message_that_a_read_brought_before_its_announcement_is_not_sent_twice(
    send_at: float | None, ended: bool
) -> None:
    desk = Desk()
    desk.dispatcher.announced(0)
    desk.dispatcher.begin_refill()
    desk.restore(new_job(message(send_at=send_at)))
    desk.dispatcher.end_refill()
    if ended:
        desk.answer(desk.take_one())
        desk.commit()
    desk.accept(message(send_at=send_at))
    assert numbers(desk.take()) == ([] if ended else [1])
    assert sum(shelf.held for shelf in desk.dispatcher.shelves.values()) == (
        0 if ended or send_at else 1
    )


def test_a_message_that_ended_while_a_page_was_read_is_not_brought_back() -> None:
    desk = Desk()
    desk.accept(message())
    desk.dispatcher.announced(1)
    desk.dispatcher.begin_refill()
    stale = new_job(message())
    desk.answer(desk.take_one())
    desk.commit()
    desk.restore(stale)
    desk.dispatcher.end_refill()
    assert (desk.take(), len(desk.dispatcher)) == ([], 0)


def test_a_message_that_is_here_already_is_not_taken_again_from_the_store() -> None:
    desk = Desk()
    desk.accept(message())
    desk.restore(new_job(message()))
    assert numbers(desk.take()) == [1]
    desk.restore(new_job(message()))
    assert desk.take() == []


def test_what_has_ended_is_remembered_no_longer_than_anybody_may_bring_it() -> None:
    desk = Desk()
    desk.dispatcher.begin_refill()
    for number in (1, 2):
        desk.accept(message(number))
        desk.answer(desk.take_one())
        desk.commit()
    assert desk.dispatcher._ended == {1, 2}
    desk.dispatcher.announced(1)
    assert desk.dispatcher._ended == {1, 2}, "a read is under way"
    desk.dispatcher.end_refill()
    assert desk.dispatcher._ended == {2}
    desk.dispatcher.announced(2)
    assert desk.dispatcher._ended == set()


def test_the_oldest_open_message_of_each_queue_is_where_a_start_begins() -> None:
    desk = two()
    desk.accept(
        message(5),
        message(3),
        message(4, lane=Lane.OTP),
        message(2, routes=(B,)),
        message(1, send_at=WALL + 10),
    )
    assert desk.dispatcher.open_from() == {
        (A, Lane.TRANSACTIONAL): 3,
        (A, Lane.OTP): 4,
        (B, Lane.TRANSACTIONAL): 2,
    }


def test_a_carrier_that_stays_away_does_not_hoard_what_has_expired() -> None:
    desk = Desk(bound=False, held_max=100_000)
    number = 0
    for _ in range(10):
        for _ in range(STALE_MAX):
            number += 1
            desk.accept(message(number, expires_at=desk.wall + 1))
        desk.later(1.0)
        desk.expire()
        desk.commit()
    assert len(desk.dispatcher) == 0
    assert len(desk.dispatcher.carriers[A].queue) <= 3 * STALE_MAX
    desk.accept(message(number + 1, expires_at=desk.wall + 60))
    desk.bind(A)
    assert numbers(desk.take()) == [number + 1]


# ── restarts ─────────────────────────────────────────────────────────────────────────────────


def event(kind: EventKind, segment: int, after: Status, carrier_id: CarrierId = A) -> Event:
    return Event(MessageId(1), AccountId(1), WALL, kind, segment, after, after, False, carrier_id)


def test_the_rest_of_a_text_leaves_through_the_carrier_of_its_first_part() -> None:
    desk = two()
    sent = event(SUBMITTED, 1, Status.SUBMITTED, B)
    desk.restore(rebuild_job(message(segments=2, routes=(A, B)), [sent]))
    assert desk.take(A) == []
    assert parts(desk.take(B)) == [(1, 1)]


def test_the_rest_of_a_text_that_was_given_up_is_not_sent() -> None:
    desk = Desk()
    refused = event(REFUSED, 1, Status.REJECTED)
    desk.restore(rebuild_job(message(segments=3), [refused]))
    assert [(e.kind, e.segment, e.error) for e in desk.events] == [
        (REFUSED, 2, PART_FAILED),
        (REFUSED, 3, PART_FAILED),
    ]
    assert desk.closing == [False, True]
    assert desk.take() == []


def test_receipts_that_came_before_the_rest_was_read_are_in_the_jobs_states() -> None:
    states = [Status.DELIVERED, Status.ACCEPTED]
    desk = Desk(states_of={MessageId(1): states}.get)
    sent = event(SUBMITTED, 1, Status.SUBMITTED)
    desk.restore(rebuild_job(message(segments=2), [sent]))
    (second,) = desk.take()
    desk.answer(second)
    assert states == [Status.DELIVERED, Status.SUBMITTED]
    assert second.job.states is states


# ── replacing ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [SUBMITTED, REFUSED, CANCELED, HELD, LEAVING, RETRY])
def test_a_message_that_is_read_too_late_to_be_replaced_leaves_nothing_behind(
    kind: EventKind,
) -> None:
    after = {SUBMITTED: Status.SUBMITTED, REFUSED: Status.REJECTED, CANCELED: Status.CANCELED}
    status = after.get(kind, Status.UNKNOWN if kind is HELD else Status.ACCEPTED)
    desk = Desk()
    desk.dispatcher.begin_refill()
    job = rebuild_job(message(), [event(kind, 1, status)])
    assert desk.dispatcher.hold_read(job) == TooLate()
    desk.dispatcher.end_refill()
    assert len(desk.dispatcher) == 0
    assert {shelf.held for shelf in desk.dispatcher.shelves.values()} == {0}


def test_a_held_message_neither_leaves_nor_ends_until_it_is_released() -> None:
    desk = Desk()
    desk.accept(message())
    assert desk.dispatcher.hold(MessageId(1)) == message()
    assert desk.take() == []
    assert desk.cancel() == TooLate()
    desk.later(VALIDITY_S)
    desk.expire()
    assert desk.events == []
    new = message(segments=2, expires_at=desk.wall + 1)
    desk.dispatcher.release(new, desk.now, desk.wall)
    assert parts(desk.take()) == [(1, 0), (1, 1)]
    assert desk.dispatcher.shelves[A, Lane.TRANSACTIONAL].held == 1
