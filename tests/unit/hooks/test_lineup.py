"""Whose webhook is called next: order, fairness and bounds, at literal times."""

from __future__ import annotations

import random

import msgspec
import pytest

from gateway.config import Webhooks
from gateway.hooks.answers import Answer, Delivered, Refused, TryAgain
from gateway.hooks.lineup import (
    BEHIND,
    CROWDED,
    LINES_MAX,
    POSTPONE_S,
    STOPPED,
    Call,
    Lineup,
)
from gateway.model import AccountId
from gateway.views import OutboxEvent

SETTINGS = Webhooks(
    batch_events_max=3,
    connections_per_account=2,
    timeout_s=10,
    retry_first_s=5,
    retry_max_s=40,
    give_up_after_s=1000,
)
NOW = 1_000_000.0
LEASED = NOW + 60
DOWN = TryAgain("HTTP 500")


def event(
    number: int,
    account: int = 1,
    url: str = "https://a.example/",
    *,
    single: bool = False,
    secret: str = "s",  # noqa: S107 - a test's
    created_at: float = NOW,
) -> OutboxEvent:
    return OutboxEvent(
        id=number,
        account_id=AccountId(account),
        url=url,
        secret=secret,
        single=single,
        body=b"{}",
        created_at=created_at,
        attempts=0,
    )


def ids(call: Call | None) -> list[int]:
    assert call is not None
    return [each.id for each in call.events]


def take(lineup: Lineup, now: float = NOW) -> Call:
    call = lineup.take_call(now)
    assert call is not None
    return call


def test_events_of_one_address_go_together_up_to_the_batch() -> None:
    lineup = Lineup(SETTINGS)
    assert lineup.admit([event(n) for n in (4, 2, 1, 3)], NOW, LEASED) == []

    first = take(lineup)
    assert ids(first) == [1, 2, 3]
    # One call at a time for an address: what comes later may not overtake.
    assert lineup.take_call(NOW) is None
    lineup.settle(first, Delivered(), NOW, 0.0)
    assert ids(lineup.take_call(NOW)) == [4]


def test_a_messages_own_address_gets_one_event_a_call() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1, single=True), event(2, single=True)], NOW, LEASED)
    first = take(lineup)
    assert ids(first) == [1]
    lineup.settle(first, Delivered(), NOW, 0.0)
    assert ids(lineup.take_call(NOW)) == [2]


def test_a_batch_ends_where_the_secret_changes() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1), event(2, secret="new"), event(3, secret="new")], NOW, LEASED)
    first = take(lineup)
    assert (ids(first), first.secret) == ([1], "s")
    lineup.settle(first, Delivered(), NOW, 0.0)
    second = take(lineup)
    assert (ids(second), second.secret) == ([2, 3], "new")


def test_a_batch_ends_where_a_rotation_ends() -> None:
    lineup = Lineup(SETTINGS)
    both = msgspec.structs.replace(event(1), old_secret="old")
    lineup.admit([both, event(2)], NOW, LEASED)
    first = lineup.take_call(NOW)
    assert first is not None
    assert (ids(first), first.old_secret) == ([1], "old")


def test_an_account_has_only_its_connections() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(n, url=f"https://a.example/{n}") for n in range(5)], NOW, LEASED)
    first, second = take(lineup), take(lineup)
    assert lineup.take_call(NOW) is None
    lineup.settle(first, DOWN, NOW, 0.0)
    third = take(lineup)
    assert [ids(first), ids(second), ids(third)] == [[0], [1], [2]]
    assert lineup.take_call(NOW) is None


def test_all_calls_together_are_bounded() -> None:
    lineup = Lineup(SETTINGS, calls_max=3)
    lineup.admit([event(n, account=n) for n in range(10)], NOW, LEASED)
    calls = [take(lineup) for _ in range(3)]
    assert lineup.take_call(NOW) is None
    lineup.settle(calls[1], Delivered(), NOW, 0.0)
    assert ids(lineup.take_call(NOW)) == [3]


