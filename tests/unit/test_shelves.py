"""What of a queue is in memory and what waits in the store, step by step."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.shelves import KEPT_EACH_SHARE, KEPT_SHARE, Progress, Shelf, Shelves, Wanted

SHOP, BANK, CLUB = AccountId(1), AccountId(2), AccountId(3)


def message(number: int, account: AccountId = SHOP) -> Message:
    return Message(
        id=MessageId(number),
        account_id=account,
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


def shelf(held_max: int = 100) -> Shelf:
    return Shelf(CarrierId(1), Lane.OTP, held_max)


def bring(to: Shelf, *numbers: int, account: AccountId = SHOP) -> list[int]:
    """Offer messages as their commit does; return those that came into memory."""
    admitted = []
    for number in numbers:
        each = message(number, account)
        if to.admits(each):
            to.put(each)
            admitted.append(number)
    return admitted


def leave(shelf_: Shelf, *numbers: int, account: AccountId = SHOP) -> None:
    for number in numbers:
        shelf_.remove(message(number, account))


def read(to: Shelf, *numbers: int, account: AccountId = SHOP, complete: bool = False) -> None:
    """Bring an account's messages from the store."""
    to.begin_refill(len(numbers))
    for number in numbers:
        to.put_read(message(number, account))
    to.end_refill({account: Progress(numbers[-1] if numbers else 0, complete)})


def in_memory(shelf_: Shelf) -> int:
    """How many messages of one account come in when nobody else is there."""
    return int(shelf_.held_max * (1 - KEPT_SHARE))


# ── what comes in ────────────────────────────────────────────────────────────────────────────


def test_messages_come_in_while_there_is_room_and_stay_out_afterwards() -> None:
    shelf_ = shelf(100)
    assert bring(shelf_, *range(1, 101)) == [*range(1, 71)]
    assert (shelf_.held, shelf_.stored) == (70, 30)


def test_while_any_wait_in_the_store_the_accounts_later_ones_queue_up_behind_them() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 72))
    leave(shelf_, *range(1, 71))
    assert bring(shelf_, 72) == []
    assert (shelf_.held, shelf_.stored) == (0, 2)


def test_a_message_that_a_read_has_gone_past_comes_in_as_nothing_else_would_bring_it() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(101, 171))
    assert bring(shelf_, 180) == []
    assert bring(shelf_, 175) == [175]
    assert (shelf_.held, shelf_.stored) == (71, 1)


def test_one_accounts_flood_keeps_nobody_else_out() -> None:
    shelf_ = shelf(1_000)
    bring(shelf_, *range(1_000, 6_000))
    assert shelf_.held == 700
    each = int(1_000 * KEPT_EACH_SHARE)
    for account in range(2, 12):
        numbers = [account * 10_000 + n for n in range(20)]
        assert bring(shelf_, *numbers, account=AccountId(account)) == numbers[:each]
    assert shelf_.held < shelf_.held_max


def test_however_many_accounts_come_memory_is_bounded() -> None:
    shelf_ = shelf(100)
    for account in range(1, 1_000):
        bring(shelf_, account * 10, account * 10 + 1, account=AccountId(account))
    assert shelf_.held <= 100
    assert shelf_.held + shelf_.stored == 2 * 999


def test_what_has_left_makes_room_for_those_that_are_behind_first() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 101))
    leave(shelf_, *range(1, 71))
    assert len(bring(shelf_, *range(1_000, 1_100), account=BANK)) == max(
        1, int(100 * KEPT_EACH_SHARE)
    )


# ── what is read ─────────────────────────────────────────────────────────────────────────────


def test_an_account_is_read_on_when_half_of_its_share_is_free() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 201))
    assert not shelf_.wants_refill
    leave(shelf_, *range(1, 35))
    assert not shelf_.wants_refill
    leave(shelf_, 35)
    assert shelf_.wants_refill
    assert shelf_.wanted(1_000) == [Wanted(SHOP, 70, 35)]


def test_no_second_read_begins_while_one_is_under_way() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 201))
    leave(shelf_, *range(1, 71))
    shelf_.begin_refill(70)
    assert not shelf_.wants_refill
    shelf_.end_refill({})
    assert shelf_.wants_refill, "a read that failed is tried again"
    assert shelf_.wanted(1_000) == [Wanted(SHOP, 70, 70)]


def test_who_has_the_least_in_memory_is_read_first_and_all_alike() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 201))
    bring(shelf_, *range(1_001, 1_101), account=BANK)
    leave(shelf_, 1_001, account=BANK)
    assert shelf_.wants_refill
    assert [each.account_id for each in shelf_.wanted(1_000)] == [BANK, SHOP]
    assert shelf_.wanted(20) == [Wanted(BANK, 1_001, 10), Wanted(SHOP, 70, 1)]
    assert shelf_.wanted(1) == [Wanted(BANK, 1_001, 1)]


