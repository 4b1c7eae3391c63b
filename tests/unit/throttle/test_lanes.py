"""Whose turn it is, and the stated bound on how long an OTP can be delayed."""

from __future__ import annotations

import math
import tracemalloc
from collections import Counter
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import AccountId, Lane
from gateway.throttle.lanes import ONE_IN, QUANTUM_SEGMENTS, LaneQueue

OTP, TRANSACTIONAL, MARKETING = Lane.OTP, Lane.TRANSACTIONAL, Lane.MARKETING
SHOP, BANK, CLUB = AccountId(1), AccountId(2), AccountId(3)


class Item(NamedTuple):
    account: AccountId
    lane: Lane
    segments: int
    number: int = 0


def _segments(item: Item) -> int:
    return item.segments


def _queue() -> LaneQueue[Item]:
    return LaneQueue(_segments)


def _push(queue: LaneQueue[Item], item: Item) -> Item:
    queue.push(item, item.lane, item.account)
    return item


def test_lanes_are_indexed_by_their_own_numbers() -> None:
    assert [lane.value for lane in sorted(Lane)] == list(range(len(Lane)))


def test_one_account_and_lane_leave_in_the_order_of_their_coming() -> None:
    queue: LaneQueue[int] = LaneQueue()
    for number in range(100):
        queue.push(number, MARKETING, SHOP)
    assert [queue.pop() for _ in range(100)] == list(range(100))


def test_the_higher_lane_leaves_first() -> None:
    queue: LaneQueue[str] = LaneQueue()
    queue.push("offer", MARKETING, SHOP)
    queue.push("receipt", TRANSACTIONAL, SHOP)
    queue.push("code", OTP, SHOP)
    assert [queue.pop() for _ in range(3)] == ["code", "receipt", "offer"]


def test_nothing_waiting_is_an_index_error_and_falsy() -> None:
    queue: LaneQueue[str] = LaneQueue()
    assert not queue
    with pytest.raises(IndexError):
        queue.pop()
    with pytest.raises(IndexError):
        queue.peek()


def test_lengths_are_counted_in_all_and_by_lane() -> None:
    queue: LaneQueue[str] = LaneQueue()
    queue.push("a", OTP, SHOP)
    queue.push("b", MARKETING, SHOP)
    queue.push("c", MARKETING, BANK)
    assert (len(queue), queue.lane_len(OTP), queue.lane_len(MARKETING)) == (3, 1, 2)
    queue.push_front(queue.pop(), OTP, SHOP)
    assert (len(queue), queue.lane_len(OTP)) == (3, 1)
    queue.pop()
    assert (len(queue), queue.lane_len(OTP), queue.lane_len(TRANSACTIONAL)) == (2, 0, 0)


def test_what_could_not_leave_is_the_next_one_again() -> None:
    queue = _queue()
    for number in range(3):
        for account in (SHOP, BANK):
            _push(queue, Item(account, MARKETING, 7, number))
    for _ in range(6):
        item = queue.pop()
        for _ in range(5):
            queue.push_front(item, item.lane, item.account)
            assert queue.peek() == item
            assert queue.pop() == item


def test_putting_back_wins_an_account_nothing() -> None:
    queue = _queue()
    for number in range(100):
        for account in (SHOP, BANK):
            _push(queue, Item(account, MARKETING, 1, number))
    sent: Counter[AccountId] = Counter()
    for _ in range(100):
        item = queue.pop()
        if item.account == SHOP:
            queue.push_front(item, item.lane, item.account)
            assert queue.pop() == item
        sent[item.account] += item.segments
    assert abs(sent[SHOP] - sent[BANK]) <= QUANTUM_SEGMENTS


def test_accounts_get_the_same_number_of_segments_however_long_their_messages_are() -> None:
    queue = _queue()
    for number in range(3_000):
        _push(queue, Item(SHOP, MARKETING, 1, number))
        _push(queue, Item(BANK, MARKETING, 3, number))
        _push(queue, Item(CLUB, MARKETING, 10, number))
    sent: Counter[AccountId] = Counter()
    while sum(sent.values()) < 3_000:
        item = queue.pop()
        sent[item.account] += item.segments
    for account in (SHOP, BANK, CLUB):
        assert abs(sent[account] - 1_000) <= 10 + QUANTUM_SEGMENTS