def test_accounts_take_turns() -> None:
    lineup = Lineup(SETTINGS)
    crowd = [event(n, account=1, url=f"https://a.example/{n}") for n in range(10)]
    lineup.admit([*crowd, event(50, account=2), event(51, account=3)], NOW, LEASED)
    assert [take(lineup).account_id for _ in range(4)] == [1, 2, 3, 1]


def test_what_was_delivered_is_recorded_and_makes_room() -> None:
    lineup = Lineup(SETTINGS, held_max=100)
    lineup.admit([event(1), event(2)], NOW, LEASED)
    call = take(lineup)
    assert (lineup.held, lineup.room) == (2, 98)
    settlement = lineup.settle(call, Delivered(), NOW, 0.0)
    assert settlement.delivered == [1, 2]
    assert settlement.failures == []
    assert (lineup.held, lineup.room) == (0, 100)


def test_what_is_refused_is_given_up_and_the_line_goes_on() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(n) for n in range(4)], NOW, LEASED)
    settlement = lineup.settle(take(lineup), Refused("HTTP 410"), NOW, 0.0)
    assert settlement.failures == [(n, None, "HTTP 410") for n in range(3)]
    assert (settlement.dead, settlement.retried) == (3, 0)
    assert ids(lineup.take_call(NOW)) == [3]


def test_a_failed_call_sends_everything_behind_it_back_with_it() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(n) for n in range(5)], NOW, LEASED)
    settlement = lineup.settle(take(lineup), DOWN, NOW, 0.0)
    assert settlement.failures == [
        (0, NOW + 5, "HTTP 500"),
        (1, NOW + 5, "HTTP 500"),
        (2, NOW + 5, "HTTP 500"),
        (3, NOW + 5, BEHIND),
        (4, NOW + 5, BEHIND),
    ]
    assert (settlement.dead, settlement.retried) == (0, 3)
    assert lineup.held == 0
    assert lineup.take_call(NOW) is None


def test_a_later_event_does_not_overtake_what_was_sent_back() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1)], NOW, LEASED)
    lineup.settle(take(lineup), DOWN, NOW, 0.0)

    assert lineup.admit([event(2)], NOW + 1, LEASED) == [(2, NOW + 5, BEHIND)]
    assert lineup.admit([event(1), event(2)], NOW + 5, LEASED) == []
    assert ids(lineup.take_call(NOW + 5)) == [1, 2]


def test_the_delay_grows_with_the_lines_failures_in_a_row_and_starts_anew_after_a_success() -> None:
    lineup = Lineup(SETTINGS)
    now, delays = NOW, []
    for answer in (DOWN, DOWN, DOWN, Delivered(), DOWN):
        lineup.admit([event(1)], now, now + 60)
        settlement = lineup.settle(take(lineup, now), answer, now, 0.0)
        for _, at, _ in settlement.failures:
            assert at is not None
            delays.append(at - now)
            now = at
    assert delays == [5, 10, 20, 5]


def test_a_customers_wish_to_wait_is_the_whole_lines() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(n) for n in range(4)], NOW, LEASED)
    settlement = lineup.settle(take(lineup), TryAgain("HTTP 429", 30.0), NOW, 0.0)
    assert [at for _, at, _ in settlement.failures] == [NOW + 30] * 4


def test_events_past_their_time_are_given_up_and_younger_ones_are_not() -> None:
    lineup = Lineup(SETTINGS)
    old = [event(n, created_at=NOW - 999) for n in (1, 2)]
    lineup.admit([*old, event(3), event(4)], NOW, LEASED)
    settlement = lineup.settle(take(lineup), DOWN, NOW, 0.0)
    assert settlement.failures == [
        (1, None, "HTTP 500"),
        (2, None, "HTTP 500"),
        (3, NOW + 5, "HTTP 500"),
        (4, NOW + 5, BEHIND),
    ]
    assert (settlement.dead, settlement.retried) == (2, 1)


def test_a_failing_address_does_not_hold_up_another_of_the_same_account() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1), event(2, url="https://b.example/")], NOW, LEASED)
    lineup.settle(take(lineup), DOWN, NOW, 0.0)
    assert ids(lineup.take_call(NOW)) == [2]


