"""What waits for an account's receivers."""

from __future__ import annotations

import pytest

from gateway.model import AccountId, MessageId
from gateway.outcomes import Delivery
from gateway.upstream.mailbox import (
    GIVE_UP_REFUSALS,
    GIVE_UP_S,
    HELD_MAX,
    LATER_MAX,
    PAUSE_MAX_S,
    Mailbox,
    Parcel,
)

WALL = 1_800_000_000.0


def delivery(number: int) -> Delivery:
    return Delivery(number, AccountId(7), MessageId(number), b"body", WALL)


def open_mailbox(*numbers: int) -> Mailbox:
    """A mailbox whose store held nothing when its first receiver bound."""
    mailbox = Mailbox()
    mailbox.opened()
    load(mailbox)
    for number in numbers:
        mailbox.stored(delivery(number))
    return mailbox


def load(mailbox: Mailbox, *numbers: int, complete: bool = True) -> None:
    after = mailbox.begin_page()
    mailbox.end_page([delivery(number) for number in numbers], after, complete=complete)


def take(mailbox: Mailbox, now: float = 0.0) -> Parcel:
    parcel = mailbox.take(now)
    assert parcel is not None
    return parcel


def take_all(mailbox: Mailbox, now: float = 0.0) -> list[int]:
    taken = []
    while (parcel := mailbox.take(now)) is not None:
        taken.append(parcel.id)
    return taken


def test_deliveries_go_up_in_the_order_in_which_they_were_stored() -> None:
    assert take_all(open_mailbox(3, 5, 9)) == [3, 5, 9]


def test_nothing_is_held_while_no_receiver_is_bound() -> None:
    mailbox = Mailbox()
    mailbox.stored(delivery(1))
    assert (len(mailbox), mailbox.wants_page, mailbox.take(0.0)) == (0, False, None)


def test_a_receiver_that_binds_gets_what_the_store_has_kept() -> None:
    mailbox = Mailbox()
    mailbox.opened()
    assert mailbox.wants_page
    load(mailbox, 1, 2)
    assert not mailbox.wants_page
    mailbox.stored(delivery(3))
    assert take_all(mailbox) == [1, 2, 3]


def test_what_is_stored_while_a_page_is_read_is_read_with_the_next_one() -> None:
    mailbox = Mailbox()
    mailbox.opened()
    after = mailbox.begin_page()
    mailbox.stored(delivery(3))
    mailbox.end_page([delivery(1), delivery(2)], after, complete=True)
    assert mailbox.wants_page
    assert mailbox.begin_page() == 2
    mailbox.end_page([delivery(3)], 2, complete=True)
    assert take_all(mailbox) == [1, 2, 3]


def test_what_memory_has_no_room_for_is_read_back_in_order() -> None:
    mailbox = open_mailbox(*range(1, HELD_MAX + 1))
    mailbox.stored(delivery(HELD_MAX + 1))
    mailbox.stored(delivery(HELD_MAX + 2))
    assert (len(mailbox), mailbox.spilled, mailbox.wants_page) == (HELD_MAX, True, False)
    for _ in range(HELD_MAX):
        mailbox.answered(take(mailbox))
    assert mailbox.wants_page
    assert mailbox.begin_page() == HELD_MAX
    mailbox.end_page([delivery(HELD_MAX + 1), delivery(HELD_MAX + 2)], HELD_MAX, complete=True)
    assert take_all(mailbox) == [HELD_MAX + 1, HELD_MAX + 2]


def test_a_page_that_is_not_the_last_is_followed_by_another() -> None:
    mailbox = Mailbox()
    mailbox.opened()
    load(mailbox, 1, 2, complete=False)
    assert mailbox.wants_page
    load(mailbox, 3)
    assert not mailbox.wants_page
    assert take_all(mailbox) == [1, 2, 3]