def test_a_read_leaves_room_for_what_comes_meanwhile() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 201))
    leave(shelf_, *range(1, 71))
    wanted = sum(each.at_most for each in shelf_.wanted(1_000))
    shelf_.begin_refill(wanted)
    for account in range(2, 100):
        bring(shelf_, account * 1_000, account=AccountId(account))
    assert shelf_.held + wanted <= 100


def test_what_a_read_has_brought_in_part_is_not_counted_twice() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 201))
    leave(shelf_, *range(1, 71))
    shelf_.begin_refill(70)
    for number in range(71, 106):
        shelf_.put_read(message(number))
    shelf_.brought(35)
    admitted = [bring(shelf_, n * 1_000, account=AccountId(n)) for n in range(2, 100)]
    assert shelf_.held + 35 == 99, "one is kept for the account that is behind"
    assert sum(map(len, admitted)) == 29


def test_shelves_say_whether_any_messages_wait_in_the_database_alone() -> None:
    shelves = Shelves()
    shelves.make([CarrierId(1), CarrierId(2)], 100)
    assert not shelves.overflow
    bring(shelves[CarrierId(1), Lane.OTP], *range(1, 72))
    assert shelves.overflow
    leave(shelves[CarrierId(1), Lane.OTP], *range(1, 71))
    read(shelves[CarrierId(1), Lane.OTP], 71, complete=True)
    assert not shelves.overflow


def test_an_account_that_has_caught_up_comes_in_at_once_again() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 81))
    leave(shelf_, *range(1, 71))
    read(shelf_, *range(71, 81), complete=True)
    assert (shelf_.held, shelf_.stored, shelf_.wants_refill) == (10, 0, False)
    assert bring(shelf_, 81) == [81]


def test_what_was_left_out_during_a_complete_read_keeps_the_account_behind() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 72))
    leave(shelf_, *range(1, 71))
    shelf_.begin_refill(70)
    assert bring(shelf_, 72) == []
    shelf_.put_read(message(71))
    shelf_.end_refill({SHOP: Progress(71, complete=True)})
    assert bring(shelf_, 73) == []
    assert shelf_.wanted(10)[0].after_id == 71


def test_what_was_committed_behind_a_read_is_read_by_the_next_one() -> None:
    shelf_ = shelf(100)
    bring(shelf_, *range(1, 71), 80, 90)
    leave(shelf_, *range(1, 71))
    shelf_.begin_refill(70)
    assert bring(shelf_, 85) == [], "it is not known yet that the read has gone past it"
    shelf_.put_read(message(80))
    shelf_.put_read(message(90))
    shelf_.end_refill({SHOP: Progress(90, complete=True)})
    assert shelf_.wanted(10)[0].after_id == 84


def test_how_fast_it_empties_is_learned_while_something_waits() -> None:
    shelf_ = shelf(100)
    for _ in range(10):
        shelf_.note_drain(1.0)
    bring(shelf_, *range(1, 61))
    leave(shelf_, *range(1, 21))
    shelf_.note_drain(2.0)
    assert shelf_.drain.per_s == 10.0
    leave(shelf_, *range(21, 61))
    shelf_.note_drain(1.0)
    assert shelf_.drain.per_s == 10.0, "it was empty before the time was over"


# ── a start ──────────────────────────────────────────────────────────────────────────────────


def _started(shelf_: Shelf, *numbers: int, complete: bool) -> None:
    shelf_.unread = True
    shelf_.begin_refill(len(numbers))
    for number in numbers:
        shelf_.put_read(message(number))
    shelf_.end_start(Progress(numbers[-1] if numbers else 0, complete))


def test_a_start_that_has_read_everything_is_over() -> None:
    shelf_ = shelf(100)
    _started(shelf_, 1, 2, 3, complete=True)
    assert not shelf_.unread
    assert bring(shelf_, 4) == [4]


def test_a_start_leaves_out_what_comes_until_it_knows_whose_messages_wait() -> None:
    shelf_ = shelf(100)
    _started(shelf_, *range(1, 71), complete=False)
    assert (shelf_.unread, shelf_.room) == (True, 0)
    assert bring(shelf_, 900, account=CLUB) == []
    shelf_.know_behind({SHOP: 500, BANK: 3})
    assert (shelf_.unread, shelf_.stored) == (False, 503)
    assert {each.account_id for each in shelf_.wanted(100)} == {SHOP, BANK, CLUB}
    assert {each.after_id for each in shelf_.wanted(100)} == {70}
    assert bring(shelf_, 901, account=AccountId(4)) == [901]


