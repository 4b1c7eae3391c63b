"""Each promise is broken on purpose once, and the check that stands for it must say so.

A check that never failed may be one that can't: here the gateway or its store does one thing wrong,
and some of the first worlds have to be caught by the function that is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gateway.ceilings import Ceilings
from gateway.dispatch import Dispatcher
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import CarrierId
from gateway.outcomes import Event
from gateway.passed import PassedTime
from gateway.record import replace
from gateway.shelves import Shelf
from gateway.throttle.adaptive import AdaptiveRate
from tests.simulation.carrier import Session
from tests.simulation.invariants import check_invariants
from tests.simulation.limits import RECOVERY
from tests.simulation.node import Node
from tests.simulation.plan import Plan
from tests.simulation.store import Batch, Store
from tests.simulation.world import World

WORLDS_MAX = 40
CALM = Plan(trouble_s=10.0, receipts_s=3.0)
CRASHES = Plan(trouble_s=20.0, receipts_s=5.0, crashes_per_s=0.3, slow=0.2)

Patch = pytest.MonkeyPatch


def test_the_plans_break_nothing_by_themselves() -> None:
    for plan in {plan for _, plan, _ in MUTATIONS}:
        check_invariants(World(0, plan).run())


def forget_a_message(patch: Patch) -> None:
    take = Node._take
    patch.setattr(Node, "_take", lambda node, messages: take(node, messages[1:] or messages))


def write_twice(patch: Patch) -> None:
    """As a batch would be that is repeated without asking whether it is in."""
    write = Store.write

    def twice(store: Store, batch: Batch) -> None:
        again = Batch()
        again.events = list(batch.events)
        write(store, batch)
        write(store, again)

    patch.setattr(Store, "write", twice)


def void_nothing(patch: Patch) -> None:
    _change_events(patch, lambda e: replace(e, voided_micros=0))


def lose_refunds(patch: Patch) -> None:
    patch.setattr(Node, "refund", lambda node, event: None)


def show_a_wrong_status(patch: Patch) -> None:
    def wrong(event: Event) -> Event:
        if event.kind is EventKind.RECEIPT and event.status is Status.UNDELIVERED:
            return replace(event, status=Status.DELIVERED)
        return event

    _change_events(patch, wrong)


def tell_twice(patch: Patch) -> None:
    notify = Node.notify

    def twice(node: Node, notice: Any) -> None:
        notify(node, notice)
        notify(node, notice)

    patch.setattr(Node, "notify", twice)


def ignore_schedules(patch: Patch) -> None:
    patch.setattr(
        Dispatcher, "_arm", lambda dispatcher, job, at: dispatcher._enqueue(job, at - 1_000.0)
    )


def never_fail_over(patch: Patch) -> None:
    patch.setattr(Dispatcher, "fail_over", lambda dispatcher, now: None)


def forget_what_was_in_doubt(patch: Patch) -> None:
    patch.setattr(Node, "in_doubt", lambda node: set())


def acknowledge_before_the_commit(patch: Patch) -> None:
    delivered = Node.delivered

    def hasty(
        node: Node, carrier_id: CarrierId, name: str, status: Status, acknowledge: Any
    ) -> None:
        acknowledge(True)
        delivered(node, carrier_id, name, status, lambda committed: None)

    patch.setattr(Node, "delivered", hasty)


def send_again_what_was_taken(patch: Patch) -> None:
    responded = Node.responded

    def deaf(node: Node, session: Session, submission: Any, status: int, name: str) -> None:
        if status or not node._world.chance.random() < 0.3:
            responded(node, session, submission, status, name)
        else:
            now, wall = node._world.now, node._world.wall
            node.dispatcher.lost([submission], now, wall)

    patch.setattr(Node, "responded", deaf)


def send_before_it_is_noted(patch: Patch) -> None:
    """A carrier's policy is "hold", and that a segment leaves is not committed."""
    write = Store.write

    def forgetful(store: Store, batch: Batch) -> None:
        kept = [event for event in batch.events if event.kind is not EventKind.LEAVING]
        batch.events[:] = kept
        write(store, batch)

    patch.setattr(Store, "write", forgetful)