def test_a_turn_is_one_quantum_long() -> None:
    queue: LaneQueue[AccountId] = LaneQueue()
    for _ in range(10):
        queue.push(SHOP, MARKETING, SHOP)
        queue.push(BANK, MARKETING, BANK)
    round_of_turns = [SHOP] * QUANTUM_SEGMENTS + [BANK] * QUANTUM_SEGMENTS
    assert [queue.pop() for _ in range(3 * len(round_of_turns))] == 3 * round_of_turns


def test_an_account_that_was_away_has_saved_up_nothing() -> None:
    queue: LaneQueue[AccountId] = LaneQueue()
    for _ in range(50):
        queue.push(SHOP, MARKETING, SHOP)
        assert queue.pop() == SHOP
    for _ in range(20):
        queue.push(SHOP, MARKETING, SHOP)
        queue.push(BANK, MARKETING, BANK)
    first = [queue.pop() for _ in range(2 * QUANTUM_SEGMENTS)]
    assert Counter(first) == {SHOP: QUANTUM_SEGMENTS, BANK: QUANTUM_SEGMENTS}


def test_lower_lanes_keep_their_share_under_a_flood_from_above() -> None:
    queue: LaneQueue[Lane] = LaneQueue()
    for lane in Lane:
        for _ in range(3_000):
            queue.push(lane, lane, SHOP)
    sent = Counter(queue.pop() for _ in range(2_000))
    assert sent[TRANSACTIONAL] == pytest.approx(sent[OTP] / ONE_IN[TRANSACTIONAL], abs=1)
    above = sent[OTP] + sent[TRANSACTIONAL]
    assert sent[MARKETING] == pytest.approx(above / ONE_IN[MARKETING], abs=1)


def test_long_messages_above_cost_a_lane_nothing_of_its_share() -> None:
    queue = _queue()
    for number in range(1_000):
        _push(queue, Item(SHOP, OTP, 12, number))
        _push(queue, Item(SHOP, TRANSACTIONAL, 1, number))
    sent: Counter[Lane] = Counter()
    for _ in range(1_000):
        item = queue.pop()
        sent[item.lane] += item.segments
    assert sent[TRANSACTIONAL] == pytest.approx(sent[OTP] / ONE_IN[TRANSACTIONAL], abs=3)


def test_a_turn_taken_while_nobody_above_waited_counts_as_the_share() -> None:
    queue: LaneQueue[Lane] = LaneQueue()
    for _ in range(ONE_IN[TRANSACTIONAL] - 1):
        queue.push(OTP, OTP, SHOP)
    for _ in range(3):
        queue.push(TRANSACTIONAL, TRANSACTIONAL, SHOP)
    while queue.lane_len(TRANSACTIONAL) > 2:
        queue.pop()
    for _ in range(2):
        queue.push(OTP, OTP, SHOP)
    assert [queue.pop() for _ in range(4)] == [OTP, OTP, TRANSACTIONAL, TRANSACTIONAL]


def test_free_turns_are_no_debt_when_a_flood_comes() -> None:
    queue: LaneQueue[Lane] = LaneQueue()
    for _ in range(100):
        queue.push(TRANSACTIONAL, TRANSACTIONAL, SHOP)
    for _ in range(50):
        assert queue.pop() == TRANSACTIONAL
    for _ in range(100):
        queue.push(OTP, OTP, BANK)
    first = [queue.pop() for _ in range(ONE_IN[TRANSACTIONAL] + 1)]
    assert first == [OTP] * ONE_IN[TRANSACTIONAL] + [TRANSACTIONAL]


def test_a_share_is_not_saved_up_while_nothing_waits() -> None:
    queue: LaneQueue[Lane] = LaneQueue()
    for _ in range(1_000):
        queue.push(OTP, OTP, SHOP)
        assert queue.pop() == OTP
    queue.push(MARKETING, MARKETING, SHOP)
    queue.push(OTP, OTP, SHOP)
    assert queue.pop() == OTP


