"""What of a queue is in memory and what waits in the store, step by step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import AccountId, CarrierId, Encoding, Lane, Message, MessageId, Micros
from gateway.shelves import Shelf


def message(number: int) -> Message:
    return Message(
        id=MessageId(number),
        account_id=AccountId(1),
        accepted_at=0.0,
        sender="Shop",
        recipient="447911123456",
        country="GB",
        text="hi",
        encoding=Encoding.GSM7,
        segments=1,
        lane=Lane.OTP,
        price_micros=Micros(0),
        routes=(CarrierId(1),),
        expires_at=1.0,
    )


def shelf(held_max: int = 2) -> Shelf:
    return Shelf(CarrierId(1), Lane.OTP, held_max)


def bring(to: Shelf, *numbers: int) -> list[int]:
    """Offer messages as their commit does; return those that came into memory."""
    admitted = [number for number in numbers if to.admits(message(number))]
    for number in admitted:
        to.put(number)
    return admitted


def test_messages_come_in_while_there_is_room_and_stay_out_afterwards() -> None:
    shelf_ = shelf(2)
    assert bring(shelf_, 1) == [1]
    assert bring(shelf_, 2) == [2]
    assert bring(shelf_, 3, 4) == []
    assert (shelf_.held, shelf_.spilled, shelf_.cursor) == (2, True, 2)


def test_while_any_wait_in_the_store_later_ones_queue_up_behind_them() -> None:
    shelf_ = shelf(2)
    bring(shelf_, 1)
    bring(shelf_, 2)
    bring(shelf_, 3)
    shelf_.held = 0
    assert bring(shelf_, 4) == []


def test_a_message_that_a_read_has_gone_past_comes_in_as_nothing_else_would_bring_it() -> None:
    shelf_ = shelf(1)
    bring(shelf_, 5)
    bring(shelf_, 6)
    assert shelf_.spilled
    assert bring(shelf_, 4) == [4]
    assert (shelf_.held, shelf_.cursor) == (2, 5)


@pytest.mark.parametrize(
    ("held", "spilled", "loading", "wants"),
    [
        (0, True, False, True),
        (2, True, False, True),
        (3, True, False, False),
        (0, False, False, False),
        (0, True, True, False),
    ],
)
def test_it_is_refilled_when_half_is_free_and_more_waits_and_no_read_is_under_way(
    held: int, spilled: bool, loading: bool, wants: bool
) -> None:
    shelf_ = shelf(4)
    shelf_.held, shelf_.spilled, shelf_.loading = held, spilled, loading
    assert shelf_.wants_refill is wants


def test_room_is_never_negative() -> None:
    shelf_ = shelf(2)
    shelf_.held = 3
    assert shelf_.room == 0


def test_a_complete_read_opens_the_shelf_again() -> None:
    shelf_ = shelf(1)
    bring(shelf_, 1)
    bring(shelf_, 2)
    shelf_.held = 0
    shelf_.begin_refill()
    shelf_.put(2)
    shelf_.end_refill(2, complete=True)
    shelf_.held = 0
    assert bring(shelf_, 3) == [3]


def test_what_was_left_out_during_a_complete_read_keeps_it_closed() -> None:
    shelf_ = shelf(1)
    bring(shelf_, 1)
    bring(shelf_, 2)
    shelf_.begin_refill()
    assert bring(shelf_, 3) == []
    shelf_.end_refill(2, complete=True)
    assert shelf_.spilled


def test_a_read_that_failed_changes_nothing() -> None:
    shelf_ = shelf(1)
    bring(shelf_, 1)
    bring(shelf_, 2)
    shelf_.begin_refill()
    shelf_.end_refill(0, complete=False)
    assert (shelf_.cursor, shelf_.spilled, shelf_.loading) == (1, True, False)


def test_the_cursor_passes_what_a_page_stepped_over() -> None:
    shelf_ = shelf(1)
    shelf_.begin_refill()
    shelf_.end_refill(9, complete=False)
    assert shelf_.cursor == 9


class Queue:
    """A shelf between its store and its readers, for every order of what they do."""

    def __init__(self, held_max: int) -> None:
        self.shelf = shelf(held_max)
        self.waiting: list[int] = []
        self.memory: list[int] = []
        self.left: list[int] = []
        self.newest = 0
        self.page: list[int] | None = None
        self.complete = False

    def commit(self) -> None:
        self.newest += 1
        if self.shelf.admits(message(self.newest)):
            self.shelf.put(self.newest)
            self.memory.append(self.newest)
        else:
            self.waiting.append(self.newest)

    def begin_read(self) -> None:
        if self.page is None and self.shelf.wants_refill:
            limit = min(3, self.shelf.room)
            self.shelf.begin_refill()
            behind = [number for number in self.waiting if number > self.shelf.cursor]
            self.page, self.complete = behind[:limit], len(behind) < limit

    def end_read(self) -> None:
        if self.page is not None:
            for number in self.page:
                self.shelf.put(number)
                self.memory.append(number)
                self.waiting.remove(number)
            last = self.page[-1] if self.page else self.shelf.cursor
            self.shelf.end_refill(last, self.complete)
            self.page = None

    def leave(self) -> None:
        if self.memory:
            self.left.append(self.memory.pop(0))
            self.shelf.held -= 1


@settings(deadline=None)
@given(st.integers(1, 5), st.lists(st.sampled_from(["commit", "begin_read", "end_read", "leave"])))
def test_in_any_order_of_commits_and_reads_none_is_lost_doubled_or_overtaken(
    held_max: int, steps: list[str]
) -> None:
    queue = Queue(held_max)
    for step in steps:
        getattr(queue, step)()
        assert queue.shelf.held == len(queue.memory) <= held_max
    while queue.waiting or queue.memory:
        queue.leave()
        queue.begin_read()
        queue.end_read()
    assert queue.left == list(range(1, queue.newest + 1))