def trust_the_clock(patch: Patch) -> None:
    patch.setattr(
        PassedTime,
        "before",
        lambda passed, seconds: passed.noted_s + passed.stretches[-1].ahead_s - seconds,
    )


def overfill_windows(patch: Patch) -> None:
    patch.setattr(
        Session, "room", property(lambda s: s.carrier.window + 1 - len(s.window) if s.open else 0)
    )


def treble_the_rate(patch: Patch) -> None:
    new_state = Node._new_state

    def hasty(node: Node, carrier_id: CarrierId) -> Any:
        state = new_state(node, carrier_id)
        plan, now = node._world.plan, node._world.now
        state.rate = AdaptiveRate(3 * plan.rate_per_s, plan.burst, RECOVERY, started_at=now)
        return state

    patch.setattr(Node, "_new_state", hasty)


def ignore_ceilings(patch: Patch) -> None:
    patch.setattr(Ceilings, "applies", lambda ceilings, carrier: False)


def turn_the_order_round(patch: Patch) -> None:
    accept = Dispatcher.accept

    def reversed_(
        dispatcher: Dispatcher, messages: Iterable[Message], now: float, wall: float
    ) -> None:
        accept(dispatcher, list(messages)[::-1], now, wall)

    patch.setattr(Dispatcher, "accept", reversed_)


def hold_everything_in_memory(patch: Patch) -> None:
    patch.setattr(Shelf, "admits", lambda shelf, message: True)


def _change_events(patch: Patch, change: Callable[[Event], Event]) -> None:
    record = Node.record
    patch.setattr(Node, "record", lambda node, event: record(node, change(event)))


MUTATIONS: list[tuple[Callable[[Patch], None], Plan, str]] = [
    (forget_a_message, CALM, "check_invariants"),
    (write_twice, CALM, "check_money"),
    (void_nothing, Plan(cancels_per_s=1.0), "check_money"),
    (lose_refunds, CALM, "check_refunds"),
    (show_a_wrong_status, CALM, "check_status"),
    (tell_twice, CALM, "check_notices"),
    (ignore_schedules, CALM, "check_times"),
    (never_fail_over, Plan(trouble_s=5.0, rate_per_s=1.0, dead=1), "check_way"),
    (forget_what_was_in_doubt, Plan(hold=frozenset({1, 2}), crashes_per_s=0.3), "check_doubts"),
    (acknowledge_before_the_commit, CRASHES, "check_receipts"),
    (send_again_what_was_taken, CALM, "check_duplicates"),
    (send_before_it_is_noted, Plan(hold=frozenset({1, 2}), crashes_per_s=0.3), "check_duplicates"),
    (trust_the_clock, Plan(clock_sets_per_s=0.3), "check_waits"),
    (overfill_windows, Plan(window=1), "submit"),
    (treble_the_rate, Plan(rate_per_s=4.0), "check_rate"),
    (ignore_ceilings, Plan(account_per_s=2.0), "check_ceilings"),
    (turn_the_order_round, CALM, "check_order"),
    (hold_everything_in_memory, Plan(held=2, rate_per_s=4.0), "check"),
]


@pytest.mark.parametrize(
    ("mutate", "plan", "check"), MUTATIONS, ids=[mutate.__name__ for mutate, _, _ in MUTATIONS]
)
def test_a_broken_promise_is_seen_by_its_check(
    mutate: Callable[[Patch], None], plan: Plan, check: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    caught = (_where_caught(World(seed, plan)) for seed in range(WORLDS_MAX))
    assert next((where for where in caught if where), "nowhere") == check


def _where_caught(world: World) -> str:
    """Return the function whose assertion failed, "" when none did."""
    try:
        check_invariants(world.run())
    except AssertionError as error:
        place = error.__traceback__
        assert place is not None
        while place.tb_next is not None:
            place = place.tb_next
        return place.tb_frame.f_code.co_name
    return ""