def test_an_account_may_hold_as_much_as_is_free() -> None:
    lineup = Lineup(SETTINGS, held_max=16)
    sent_back = lineup.admit([event(n) for n in range(11)], NOW, LEASED)
    assert sent_back == [
        (8, NOW + POSTPONE_S, CROWDED),
        (9, NOW + POSTPONE_S, BEHIND),
        (10, NOW + POSTPONE_S, BEHIND),
    ]
    for account, size in ((2, 4), (3, 2), (4, 1), (5, 1)):
        before = lineup.held
        lineup.admit([event(100 * account + n, account=account) for n in range(9)], NOW, LEASED)
        assert lineup.held - before == size
    assert lineup.room == 0


def test_what_went_back_for_want_of_room_is_not_overtaken() -> None:
    lineup = Lineup(SETTINGS, held_max=16)
    lineup.admit([event(n) for n in range(10)], NOW, LEASED)
    lineup.settle(take(lineup), Delivered(), NOW, 0.0)
    assert lineup.admit([event(11)], NOW + 0.1, LEASED) == [(11, NOW + POSTPONE_S, BEHIND)]


def test_a_line_whose_leases_end_is_left_to_them() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1), event(2)], NOW, NOW + 12)
    lineup.admit([event(3)], NOW + 1, NOW + 14)

    # A call may last until NOW + 13, when another node may hold event 1 as well.
    assert lineup.take_call(NOW + 3) is None
    assert lineup.held == 0
    # The first come back first, and wait for the last, so that the order holds.
    assert lineup.admit([event(1), event(2)], NOW + 12, NOW + 72) == [
        (1, NOW + 14, BEHIND),
        (2, NOW + 14, BEHIND),
    ]
    assert lineup.admit([event(n) for n in (1, 2, 3)], NOW + 14, NOW + 74) == []
    assert ids(lineup.take_call(NOW + 14)) == [1, 2, 3]


def test_an_event_that_is_claimed_twice_stands_here_once() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1)], NOW, LEASED)
    lineup.admit([event(1)], NOW, LEASED)
    assert ids(take(lineup)) == [1]
    lineup.admit([event(1)], NOW, LEASED)
    assert lineup.held == 1


def test_at_a_stop_everything_goes_back_at_once_but_what_is_under_way() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(n) for n in range(5)], NOW, LEASED)
    under_way = take(lineup)
    assert lineup.give_back(NOW) == [(3, NOW, STOPPED), (4, NOW, STOPPED)]
    assert lineup.take_call(NOW) is None
    assert lineup.settle(under_way, Delivered(), NOW, 0.0).delivered == [0, 1, 2]
    assert lineup.held == 0


def test_at_a_stop_a_line_that_waits_out_its_delay_has_nothing_to_give() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1)], NOW, LEASED)
    lineup.settle(take(lineup), DOWN, NOW, 0.0)
    assert lineup.give_back(NOW) == []


def test_a_million_addresses_do_not_fill_the_memory() -> None:
    lineup = Lineup(SETTINGS)
    for number in range(LINES_MAX + 50):
        lineup.admit([event(number, url=f"https://a.example/{number}")], NOW, LEASED)
        lineup.settle(take(lineup), DOWN, NOW, 0.0)
    assert len(lineup._lines) == LINES_MAX


def test_nothing_is_kept_of_an_account_that_has_nothing_to_send() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1)], NOW, LEASED)
    lineup.settle(take(lineup), Delivered(), NOW, 0.0)
    assert not lineup._lines
    assert not lineup._shares


class SimulatedOutbox:
    """The outbox's promise: the lowest ids among those due, leased to whoever claims them."""

    def __init__(self) -> None:
        self.due_at: dict[int, float] = {}
        self.events: dict[int, OutboxEvent] = {}

    def add(self, new: OutboxEvent, now: float) -> None:
        self.events[new.id] = new
        self.due_at[new.id] = now

    def claim(self, now: float, limit: int, lease_s: float) -> list[OutboxEvent]:
        due = sorted(number for number, at in self.due_at.items() if at <= now)[:limit]
        for number in due:
            self.due_at[number] = now + lease_s
        return [self.events[number] for number in due]

    def forget(self, number: int) -> None:
        del self.due_at[number], self.events[number]