def test_the_oldest_is_found_among_all_accounts_of_a_lane() -> None:
    queue: LaneQueue[float] = LaneQueue()
    assert queue.oldest(float) is None
    queue.push(5.0, MARKETING, SHOP)
    queue.push(9.0, MARKETING, SHOP)
    queue.push(4.0, MARKETING, BANK)
    queue.push(7.0, OTP, BANK)
    assert queue.oldest(float) == 4.0
    assert queue.oldest(float, OTP) == 7.0
    assert queue.oldest(float, TRANSACTIONAL) is None


def test_a_waiting_item_costs_about_one_pointer() -> None:
    queue: LaneQueue[None] = LaneQueue()
    queue.push(None, MARKETING, SHOP)
    count = 50_000
    tracemalloc.start()
    try:
        for _ in range(count):
            queue.push(None, MARKETING, SHOP)
        used_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used_bytes < count * 10


def test_accounts_that_have_nothing_waiting_cost_nothing() -> None:
    queue: LaneQueue[int] = LaneQueue()
    for number in range(1_000):
        queue.push(number, OTP, AccountId(number))
    for _ in range(1_000):
        queue.pop()
    assert all(not lane.flows for lane in queue._lanes)


accounts = st.sampled_from([SHOP, BANK, CLUB])
items = st.builds(Item, accounts, st.sampled_from(Lane), st.integers(1, 12))
steps = st.lists(st.one_of(items, st.none()), max_size=120)  # None: pop


@settings(deadline=None)
@given(steps)
def test_nothing_is_lost_doubled_or_out_of_its_order(program: list[Item | None]) -> None:
    queue = _queue()
    pushed: list[Item] = []
    popped: list[Item] = []
    for number, step in enumerate(program):
        if step is not None:
            pushed.append(_push(queue, step._replace(number=number)))
        elif queue:
            expected = queue.peek()
            assert queue.peek() == expected
            popped.append(queue.pop())
            assert popped[-1] == expected
        assert len(queue) == len(pushed) - len(popped)
        assert len(queue) == sum(queue.lane_len(lane) for lane in Lane)
    while queue:
        popped.append(queue.pop())
    assert sorted(pushed) == sorted(popped)
    for account in (SHOP, BANK, CLUB):
        for lane in Lane:
            numbers = [i.number for i in popped if (i.account, i.lane) == (account, lane)]
            assert numbers == sorted(numbers)


@settings(deadline=None, max_examples=300)
@given(
    steps,
    st.lists(st.lists(items, max_size=4), min_size=1, max_size=8),
    st.sampled_from(Lane),
    st.integers(1, 12),
)
def test_a_message_is_delayed_by_no_more_than_the_stated_bound(
    before: list[Item | None], flood: list[list[Item]], lane: Lane, segments: int
) -> None:
    """Any history, then one message of an account, then floods by others after every departure."""
    queue = _queue()
    for step in before:
        if step is not None:
            _push(queue, step)
        elif queue:
            queue.pop()
    waiting = [i for q in queue._lanes for flow in q.flows.values() for i in flow.items]
    own = sum(i.segments for i in waiting if (i.account, i.lane) == (SHOP, lane))
    probe = _push(queue, Item(SHOP, lane, segments, number=-1))
    longest = 12
    passed: Counter[Lane] = Counter()
    passed_own = 0
    for departure in range(10_000):
        item = queue.pop()
        if item is probe:
            break
        passed[item.lane] += item.segments
        passed_own += item.segments if (item.account, item.lane) == (SHOP, lane) else 0
        # Lanes above the probe's are not bounded by anything, so floods come beside and below.
        for other in flood[departure % len(flood)]:
            if other.lane >= lane:
                _push(queue, other._replace(account=BANK if departure % 2 else CLUB))
    else:
        raise AssertionError("it never left")
    assert passed_own == own
    turns = QUANTUM_SEGMENTS * math.ceil((own + longest) / QUANTUM_SEGMENTS) + longest
    assert passed[lane] - own <= 2 * turns
    above = 0
    for other_lane in sorted(Lane):
        if other_lane > lane:
            assert passed[other_lane] <= longest + (longest + above) / ONE_IN[other_lane]
        above += passed[other_lane]


