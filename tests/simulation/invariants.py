"""What must hold of a world that has come to its end, however bad it was."""

from __future__ import annotations

import json
from collections import Counter

from gateway.jobs import NOT_TAKEN
from gateway.lifecycle import STATUSES, EventKind, Status
from gateway.message import Message
from gateway.model import Lane, MessageId
from gateway.passed import SET_S
from gateway.settling import aggregate, settle_segment
from tests.simulation.limits import (
    DOES_NOT_BILL_FAILURES,
    IRELAND,
    LIMITED_ACCOUNT,
    LIMITED_CARRIER,
    PAYS_ON_DELIVERY,
    SEGMENTS_MAX,
)
from tests.simulation.store import key_of
from tests.simulation.world import PATIENCE_S, World

GIVEN_UP = {EventKind.REFUSED, EventKind.EXPIRED, EventKind.CANCELED}
VOIDS = {*GIVEN_UP, EventKind.HELD}
ROUNDING_S = 0.001
"""Differences of times of day are not exact."""


def check_invariants(world: World) -> None:
    assert world.settled, "something still waits"
    for message_id in world.store.messages:
        check_money(world, message_id)
        check_refunds(world, message_id)
        check_status(world, message_id)
        check_notices(world, message_id)
        check_times(world, message_id)
        check_way(world, message_id)
        check_doubts(world, message_id)
    check_receipts(world)
    check_waits(world)
    check_duplicates(world)
    check_rate(world)
    check_ceilings(world)
    check_order(world)


def check_money(world: World, message_id: MessageId) -> None:
    """Every segment is posted or voided once, the last one closes, and all of it was real."""
    message, events = world.store.messages[message_id], world.store.events[message_id]
    closing = [place for place, event in enumerate(events) if event.closes]
    assert len(closing) == 1, "closed more than once"
    later = {event.kind for event in events[closing[0] + 1 :]}
    told = {EventKind.RECEIPT, EventKind.REFUND, EventKind.NO_RECEIPT}
    assert later <= told, "something happened after the end"
    ended = Counter(e.segment for e in events if e.kind in VOIDS | {EventKind.SUBMITTED})
    assert ended == Counter(range(1, message.segments + 1)), "each segment ends once"
    moved = sum(event.posted_micros + event.voided_micros for event in events)
    assert moved == message.price_micros
    for event in events:
        assert bool(event.voided_micros) == (event.kind in VOIDS)
        assert bool(event.posted_micros) == (event.kind is EventKind.SUBMITTED)
        if event.kind is EventKind.SUBMITTED:
            assert event.carrier_id is not None and event.carrier_message_id is not None
            taken = world.carriers[event.carrier_id].taken[event.carrier_message_id]
            assert (message_id, event.segment - 1) in taken, "posted for what nobody took"


def check_refunds(world: World, message_id: MessageId) -> None:
    """What was posted and did not arrive is given back once, where that was agreed."""
    message, store = world.store.messages[message_id], world.store
    states = store.job(message_id).states
    refunded = Counter(e.segment for e in store.events[message_id] if e.kind is EventKind.REFUND)
    expected = {
        event.segment
        for event in store.events[message_id]
        if event.kind is EventKind.SUBMITTED
        and states[event.segment - 1] is Status.UNDELIVERED
        and (message.account_id == PAYS_ON_DELIVERY or event.carrier_id == DOES_NOT_BILL_FAILURES)
    }
    # What was refunded for want of a receipt stays so, whatever came later.
    given_up = {
        event.segment
        for event in store.events[message_id]
        if event.kind is EventKind.NO_RECEIPT and message.account_id == PAYS_ON_DELIVERY
    }
    assert refunded == Counter(expected | given_up)


def check_status(world: World, message_id: MessageId) -> None:
    """The status that readers see is the one that the segments make."""
    states = [Status.ACCEPTED] * world.store.messages[message_id].segments
    for event in world.store.history(message_id):
        states[event.segment - 1] = settle_segment(states[event.segment - 1], event.segment_status)
    # As the store's view `message_states` chooses.
    seen = max(world.store.events[message_id], key=lambda e: (e.status.rank, e.at, e.status))
    assert seen.status is aggregate(states)


def check_notices(world: World, message_id: MessageId) -> None:
    """The customer hears of a final status once, and of nothing else; but once more of what a
    receipt says that came after it was given up."""
    bodies = (n.body for n in world.store.notices if n.message_id == message_id)
    told = [STATUSES[json.loads(body)["status"]] for body in bodies]
    final = aggregate(world.store.job(message_id).states)
    assert told[-1:] == [final] * final.final
    if any(event.kind is EventKind.NO_RECEIPT for event in world.store.events[message_id]):
        ranks = [status.rank for status in told]
        assert ranks == sorted(set(ranks)), "a later truth was taken back, or told twice"
    else:
        assert len(told) == final.final


def check_times(world: World, message_id: MessageId) -> None:
    """Nothing leaves before its hour, after its validity, or after some of it was given up.

    Hours are the gateway's, whoever sets its clock; that alone can bring one forward or back.
    """
    message, events = world.store.messages[message_id], world.store.events[message_id]
    for event in events:
        assert event.kind is not EventKind.EXPIRED or event.at >= message.expires_at
    ended_at = min(event.at for event in events if event.closes or event.kind in GIVEN_UP)
    for carrier in world.carriers.values():
        for at, (_, sent_id, _) in zip(carrier.sent_at, carrier.sent, strict=True):
            if sent_id == message_id:
                assert at <= message.expires_at + ROUNDING_S
                if not world.seen["clock set"]:
                    assert (message.send_at or 0.0) - ROUNDING_S <= at <= ended_at + ROUNDING_S