@pytest.mark.parametrize("seed", range(20))
def test_in_any_weather_everything_arrives_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    outbox, lineup = SimulatedOutbox(), Lineup(SETTINGS, held_max=48, calls_max=4)
    delivered: dict[tuple[int, str], list[int]] = {}
    open_calls: list[tuple[float, Call]] = []
    dead: set[int] = set()
    now, added, total = NOW, 0, 300

    def record(failures: list[tuple[int, float | None, str]]) -> None:
        for number, at, _ in failures:
            if at is None:
                dead.add(number)
                outbox.forget(number)
            else:
                outbox.due_at[number] = at

    while added < total or outbox.events:
        for _ in range(chance.randrange(12) if added < total else 0):
            account = chance.randrange(1, 5)
            url = f"https://{account}.example/{chance.randrange(3)}"
            outbox.add(event(added, account, url, created_at=now), now)
            added += 1
        record(lineup.admit(outbox.claim(now, lineup.room, 25.0), now, now + 25.0))
        while (call := lineup.take_call(now)) is not None:
            lasts_s = chance.choice((0.1, 1.0, 9.9))
            assert not any(other.url == call.url for _, other in open_calls)
            open_calls.append((now + lasts_s, call))
        assert lineup.held <= 48
        assert len(open_calls) <= 4
        now += chance.choice((0.05, 0.5, 3.0))
        for ends_at, call in [each for each in open_calls if each[0] <= now]:
            open_calls.remove((ends_at, call))
            # Account 4's endpoint is down for a long time; the others hiccup.
            fails = call.account_id == 4 and now < NOW + 600
            answer: Answer = DOWN if fails or chance.random() < 0.2 else Delivered()
            settlement = lineup.settle(call, answer, now, chance.random())
            record(settlement.failures)
            for number in settlement.delivered:
                delivered.setdefault((call.account_id, call.url), []).append(number)
                outbox.forget(number)
        assert now < NOW + 10_000, "the line came to a standstill"

    for numbers in delivered.values():
        assert numbers == sorted(numbers)
    arrived = [number for numbers in delivered.values() for number in numbers]
    assert sorted([*arrived, *dead]) == list(range(added))
    assert not dead
    assert lineup.held == 0


def test_a_line_that_a_clock_ahead_has_closed_opens_in_its_time_once_that_is_set_back() -> None:
    lineup = Lineup(SETTINGS)
    ahead = NOW + 3_600
    lineup.admit([event(1, created_at=ahead)], ahead, ahead + 60)
    (again,) = lineup.settle(take(lineup, ahead), DOWN, ahead, 0.0).failures
    assert again == (1, ahead + 5, "HTTP 500")
    lineup.bring_forward(3_600)
    assert lineup.admit([event(1)], NOW + 4, LEASED) == [(1, NOW + 5, BEHIND)]
    assert lineup.admit([event(1)], NOW + 5, LEASED) == []
    assert ids(lineup.take_call(NOW + 5)) == [1]


def test_a_lease_of_a_clock_ahead_lasts_as_long_as_it_was_to() -> None:
    lineup = Lineup(SETTINGS)
    lineup.admit([event(1)], NOW + 3_600, NOW + 3_600 + 60)
    lineup.bring_forward(3_600)
    assert lineup.take_call(NOW + 51) is None  # its lease would end within the call's timeout


def test_a_clock_that_is_set_ahead_gives_no_event_up() -> None:
    ages = {NOW: 30.0}
    lineup = Lineup(SETTINGS, age_s=lambda at, now: ages[at])
    ahead = NOW + 10 * SETTINGS.give_up_after_s
    lineup.admit([event(1)], ahead, ahead + 60)
    settlement = lineup.settle(take(lineup, ahead), DOWN, ahead, 0.0)
    assert (settlement.dead, settlement.retried) == (0, 1)
    ages[NOW] = SETTINGS.give_up_after_s
    lineup.admit([event(1)], ahead + 5, ahead + 60)
    assert lineup.settle(take(lineup, ahead + 5), DOWN, ahead + 5, 0.0).dead == 1