def test_a_page_that_could_not_be_read_is_asked_for_again() -> None:
    mailbox = Mailbox()
    mailbox.opened()
    after = mailbox.begin_page()
    assert not mailbox.wants_page
    mailbox.end_page(None, after, complete=False)
    assert mailbox.wants_page


def test_a_page_of_a_mailbox_that_was_closed_meanwhile_is_dropped() -> None:
    mailbox = Mailbox()
    mailbox.opened()
    after = mailbox.begin_page()
    mailbox.closed()
    mailbox.end_page([delivery(1)], after, complete=True)
    assert len(mailbox) == 0


def test_what_comes_back_from_a_lost_bind_goes_up_again_in_its_place() -> None:
    mailbox = open_mailbox(1, 2, 3, 4, 5)
    parcels = [take(mailbox) for _ in range(4)]
    mailbox.returned([parcels[1], parcels[3]])
    mailbox.returned([parcels[0], parcels[2]])
    assert take_all(mailbox) == [1, 2, 3, 4, 5]


def test_what_was_answered_does_not_come_back_with_its_bind() -> None:
    mailbox = open_mailbox(1, 2)
    first, second = take(mailbox), take(mailbox)
    mailbox.answered(first)
    mailbox.returned([first, second])
    assert take_all(mailbox) == [2]


def test_what_was_answered_is_not_read_back_before_it_is_forgotten() -> None:
    mailbox = open_mailbox(1, 2)
    mailbox.answered(take(mailbox))
    mailbox.closed()
    mailbox.opened()
    load(mailbox, 1, 2)
    assert take_all(mailbox) == [2]


def test_what_is_forgotten_while_a_page_is_read_is_not_taken_from_it() -> None:
    mailbox = open_mailbox(1, 2)
    mailbox.answered(take(mailbox))
    mailbox.closed()
    mailbox.opened()
    after = mailbox.begin_page()
    mailbox.forgotten(1)
    mailbox.end_page([delivery(1), delivery(2)], after, complete=True)
    assert take_all(mailbox) == [2]
    # Afterwards nothing is remembered of it: memory does not grow with what went through.
    mailbox.closed()
    mailbox.opened()
    load(mailbox, 1)
    assert take_all(mailbox) == [1]


def test_a_refused_delivery_waits_longer_each_time_and_holds_nobody_up() -> None:
    mailbox = open_mailbox(1, 2)
    mailbox.refused(take(mailbox), 0.0, WALL)
    assert mailbox.take(0.5) is None  # a short pause, to see whether they take anything
    second = take(mailbox, 1.0)
    assert second.id == 2
    mailbox.answered(second)
    assert (mailbox.take(4.9), mailbox.next_at()) == (None, 5.0)
    again = take(mailbox, 5.0)
    assert again.id == 1
    mailbox.refused(again, 5.0, WALL)
    assert mailbox.next_at() == 15.0
    assert take(mailbox, 15.0).id == 1


def test_receivers_that_refuse_everything_are_asked_one_at_a_time_and_ever_less() -> None:
    mailbox = open_mailbox(*range(1, 50))
    under_way = [take(mailbox) for _ in range(10)]
    for parcel in under_way:
        mailbox.refused(parcel, 0.0, WALL)
    pauses, now = [], 0.0
    for _ in range(8):
        at = mailbox.next_at()
        assert at is not None
        pauses.append(at - now)
        now = at
        probe = take(mailbox, now)
        assert mailbox.take(now) is None  # one goes ahead, the others wait for its answer
        mailbox.refused(probe, now, WALL)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, PAUSE_MAX_S, PAUSE_MAX_S]


def test_after_a_success_everything_flows_again() -> None:
    mailbox = open_mailbox(1, 2, 3, 4)
    mailbox.refused(take(mailbox), 0.0, WALL)
    mailbox.answered(take(mailbox, 1.0))
    assert take_all(mailbox, 1.0) == [3, 4]


