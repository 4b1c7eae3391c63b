"""Accounts and destinations above their ceilings wait, and nobody waits with them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.carrier_state import FAILOVER_AFTER_S, CarrierState, Policy
from gateway.ceilings import STEP_S, CarrierDestinations, Ceiling
from gateway.dispatch import HELD_AT_ONCE_MAX, Dispatcher
from gateway.jobs import Submission
from gateway.lifecycle import EventKind
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event
from gateway.retry import RetryLimits
from gateway.throttle.adaptive import AdaptiveRate
from gateway.throttle.limits import Limit
from gateway.throttle.pacer import LATE_S

A, B = CarrierId(1), CarrierId(2)
SHOP, BANK, CLUB = AccountId(1), AccountId(2), AccountId(3)
OTP, TRANSACTIONAL, MARKETING = Lane.OTP, Lane.TRANSACTIONAL, Lane.MARKETING
LONDON, DUBLIN = "447400123456", "353871234567"
START = 1_000.0
OK, THROTTLED, RETRY_LATER = 0x00, 0x58, 0x08


def message(number: int, account: AccountId = SHOP, **fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(number),
        "account_id": account,
        "accepted_at": 0.0,
        "sender": "Shop",
        "recipient": LONDON,
        "country": "GB",
        "text": "hi",
        "encoding": Encoding.GSM7,
        "segments": 1,
        "lane": MARKETING,
        "price_micros": Micros(0),
        "routes": (A,),
        "expires_at": START + 3_600.0,
    }
    return Message(**usual | fields)


def carrier(
    carrier_id: CarrierId = A,
    destinations: CarrierDestinations | None = None,
    *,
    rate_per_s: float = 0.0,
    policy: Policy | None = None,
) -> CarrierState:
    return CarrierState(
        carrier_id,
        policy or Policy(name=f"carrier {carrier_id}"),
        AdaptiveRate(rate_per_s),
        destinations=destinations,
    )


class Desk:
    """A dispatcher and its clock; everything that may leave is sent as soon as it may."""

    def __init__(self, *carriers: CarrierState) -> None:
        self.now = START
        self.events: list[Event] = []
        self.sent: list[tuple[float, CarrierId, Message]] = []
        self.dispatcher = Dispatcher(
            carriers or (carrier(),),
            self.events.append,
            limits=RetryLimits(first_s=5.0),
            held_max=100_000,
        )
        for carrier_id in self.dispatcher.carriers:
            self.dispatcher.set_bound(carrier_id, True, self.now, self.now)

    def limit(self, *accounts: AccountId, rate_per_s: float, burst: int = 1) -> None:
        ceiling = Ceiling(rate_per_s, burst)
        self.dispatcher.set_ceilings(dict.fromkeys(accounts, ceiling), self.now)

    def accept(self, *messages: Message) -> None:
        self.dispatcher.accept(messages, self.now, self.now)

    def take(self, carrier_id: CarrierId = A, room: int = 1_000) -> list[Submission]:
        taken, _ = self.dispatcher.take(carrier_id, room, self.now, self.now)
        self.sent += [
            (self.now, carrier_id, submission.job.message)
            for submission in taken
            for _ in submission.indexes
        ]
        return taken

    def pump(self, *, answer: bool = True) -> list[int]:
        """Send what carriers want sent now; return the numbers of the messages."""
        numbers: list[int] = []
        while self.dispatcher.ready:
            ready, self.dispatcher.ready = self.dispatcher.ready, set()
            for carrier_id in sorted(ready):
                for submission in self.take(carrier_id):
                    numbers.append(submission.job.message.id)
                    if answer:
                        self.answer(submission)
        return numbers

    def answer(self, submission: Submission, status: int = OK) -> None:
        self.dispatcher.responded(submission, status, "x", self.now, self.now)

    def run(self, seconds: float) -> list[int]:
        """Let time pass from timer to timer; return the numbers of what was sent."""
        until = self.now + seconds
        numbers = self.pump()
        while (at := self.dispatcher.next_timer()) is not None and at <= until:
            self.now = max(self.now, at)
            self.dispatcher.tick(self.now)
            numbers += self.pump()
        self.now = until
        return numbers

    def waiting(self, carrier_id: CarrierId = A) -> int:
        return self.dispatcher.carriers[carrier_id].waiting


def _busiest_second(times: list[float]) -> int:
    return max((sum(at <= other <= at + 1.0 for other in times) for at in times), default=0)


# ── accounts ─────────────────────────────────────────────────────────────────────────────────


def test_an_account_above_its_ceiling_waits_and_the_others_do_not() -> None:
    desk = Desk()
    desk.limit(SHOP, rate_per_s=2.0)
    desk.accept(*(message(n, SHOP) for n in range(10)))
    desk.accept(*(message(100 + n, BANK) for n in range(50)))
    sent = desk.pump()
    assert [n for n in sent if n < 100] == [0]
    assert [n for n in sent if n >= 100] == [*range(100, 150)]
    assert desk.run(2.0) == pytest.approx([1, 2, 3, 4])


def test_without_a_message_that_waits_nothing_looks_at_the_clock() -> None:
    desk = Desk()
    desk.limit(SHOP, BANK, rate_per_s=2.0)
    assert desk.dispatcher.next_timer() is None
    desk.accept(message(1, SHOP))
    assert desk.pump() == [1]
    assert desk.dispatcher.next_timer() is None
    desk.accept(message(2, SHOP), message(3, SHOP))
    assert desk.pump() == []
    assert desk.dispatcher.next_timer() == pytest.approx(START + 0.5, abs=LATE_S)
    assert desk.run(5.0) == [2, 3]
    assert desk.dispatcher.next_timer() is None


def test_what_comes_while_the_account_is_held_waits_behind_it() -> None:
    desk = Desk()
    desk.limit(SHOP, rate_per_s=1.0)
    desk.accept(message(1), message(2))
    desk.pump()
    desk.accept(message(3), message(4, lane=OTP))
    assert desk.pump() == []
    assert desk.run(10.0) == [4, 2, 3]


def test_the_burst_is_on_top_of_the_rate() -> None:
    desk = Desk()
    desk.limit(SHOP, rate_per_s=2.0, burst=10)
    desk.accept(*(message(n) for n in range(30)))
    assert desk.pump() == [*range(10)]
    desk.run(5.0)
    assert _busiest_second([at for at, _, _ in desk.sent]) <= 12


def test_parts_of_one_text_are_counted_one_by_one() -> None:
    desk = Desk()
    desk.limit(SHOP, rate_per_s=1.0)
    desk.accept(message(1, segments=3), message(2, BANK, segments=3))
    assert Counter(desk.pump()) == {1: 1, 2: 3}
    assert desk.run(10.0) == [1, 1]


def test_a_long_message_in_one_pdu_is_counted_by_its_segments() -> None:
    desk = Desk(carrier(policy=Policy(name="whole", whole=True)))
    desk.limit(SHOP, rate_per_s=1.0)
    desk.accept(message(1, segments=3), message(2))
    assert desk.pump() == [1]
    assert desk.run(2.8) == []
    assert desk.run(0.3) == [2]


def test_over_two_carriers_the_account_has_one_rate_and_both_get_their_turns() -> None:
    desk = Desk(carrier(A), carrier(B))
    desk.limit(SHOP, rate_per_s=10.0)
    for n in range(200):
        desk.accept(message(n, routes=(A if n % 2 else B,)))
    sent = desk.run(10.0)
    assert len(sent) == pytest.approx(101, abs=2)
    assert _busiest_second([at for at, _, _ in desk.sent]) <= 11
    by_carrier = Counter(carrier_id for _, carrier_id, _ in desk.sent)
    assert abs(by_carrier[A] - by_carrier[B]) <= 2


def test_over_two_carriers_the_urgent_message_is_first() -> None:
    desk = Desk(carrier(A), carrier(B))
    desk.limit(SHOP, rate_per_s=1.0)
    desk.accept(*(message(n, routes=(A,)) for n in range(5)))
    desk.pump()
    desk.accept(message(9, lane=OTP, routes=(B,)))
    assert desk.pump() == []
    assert desk.run(2.0)[0] == 9


def test_a_carrier_without_room_does_not_keep_the_account_from_another() -> None:
    desk = Desk(carrier(A, rate_per_s=0.01), carrier(B))
    desk.limit(SHOP, rate_per_s=10.0)
    desk.accept(*(message(n, routes=(A,)) for n in range(5)))
    desk.accept(*(message(100 + n, routes=(B,)) for n in range(20)))
    sent = desk.run(3.0)
    assert len([n for n in sent if n >= 100]) == 20


def test_a_ceiling_that_is_lifted_frees_at_once_what_it_held() -> None:
    desk = Desk()
    desk.limit(SHOP, rate_per_s=0.01)
    desk.accept(*(message(n) for n in range(5)))
    assert desk.pump() == [0]
    desk.limit(rate_per_s=1.0)
    assert desk.pump() == [1, 2, 3, 4]


def test_a_ceiling_that_is_raised_counts_from_then_on() -> None:
    desk = Desk()
    desk.limit(SHOP, rate_per_s=0.01)
    desk.accept(*(message(n) for n in range(30)))
    assert desk.pump() == [0]
    desk.limit(SHOP, rate_per_s=10.0)
    assert len(desk.run(1.0)) == pytest.approx(10, abs=1)


def test_at_most_once_is_counted_when_it_is_recorded_as_leaving() -> None:
    desk = Desk(carrier(policy=Policy(name="hold", hold=True)))
    desk.limit(SHOP, rate_per_s=1.0)
    desk.accept(message(1), message(2), message(3, BANK))
    prepared = desk.dispatcher.prepare(A, desk.now, desk.now)
    assert [s.job.message.id for s in prepared] == [1, 3]


def test_a_held_account_moves_with_its_carriers_queue() -> None:
    desk = Desk(carrier(A), carrier(B))
    desk.limit(SHOP, rate_per_s=1.0)
    desk.accept(*(message(n, routes=(A, B)) for n in range(4)))
    assert desk.pump() == [0]
    desk.dispatcher.set_bound(A, False, desk.now, desk.now)
    desk.now += FAILOVER_AFTER_S
    desk.dispatcher.fail_over(desk.now)
    desk.run(10.0)
    assert [(c, m.id) for _, c, m in desk.sent[1:]] == [(B, 1), (B, 2), (B, 3)]


steps = st.tuples(
    st.floats(0.0, 0.3),  # time passes
    st.lists(  # messages come
        st.tuples(st.sampled_from([SHOP, BANK]), st.sampled_from([A, B]), st.sampled_from([*Lane])),
        max_size=8,
    ),
    st.one_of(st.none(), st.tuples(st.floats(0.5, 50.0), st.integers(1, 5))),  # another ceiling
)


@settings(deadline=None)
@given(st.lists(steps, max_size=40))
def test_no_second_sees_more_of_an_account_and_nobody_is_forgotten(
    course: list[tuple[float, list[tuple[AccountId, CarrierId, Lane]], tuple[float, int] | None]],
) -> None:
    desk = Desk(carrier(A), carrier(B))
    rate, burst = 5.0, 2
    desk.limit(SHOP, rate_per_s=rate, burst=burst)
    ceilings, number = [(desk.now, rate + burst)], 0
    for pause_s, coming, other in course:
        desk.run(pause_s)
        if other is not None:
            rate, burst = other
            desk.limit(SHOP, rate_per_s=rate, burst=burst)
            ceilings.append((desk.now, rate + burst))
        for account, carrier_id, lane in coming:
            number += 1
            desk.accept(message(number, account, routes=(carrier_id,), lane=lane))
        desk.pump()
    of_shop = [at for at, _, m in desk.sent if m.account_id == SHOP]
    for at in of_shop:
        since = max((n for n, (begun, _) in enumerate(ceilings) if begun < at), default=0)
        allowed = max(most for begun, most in ceilings[since:] if begun <= at + 1.0)
        assert sum(at <= other <= at + 1.0 for other in of_shop) <= allowed + 1e-6
    desk.run(number / rate + 5.0)
    assert sorted(m.id for _, _, m in desk.sent) == [*range(1, number + 1)]
    in_order = [(m.lane, m.routes, m.id) for _, _, m in desk.sent if m.account_id == SHOP]
    for lane in Lane:
        for carrier_id in (A, B):
            ids = [i for each, routes, i in in_order if (each, routes) == (lane, (carrier_id,))]
            assert ids == sorted(ids)


# ── destinations ─────────────────────────────────────────────────────────────────────────────


def _to_ireland(rate_per_s: float = 1.0, burst: int = 1) -> CarrierDestinations:
    return CarrierDestinations({"353": Ceiling(rate_per_s, burst)}, {})


def test_what_is_too_much_for_a_destination_steps_aside() -> None:
    desk = Desk(carrier(destinations=_to_ireland()))
    desk.accept(*(message(n, recipient=DUBLIN) for n in range(4)))
    desk.accept(message(10), message(11))
    assert desk.pump() == [0, 10, 11]
    assert desk.waiting() == 3
    assert desk.run(3.0) == [1, 2, 3]
    assert desk.waiting() == 0
    assert desk.dispatcher.next_timer() is None


def test_the_urgent_one_comes_back_first_and_then_the_oldest_of_any_account() -> None:
    desk = Desk(carrier(destinations=_to_ireland()))
    desk.accept(message(1, recipient=DUBLIN))
    desk.pump()
    desk.accept(message(2, BANK, recipient=DUBLIN), message(3, SHOP, recipient=DUBLIN))
    desk.accept(message(4, CLUB, recipient=DUBLIN, lane=OTP), message(5, BANK, recipient=DUBLIN))
    assert desk.pump() == []
    assert desk.run(9.0) == [4, 2, 3, 5]


def test_who_comes_later_does_not_pass_who_waits() -> None:
    desk = Desk(carrier(destinations=_to_ireland()))
    desk.accept(*(message(n, recipient=DUBLIN) for n in range(3)))
    desk.pump()
    desk.now += 1.1  # its time has come, and its timer is late
    desk.accept(message(9, BANK, recipient=DUBLIN))
    assert desk.pump() == []
    assert desk.run(9.0) == [1, 2, 9]


def test_the_longest_prefix_counts_and_before_any_country() -> None:
    one = Ceiling(0.001)
    destinations = CarrierDestinations(
        {"44": Ceiling(0.001), "447400": Ceiling(1_000.0, 1_000)}, {"GB": one, "IE": one}
    )
    desk = Desk(carrier(destinations=destinations))
    desk.accept(*(message(n) for n in range(5)))
    desk.accept(*(message(10 + n, recipient="447911123456") for n in range(5)))
    desk.accept(*(message(20 + n, recipient=DUBLIN, country="IE") for n in range(5)))
    desk.accept(*(message(30 + n, recipient="4915112345678", country="DE") for n in range(5)))
    assert desk.pump() == [0, 1, 2, 3, 4, 10, 20, 30, 31, 32, 33, 34]


def test_what_one_ceiling_names_shares_it() -> None:
    shared = Ceiling(1.0)
    desk = Desk(carrier(destinations=CarrierDestinations({"353": shared}, {"GB": shared})))
    desk.accept(message(1), message(2, recipient=DUBLIN))
    assert desk.pump() == [1]
    assert desk.run(1.0) == [2]


def test_a_carrier_that_is_slower_holds_what_was_let_go() -> None:
    desk = Desk(carrier(destinations=_to_ireland(5.0), rate_per_s=1.0))
    desk.accept(*(message(n, recipient=DUBLIN) for n in range(20)))
    for tenth in range(100):
        desk.now = START + tenth / 10
        desk.dispatcher.tick(desk.now)
        desk.take()
    assert [m.id for _, _, m in desk.sent] == [*range(10)]


def test_a_message_that_is_put_off_does_not_hold_those_behind_it() -> None:
    desk = Desk(carrier(destinations=_to_ireland(10.0)))
    desk.accept(*(message(n, recipient=DUBLIN, segments=2) for n in range(4)))
    (first,) = desk.take(room=1)
    desk.answer(first, RETRY_LATER)
    desk.dispatcher.ready.add(A)
    assert sorted(desk.run(3.0)) == [1, 1, 2, 2, 3, 3]
    assert sorted(desk.run(5.0)) == [0, 0]


def test_a_throttled_message_is_counted_again_when_it_goes_again() -> None:
    desk = Desk(carrier(destinations=_to_ireland(0.1), rate_per_s=100.0))
    desk.accept(message(1, recipient=DUBLIN), message(2, recipient=DUBLIN))
    (first,) = desk.take(room=1)
    desk.answer(first, THROTTLED)
    desk.now += 2.0  # the carrier may have it again, its destination not yet
    assert desk.pump() == []
    assert desk.run(8.1) == [1]
    assert desk.run(10.0) == [2]


def test_what_is_aside_ends_when_its_validity_does() -> None:
    desk = Desk(carrier(destinations=_to_ireland(0.01)))
    desk.accept(*(message(n, recipient=DUBLIN, expires_at=START + 5.0) for n in range(3)))
    desk.accept(message(9, recipient=DUBLIN))
    assert desk.pump() == [0]
    desk.dispatcher.expire(START + 5.0)
    assert [event.kind for event in desk.events[1:]] == [EventKind.EXPIRED] * 2
    assert desk.run(101.0) == [9], "what has ended used up its turn"


def test_what_is_aside_can_be_withdrawn() -> None:
    desk = Desk(carrier(destinations=_to_ireland()))
    desk.accept(*(message(n, recipient=DUBLIN) for n in range(3)))
    desk.pump()
    desk.dispatcher.cancel(MessageId(1), desk.now)
    assert desk.run(1.1) == [2]


def test_what_is_aside_moves_with_its_carriers_queue() -> None:
    desk = Desk(carrier(A, _to_ireland(0.01)), carrier(B))
    desk.accept(*(message(n, recipient=DUBLIN, routes=(A, B)) for n in range(4)))
    assert desk.pump() == [0]
    desk.dispatcher.set_bound(A, False, desk.now, desk.now)
    desk.now += FAILOVER_AFTER_S
    desk.dispatcher.fail_over(desk.now)
    assert desk.pump() == [1, 2, 3]
    assert desk.waiting(A) == 0


def test_other_ceilings_judge_anew_what_the_old_ones_held() -> None:
    desk = Desk(carrier(destinations=_to_ireland(0.01)))
    desk.accept(*(message(n, recipient=DUBLIN) for n in range(4)))
    desk.pump()
    desk.dispatcher.carriers[A].change_destinations(_to_ireland(0.01, burst=2))
    desk.dispatcher.ready.add(A)
    assert desk.pump() == [1, 2]
    desk.dispatcher.carriers[A].change_destinations(None)
    desk.dispatcher.ready.add(A)
    assert desk.pump() == [3]


def test_a_flood_for_one_destination_is_put_aside_bit_by_bit() -> None:
    desk = Desk(carrier(destinations=_to_ireland(0.001)))
    desk.accept(*(message(n, recipient=DUBLIN) for n in range(2 * HELD_AT_ONCE_MAX)))
    desk.accept(message(9_999, lane=TRANSACTIONAL))
    taken, until = desk.dispatcher.take(A, 10, desk.now, desk.now)
    assert [s.job.message.id for s in taken] == [9_999, 0]
    assert until == desk.now, "it has to be asked again at once"
    assert len(desk.dispatcher.carriers[A].queue) == HELD_AT_ONCE_MAX - 1


@settings(deadline=None)
@given(
    st.floats(0.5, 50.0),
    st.integers(1, 5),
    st.lists(st.tuples(st.floats(0.0, 0.3), st.integers(0, 10), st.booleans()), max_size=40),
)
def test_no_second_sees_more_for_a_destination_and_nobody_is_forgotten(
    rate: float, burst: int, course: list[tuple[float, int, bool]]
) -> None:
    desk, number = Desk(carrier(destinations=_to_ireland(rate, burst))), 0
    for pause_s, count, ireland in course:
        desk.run(pause_s)
        for _ in range(count):
            number += 1
            account = AccountId(1 + number % 3)
            desk.accept(message(number, account, recipient=DUBLIN if ireland else LONDON))
        desk.pump()
    desk.run(number / rate + 5.0 + number * STEP_S)
    times = [at for at, _, m in desk.sent if m.recipient == DUBLIN]
    assert _busiest_second(times) <= rate + burst + 1e-6
    assert sorted(m.id for _, _, m in desk.sent) == [*range(1, number + 1)]


# ── which one bound ──────────────────────────────────────────────────────────────────────────


def _noted(desk: Desk, holding: Limit) -> Limit:
    state = desk.dispatcher.carriers[A]
    state.note_limit(holding, desk.now)
    return state.limits.holding


def test_a_limit_is_noted_only_while_something_waits() -> None:
    desk = Desk(carrier(rate_per_s=1.0))
    assert not _noted(desk, Limit.RATE)
    desk.accept(message(1))
    assert _noted(desk, Limit.RATE) == Limit.RATE
    assert _noted(desk, Limit.WINDOW) == Limit.WINDOW


def test_a_rate_that_complaints_have_cut_is_noted_as_such() -> None:
    desk = Desk(carrier(rate_per_s=1.0))
    desk.accept(message(1))
    desk.dispatcher.carriers[A].rate.throttled(desk.now)
    assert _noted(desk, Limit.RATE) == Limit.THROTTLED


def test_ceilings_are_noted_beside_what_holds_the_rest() -> None:
    desk = Desk(carrier(destinations=_to_ireland(0.01)))
    desk.limit(SHOP, rate_per_s=0.01)
    desk.accept(message(1), message(2), *(message(n, BANK, recipient=DUBLIN) for n in (3, 4)))
    desk.pump()
    assert _noted(desk, Limit.WINDOW) == Limit.ACCOUNT | Limit.DESTINATION
    desk.accept(message(5, BANK))
    assert _noted(desk, Limit.WINDOW) == Limit.ACCOUNT | Limit.DESTINATION | Limit.WINDOW


# ── a ceiling that nodes share ───────────────────────────────────────────────────────────────


def test_a_node_paces_by_its_share_and_without_one_sends_nothing() -> None:
    desk = Desk()
    ceilings = desk.dispatcher.ceilings
    ceilings.first_share = 0.0
    desk.limit(SHOP, rate_per_s=100.0)
    desk.accept(*(message(number) for number in range(1, 200)), message(500, BANK))
    assert desk.pump() == [500]
    desk.run(1.0)
    assert len(desk.sent) == 1
    ceilings.set_share(SHOP, 0.25, desk.now)
    desk.run(2.0)
    assert 49 <= len(desk.sent) - 1 <= 53
    ceilings.set_share(SHOP, 1.0, desk.now)
    desk.run(1.0)
    assert 145 <= len(desk.sent) - 1 <= 155


def test_what_is_needed_of_a_ceiling_is_what_is_sent_or_held_and_soon_forgotten() -> None:
    desk = Desk()
    ceilings = desk.dispatcher.ceilings
    desk.limit(SHOP, BANK, rate_per_s=10.0)
    ceilings.needs(desk.now)
    desk.accept(message(1, BANK), *(message(number) for number in range(2, 40)))
    desk.pump()
    desk.run(1.0)
    needs = ceilings.needs(desk.now)
    assert needs[SHOP] == 1.0, "more waits"
    assert needs[BANK] == 0.25, "one of ten, and as much again"
    for _ in range(3):
        desk.now += 0.5
        needs = ceilings.needs(desk.now)
    assert needs[BANK] == 0.0
