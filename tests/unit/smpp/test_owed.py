"""What we owe the peer."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import vocabulary as v
from gateway.smpp.owed import Noted, Owed

COMMANDS = (v.SUBMIT_SM, v.DATA_SM, v.QUERY_SM)


def test_a_request_is_owed_until_it_is_settled_once() -> None:
    owed = Owed()
    assert owed.note(7, v.DELIVER_SM) is Noted.NEW
    assert len(owed) == 1
    assert owed.settle(7) == v.DELIVER_SM
    assert owed.settle(7) == 0
    assert len(owed) == 0


def test_a_number_in_use_is_owed_as_often_as_it_is_used() -> None:
    owed = Owed(3)
    owed.note(7, v.DELIVER_SM)
    assert owed.note(7, v.DATA_SM) is Noted.REPEATED
    assert owed.note(7, v.DELIVER_SM) is Noted.REPEATED
    assert owed.note(7, v.DELIVER_SM) is Noted.NO_ROOM
    assert len(owed) == 3
    assert [owed.settle(7) for _ in range(4)] == [v.DELIVER_SM, v.DATA_SM, v.DELIVER_SM, 0]
    assert len(owed) == 0


def test_of_two_requests_with_one_number_the_one_that_is_meant_is_settled() -> None:
    owed = Owed()
    owed.note(7, v.SUBMIT_SM)
    owed.note(7, v.QUERY_SM)
    owed.note(8, v.SUBMIT_SM)
    assert owed.settle(7, v.CANCEL_SM) == 0
    assert owed.settle(7, v.QUERY_SM, v.DATA_SM) == v.QUERY_SM
    assert (owed.owes(7), len(owed)) == (True, 2)
    assert owed.settle(7, v.QUERY_SM) == 0
    assert owed.settle(7, v.SUBMIT_SM) == v.SUBMIT_SM
    assert owed.owes(7) is False


def test_a_number_that_is_used_ever_again_is_searched_for_no_longer_than_any_other() -> None:
    count = 5_000
    owed = Owed(count)
    for _ in range(count):
        owed.note(7, v.SUBMIT_SM)
    assert len(owed._repeated[7]) == 1, "each would cost what all before it cost"
    assert {owed.settle(7, v.SUBMIT_SM, v.DATA_SM) for _ in range(count)} == {v.SUBMIT_SM}
    assert (len(owed), owed.owes(7), owed.settle(7)) == (0, False, 0)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.sampled_from(COMMANDS)), max_size=60)
)
def test_whatever_is_noted_is_settled_once(steps: list[tuple[bool, int, int]]) -> None:
    owed, open_requests = Owed(8), Counter[tuple[int, int]]()
    for notes, sequence, command_id in steps:
        if not notes:
            was_open = open_requests[sequence, command_id] > 0
            assert owed.settle(sequence, command_id) == (command_id if was_open else 0)
            open_requests[sequence, command_id] -= was_open
        elif owed.note(sequence, command_id) is not Noted.NO_ROOM:
            open_requests[sequence, command_id] += 1
        assert len(owed) == open_requests.total() <= 8
        for each in (1, 2, 3):
            assert owed.owes(each) == any(open_requests[each, command] for command in COMMANDS)


def test_a_full_ledger_takes_no_more() -> None:
    owed = Owed(2)
    assert [owed.note(sequence, v.DELIVER_SM) for sequence in (1, 2, 3)] == [
        Noted.NEW,
        Noted.NEW,
        Noted.NO_ROOM,
    ]
    assert owed.settle(3) == 0


def test_clearing_forgets_everything() -> None:
    owed = Owed()
    owed.note(1, v.DELIVER_SM)
    owed.note(1, v.DELIVER_SM)
    owed.clear()
    assert (owed.settle(1), len(owed)) == (0, 0)