def test_a_start_that_failed_goes_on_from_where_it_was() -> None:
    shelf_ = shelf(100)
    _started(shelf_, 5, 6, complete=False)
    shelf_.begin_refill(10)
    shelf_.end_start(Progress(0, complete=False))
    assert (shelf_.cursor, shelf_.unread) == (6, True)


def test_room_is_never_negative() -> None:
    shelf_ = shelf(2)
    for number in range(5):
        shelf_.put(message(number))
    assert shelf_.room == 0


@pytest.mark.parametrize(
    ("unread", "behind", "lowest"), [(False, (), 500), (True, (), 70), (False, (SHOP,), 69)]
)
def test_the_lowest_id_that_may_be_open_and_unread_is_told(
    unread: bool, behind: tuple[AccountId, ...], lowest: int
) -> None:
    shelf_ = shelf(100)
    shelf_.cursor, shelf_.unread = 70, unread
    for account in behind:
        for number in range(200):
            shelf_.put(message(number, BANK))
        bring(shelf_, 70, account=account)
    assert shelf_.open_from(500) == lowest


# ── all of it ────────────────────────────────────────────────────────────────────────────────


class Queue:
    """A shelf between its store and its readers, for every order of what they do."""

    def __init__(self, held_max: int) -> None:
        self.shelf = shelf(held_max)
        self.waiting: defaultdict[AccountId, list[int]] = defaultdict(list)
        self.memory: list[tuple[int, AccountId]] = []
        self.left: defaultdict[AccountId, list[int]] = defaultdict(list)
        self.newest = 0
        self.pages: dict[AccountId, tuple[list[int], Progress]] | None = None

    def commit(self, account: AccountId) -> None:
        self.newest += 1
        each = message(self.newest, account)
        if self.shelf.admits(each):
            self.shelf.put(each)
            self.memory.append((each.id, account))
        else:
            self.waiting[account].append(each.id)

    def begin_read(self, _: AccountId) -> None:
        if self.pages is not None or not self.shelf.wants_refill:
            return
        wanted = self.shelf.wanted(3)
        self.shelf.begin_refill(sum(each.at_most for each in wanted))
        self.pages = {}
        for each in wanted:
            behind = [n for n in self.waiting[each.account_id] if n > each.after_id]
            page = behind[: each.at_most]
            progress = Progress(page[-1] if page else each.after_id, len(page) < each.at_most)
            self.pages[each.account_id] = page, progress

    def end_read(self, _: AccountId) -> None:
        if self.pages is None:
            return
        for account, (page, _progress) in self.pages.items():
            for number in page:
                self.shelf.put_read(message(number, account))
                self.memory.append((number, account))
                self.waiting[account].remove(number)
        self.shelf.end_refill({account: done for account, (_, done) in self.pages.items()})
        self.pages = None

    def leave(self, _: AccountId) -> None:
        if self.memory:
            number, account = self.memory.pop(0)
            self.left[account].append(number)
            self.shelf.remove(message(number, account))

    @property
    def stored(self) -> int:
        return sum(map(len, self.waiting.values()))


@settings(deadline=None)
@given(
    st.integers(1, 12),
    st.lists(
        st.tuples(
            st.sampled_from(["commit", "commit", "begin_read", "end_read", "leave"]),
            st.sampled_from([SHOP, BANK, CLUB]),
        ),
        max_size=150,
    ),
)
def test_in_any_order_of_commits_and_reads_none_is_lost_doubled_or_overtaken(
    held_max: int, steps: list[tuple[str, AccountId]]
) -> None:
    queue, committed = Queue(held_max), Counter[AccountId]()
    for step, account in steps:
        getattr(queue, step)(account)
        committed[account] += step == "commit"
        assert queue.shelf.held == len(queue.memory) <= held_max
        assert queue.shelf.stored == queue.stored
    while queue.stored or queue.memory:
        # A read may find no more than that an account has caught up: that is a step as well.
        before = queue.stored, len(queue.memory), len(queue.shelf._behind)
        queue.leave(SHOP)
        queue.begin_read(SHOP)
        queue.end_read(SHOP)
        after = queue.stored, len(queue.memory), len(queue.shelf._behind)
        assert after != before, "it stands still"
    for account, count in committed.items():
        assert len(queue.left[account]) == count
        assert queue.left[account] == sorted(queue.left[account])
    assert queue.shelf.stored == 0