def test_a_million_marketing_messages_delay_an_otp_by_one_message_of_each_lower_lane() -> None:
    queue = _queue()
    offer = Item(SHOP, MARKETING, 10)
    notice = Item(SHOP, TRANSACTIONAL, 10)
    for _ in range(1_000_000):
        queue.push(offer, MARKETING, SHOP)
    for _ in range(1_000):
        queue.push(notice, TRANSACTIONAL, SHOP)
    worst_delay = 0
    for _ in range(2_000):
        code = _push(queue, Item(BANK, OTP, 1))
        delay = 0
        while (item := queue.pop()) is not code:
            delay += item.segments
        worst_delay = max(worst_delay, delay)
        if not queue.lane_len(TRANSACTIONAL):
            queue.push(notice, TRANSACTIONAL, SHOP)
    assert 0 < worst_delay <= 2 * 10


# ── accounts that are held ───────────────────────────────────────────────────────────────────


def _numbered(queue: LaneQueue[Item], account: AccountId, lane: Lane, *numbers: int) -> None:
    for number in numbers:
        _push(queue, Item(account, lane, 1, number))


def _pop_all(queue: LaneQueue[Item]) -> list[int]:
    return [queue.pop().number for _ in range(queue.ready)]


def test_a_held_account_takes_no_turns_in_any_lane() -> None:
    queue = _queue()
    _numbered(queue, SHOP, OTP, 1)
    _numbered(queue, SHOP, MARKETING, 2, 3)
    _numbered(queue, BANK, MARKETING, 4, 5)
    queue.hold(SHOP)
    assert (len(queue), queue.ready) == (5, 2)
    assert (queue.lane_len(OTP), queue.lane_len(MARKETING)) == (1, 4)
    assert _pop_all(queue) == [4, 5]
    with pytest.raises(IndexError):
        queue.peek()


def test_what_was_held_leaves_in_its_order_once_released() -> None:
    queue = _queue()
    _numbered(queue, SHOP, MARKETING, 1, 2)
    queue.hold(SHOP)
    queue.hold(SHOP)
    _numbered(queue, SHOP, MARKETING, 3)
    _numbered(queue, SHOP, OTP, 4)
    queue.push_front(Item(SHOP, MARKETING, 1, 0), MARKETING, SHOP)
    assert queue.ready == 0
    assert queue.held() == [SHOP]
    assert queue.held_lane(SHOP) is OTP
    queue.release(SHOP)
    queue.release(SHOP)
    assert queue.held() == []
    assert _pop_all(queue) == [4, 0, 1, 2, 3]


def test_an_account_may_be_held_before_it_has_anything() -> None:
    queue = _queue()
    queue.hold(SHOP)
    assert queue.held_lane(SHOP) is None
    _numbered(queue, SHOP, OTP, 1)
    assert queue.ready == 0
    queue.release(SHOP)
    assert _pop_all(queue) == [1]


def test_the_oldest_one_is_found_among_those_that_are_held() -> None:
    queue = _queue()
    _numbered(queue, SHOP, MARKETING, 5)
    _numbered(queue, BANK, MARKETING, 7)
    queue.hold(SHOP)
    queue.hold(CLUB)
    assert queue.oldest(lambda item: float(item.number)) == 5.0


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "pop", "hold", "release", "front"]),
            st.sampled_from([SHOP, BANK, CLUB]),
            st.sampled_from([*Lane]),
        ),
        max_size=200,
    )
)
def test_holding_loses_nothing_and_keeps_each_accounts_order(
    course: list[tuple[str, AccountId, Lane]],
) -> None:
    queue, number = _queue(), 0
    held: set[AccountId] = set()
    out: list[Item] = []
    for what, account, lane in course:
        match what:
            case "push":
                number += 1
                _numbered(queue, account, lane, number)
            case "hold":
                queue.hold(account)
                held.add(account)
            case "release":
                queue.release(account)
                held.discard(account)
            case "pop" | "front" if queue.ready:
                item = queue.pop()
                assert item.account not in held
                if what == "front":
                    queue.push_front(item, item.lane, item.account)
                else:
                    out.append(item)
        assert len(queue) == number - len(out)
    for account in held:
        queue.release(account)
    out += [queue.pop() for _ in range(len(queue))]
    assert sorted(item.number for item in out) == [*range(1, number + 1)]
    for account in (SHOP, BANK, CLUB):
        for lane in Lane:
            numbers = [i.number for i in out if (i.account, i.lane) == (account, lane)]
            assert numbers == sorted(numbers)
