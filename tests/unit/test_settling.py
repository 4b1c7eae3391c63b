"""The table of states, written out: every pair, so that no rule can change unseen."""

from __future__ import annotations

from itertools import permutations, product

import pytest

from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.settling import aggregate, settle_segment

# What a segment can be: SENDING is a message's state, made of segments that differ.
SEGMENT_STATES = tuple(status for status in Status if status is not Status.SENDING)

# One letter a status; a row is the current state, a column the proposed one.
LETTERS = {
    "a": Status.ACCEPTED,
    "s": Status.SUBMITTED,
    "D": Status.DELIVERED,
    "U": Status.UNDELIVERED,
    "E": Status.EXPIRED,
    "R": Status.REJECTED,
    "X": Status.DELETED,
    "C": Status.CANCELED,
    "?": Status.UNKNOWN,
}

SETTLED = """
    a s D U E R X C ?
a:  a s D U E R X C ?
s:  s s D U E R X C ?
D:  D D D D D D D D D
U:  U U U U U U U U U
E:  E E E E E E E E E
R:  R R R R R R R R R
X:  X X X X X X X X X
C:  C C C C C C C C C
?:  ? ? D U E R X C ?
"""

# `-` is SENDING: one segment has left, another has not.
AGGREGATED = """
    a s D U E R X C ?
a:  a - - - - - - - -
s:  - s s s s s s s s
D:  - s D U E R X C ?
U:  - s U U U R U C U
E:  - s E U E R E C E
R:  - s R R R R R C R
X:  - s X U E R X C X
C:  - s C C C C C C C
?:  - s ? U E R X C ?
"""


def cells(table: str) -> list[tuple[Status, Status, Status]]:
    header, *rows = table.strip().splitlines()
    columns = [LETTERS[letter] for letter in header.split()]
    return [
        (LETTERS[row[0]], column, LETTERS.get(value, Status.SENDING))
        for row in rows
        for column, value in zip(columns, row[2:].split(), strict=True)
    ]


def test_the_tables_here_name_every_pair_of_segment_states() -> None:
    pairs = set(product(SEGMENT_STATES, repeat=2))
    assert {(a, b) for a, b, _ in cells(SETTLED)} == pairs
    assert {(a, b) for a, b, _ in cells(AGGREGATED)} == pairs


@pytest.mark.parametrize(("current", "proposed", "settled"), cells(SETTLED))
def test_a_segment_settles_as_the_table_says(
    current: Status, proposed: Status, settled: Status
) -> None:
    assert settle_segment(current, proposed) is settled


@pytest.mark.parametrize(("one", "other", "whole"), cells(AGGREGATED))
def test_two_segments_make_the_state_that_the_table_says(
    one: Status, other: Status, whole: Status
) -> None:
    assert aggregate([one, other]) is whole


def test_settling_twice_with_the_same_report_changes_nothing_more() -> None:
    for current, proposed in product(SEGMENT_STATES, repeat=2):
        once = settle_segment(current, proposed)
        assert settle_segment(once, proposed) is once


def test_a_final_state_is_never_taken_back_to_one_that_is_not() -> None:
    for current, proposed in product(SEGMENT_STATES, repeat=2):
        if current.final:
            assert settle_segment(current, proposed).final


def test_a_receipt_before_its_response_keeps_what_it_said() -> None:
    delivered = settle_segment(Status.ACCEPTED, Status.DELIVERED)
    assert settle_segment(delivered, Status.SUBMITTED) is Status.DELIVERED


def test_a_receipt_after_giving_up_is_taken() -> None:
    given_up = settle_segment(Status.SUBMITTED, SEGMENT_AFTER[EventKind.NO_RECEIPT])
    assert given_up is Status.UNKNOWN
    assert settle_segment(given_up, Status.DELIVERED) is Status.DELIVERED


def test_one_segment_is_the_whole_message() -> None:
    for status in SEGMENT_STATES:
        assert aggregate([status]) is status


def test_the_order_and_the_number_of_equal_segments_do_not_matter() -> None:
    for one, other, third in product(SEGMENT_STATES, repeat=3):
        expected = aggregate([one, other, third])
        for ordered in permutations((one, other, third)):
            assert aggregate(ordered) is expected
        assert aggregate([one, other, third, one, other, third]) is expected


def test_a_message_is_final_exactly_when_all_its_segments_are() -> None:
    for states in product(SEGMENT_STATES, repeat=3):
        assert aggregate(states).final is all(status.final for status in states)


def test_a_message_is_delivered_only_when_every_segment_is() -> None:
    for states in product(SEGMENT_STATES, repeat=3):
        delivered = aggregate(states) is Status.DELIVERED
        assert delivered is (set(states) == {Status.DELIVERED})


def test_a_message_without_segments_is_a_bug_of_ours() -> None:
    with pytest.raises(AssertionError, match="at least one segment"):
        aggregate([])


def test_a_message_never_comes_to_a_state_of_lower_rank() -> None:
    """So the state that holds is found among a message's events without asking for their times."""
    for states in product(SEGMENT_STATES, repeat=3):
        before = aggregate(states)
        for proposed in SEGMENT_STATES:
            after = aggregate((settle_segment(states[0], proposed), *states[1:]))
            assert after.rank > before.rank or after is before


def test_a_segment_never_comes_to_a_state_of_lower_rank() -> None:
    for current, proposed in product(SEGMENT_STATES, repeat=2):
        after = settle_segment(current, proposed)
        assert after.rank > current.rank or after is current