def test_what_is_refused_for_a_day_is_given_up() -> None:
    mailbox = open_mailbox(1)
    now = 0.0
    for refusals in range(1, GIVE_UP_REFUSALS + 1):
        kept = mailbox.refused(take(mailbox, now), now, WALL + GIVE_UP_S + 1)
        assert kept == (refusals < GIVE_UP_REFUSALS)
        now = mailbox.next_at() or now
    assert mailbox.next_at() is None


def test_an_old_delivery_is_not_given_up_at_its_first_refusal() -> None:
    mailbox = open_mailbox(1)
    assert mailbox.refused(take(mailbox), 0.0, WALL + 10 * GIVE_UP_S)


def test_refused_deliveries_beyond_a_bound_go_back_to_the_store_and_are_read_again() -> None:
    mailbox = open_mailbox()
    now = 0.0
    for number in range(1, LATER_MAX + 2):
        mailbox.stored(delivery(2 * number))
        mailbox.stored(delivery(2 * number + 1))
        mailbox.refused(take(mailbox, now), now, WALL)
        now += 1.0
        mailbox.answered(take(mailbox, now))
        now -= 1.0  # so that no refused one falls due
    assert not mailbox.wants_page
    now += 10.0
    for _ in range(LATER_MAX):
        mailbox.answered(take(mailbox, now))
    assert mailbox.wants_page
    assert mailbox.begin_page() == 0


@pytest.mark.parametrize("refuse", [True, False])
def test_a_closed_mailbox_holds_nothing(refuse: bool) -> None:
    mailbox = open_mailbox(1, 2, 3)
    parcel = take(mailbox)
    if refuse:
        mailbox.refused(parcel, 0.0, WALL)
    mailbox.closed()
    assert (len(mailbox), mailbox.next_at(), mailbox.take(1e9)) == (0, None, None)


# ── stored by other nodes ────────────────────────────────────────────────────────────────────


def test_what_another_node_has_stored_is_read() -> None:
    mailbox = open_mailbox(5)
    mailbox.stored_elsewhere(8)
    assert mailbox.wants_page
    load(mailbox, 8, 9)
    assert take_all(mailbox) == [5, 8, 9]
    assert not mailbox.wants_page


def test_what_another_node_stored_under_an_earlier_id_stands_where_it_belongs_and_once() -> None:
    mailbox = open_mailbox(5, 9)
    mailbox.stored_elsewhere(3)
    assert mailbox.begin_page() == 2
    mailbox.end_page([delivery(number) for number in (3, 5, 7, 9)], 2, complete=True)
    assert take_all(mailbox) == [3, 5, 7, 9]


def test_what_is_under_way_or_put_off_is_not_read_again() -> None:
    mailbox = open_mailbox(1, 2, 3, 4)
    refused, answered = take(mailbox), take(mailbox)
    mailbox.refused(refused, 0.0, WALL)
    mailbox.answered(answered)
    under_way = take(mailbox)
    assert under_way.id == 3
    mailbox.look_again()
    load(mailbox, 1, 2, 3, 4)
    assert take_all(mailbox) == [4]


@pytest.mark.parametrize("first_id", [1, 15, 40])
def test_what_is_stored_elsewhere_during_a_read_is_read_after_it(first_id: int) -> None:
    mailbox = open_mailbox(10)
    mailbox.stored_elsewhere(11)
    after = mailbox.begin_page()
    mailbox.stored_elsewhere(first_id)
    mailbox.end_page([delivery(number) for number in (12, 30)], after, complete=True)
    assert mailbox.wants_page
    after = mailbox.begin_page()
    assert after < first_id
    rest = [n for n in sorted({12, 30, first_id}) if n > after]
    mailbox.end_page([delivery(number) for number in rest], after, complete=True)
    assert take_all(mailbox) == sorted({10, 12, 30, first_id})
    assert not mailbox.wants_page


def test_a_closed_mailbox_hears_of_nothing() -> None:
    mailbox = Mailbox()
    mailbox.stored_elsewhere(1)
    mailbox.look_again()
    assert not mailbox.wants_page