def check_way(world: World, message_id: MessageId) -> None:
    """All parts travel one way; and what has time and somebody to take it does not expire."""
    message, events = world.store.messages[message_id], world.store.events[message_id]
    takers = {event.carrier_id for event in events if event.kind is EventKind.SUBMITTED}
    assert len(takers) <= 1, "the parts of a text went different ways"
    expired = any(event.kind is EventKind.EXPIRED for event in events)
    expired = expired and not world.seen["clock set"]  # which ends hours when it likes
    if expired and message.expires_at >= (message.send_at or message.accepted_at) + PATIENCE_S:
        begun = takers | {event.carrier_id for event in events if event.kind is EventKind.HELD}
        refused = {event.carrier_id for event in events if event.code is not None}
        hopeless = {*refused, world.plan.dead}
        assert world.plan.dead in begun | set(message.routes), "forgotten until it was too late"
        assert begun or hopeless.issuperset(message.routes) or _may_stay_unread(world, message), (
            "kept for a carrier that is away"
        )


def _may_stay_unread(world: World, message: Message) -> bool:
    """Whether its shelf may be full, to its end, of what only a carrier that is away may have."""
    dead = {world.plan.dead}
    return message.routes[0] in dead and any(
        set(other.routes) <= dead
        and other.lane is message.lane
        and other.id < message.id
        and other.expires_at >= message.expires_at
        for other in world.store.messages.values()
    )


def check_doubts(world: World, message_id: MessageId) -> None:
    """A restart gives up only what may have been taken."""
    for event in world.store.events[message_id]:
        if event.kind is EventKind.HELD and event.error == "restart":
            assert (message_id, event.segment - 1) in world.in_doubt, "it had not left"


def check_receipts(world: World) -> None:
    """What was acknowledged is applied; or parked, when nobody knows its submission any more."""
    parked = {key_of(receipt) for receipt in world.store.parked}
    known = world.store.submissions()
    for carrier in world.carriers.values():
        for name in carrier.acknowledged:
            key = (carrier.id, name)
            assert (key in known) != (key in parked), "forgotten, or parked although it is known"
            for event in known.get(key, ()):
                states = world.store.job(event.message_id).states
                assert states[event.segment - 1] is carrier.final[name], "not applied"


def check_waits(world: World) -> None:
    """Nothing is given up before its time has really passed, however the clock was set."""
    for what, late_s in world.given_up:
        assert late_s >= -SET_S, f"a {what} was given up too early"


def check_duplicates(world: World) -> None:
    """A crash or a lost bind doubles a window at most, and nothing where the policy is "hold"."""
    plan, carriers = world.plan, world.carriers.values()
    taken = Counter(s for carrier in carriers for taken in carrier.taken.values() for s in taken)
    windows_lost = sum(carrier.losses for carrier in carriers)
    windows_lost += world.crashes * plan.carriers * plan.binds
    in_a_window = plan.window * (SEGMENTS_MAX if plan.whole else 1)
    assert sum(taken.values()) - len(taken) <= in_a_window * windows_lost
    for carrier in carriers:
        if carrier.hold:
            segments = [segment for taken in carrier.taken.values() for segment in taken]
            assert len(set(segments)) == len(segments), "taken twice"


def check_rate(world: World) -> None:
    """In any one second a carrier sees its rate and one burst at most; and where long messages
    leave whole, what came with the last one's first segment."""
    if not world.plan.rate_per_s:
        return
    most = int(world.plan.rate_per_s) + world.plan.burst
    segments = (message.segments for message in world.store.messages.values())
    longest = max(segments, default=1)
    for carrier in world.carriers.values():
        bound = most + longest - 1 if carrier.whole else most
        times = [at for at, _, _ in carrier.sent]
        for first, beyond in zip(times, times[bound:], strict=False):
            assert beyond - first >= 1.0 - ROUNDING_S, f"more than {bound} in a second"


def check_ceilings(world: World) -> None:
    """The same of an account over all carriers, and of some numbers with one of them.

    Where a message leaves at most once, or whole, it is counted before it leaves, or at once.
    """
    plan, messages = world.plan, world.store.messages
    if plan.hold or plan.whole:
        return
    sent = [
        (at, carrier.id, messages[message_id])
        for carrier in world.carriers.values()
        for at, message_id, _ in carrier.sent
    ]
    sent.sort(key=lambda each: each[0])
    of_account = [at for at, _, m in sent if m.account_id == LIMITED_ACCOUNT]
    to_ireland = [
        at
        for at, carrier_id, m in sent
        if carrier_id == LIMITED_CARRIER and m.recipient.startswith(IRELAND)
    ]
    for per_s, times in ((plan.account_per_s, of_account), (plan.ireland_per_s, to_ireland)):
        bound = int(per_s) + 1
        for first, beyond in zip(times, times[bound:] if per_s else (), strict=False):
            assert beyond - first >= 1.0 - ROUNDING_S, f"more than {bound} in a second"


def check_order(world: World) -> None:
    """Within account, carrier and lane, messages leave first in the order of their acceptance;
    with a ceiling for some numbers, within those and the others.

    Those that have one carrier and no hour, and did not lose their bind on the way to it.
    """
    for carrier in world.carriers.values():
        last: dict[tuple[int, Lane, bool], MessageId] = {}
        for message_id in dict.fromkeys(message_id for _, message_id, _ in carrier.sent):
            message = world.store.messages[message_id]
            turned_back = any(e.error == NOT_TAKEN for e in world.store.events[message_id])
            if turned_back or message_id in world.held:
                continue
            if len(message.routes) == 1 and message.send_at is None:
                limited = message.recipient.startswith(IRELAND)
                queue = (message.account_id, message.lane, limited)
                assert last.get(queue, 0) < message_id, "overtaken"
                last[queue] = message_id
