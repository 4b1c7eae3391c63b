from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import pytest

from gateway.lifecycle import Status
from gateway.store.partitions import ids_of
from gateway.store.recipient_index import DayIndexed
from gateway.store.search import ID_END, Filters, Stretch, Way, choose_way, cut, filters_of
from gateway.views import Search

DAYS = [date(2027, 3, number) for number in range(1, 8)]
FIRST = [ids_of(day)[0] for day in DAYS]


def days(marks: str) -> list[DayIndexed]:
    """Make days from the first of March on: `#` has an index, `.` has none, a blank is missing."""
    return [
        DayIndexed(day, mark == "#") for day, mark in zip(DAYS, marks, strict=False) if mark != " "
    ]


def filters(**those: Any) -> Filters:
    found = filters_of(Search(**those))
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ("", [(0, ID_END, False)]),
        ("...", [(0, ID_END, False)]),
        ("###", [(0, ID_END, True)]),
        ("###..", [(FIRST[3], ID_END, False), (0, FIRST[3], True)]),
        ("..##.", [(FIRST[4], ID_END, False), (FIRST[2], FIRST[4], True), (0, FIRST[2], False)]),
        # A day that is missing belongs to the one before it.
        ("# .", [(FIRST[2], ID_END, False), (0, FIRST[2], True)]),
        (". #", [(FIRST[2], ID_END, True), (0, FIRST[2], False)]),
    ],
)
def test_ids_are_cut_where_days_with_and_without_an_index_meet(
    marks: str, expected: list[tuple[int, int, bool]]
) -> None:
    assert cut(0, ID_END, days(marks)) == [Stretch(*each) for each in expected]


def test_a_cut_range_keeps_its_ends() -> None:
    since, before = FIRST[1] + 7, FIRST[4] + 9
    for marks in ("#######", ".......", "#.#.#.#", "##.....", " ###.. ", "#     #", "    ###"):
        cuts = cut(since, before, days(marks))
        assert (cuts[-1].since, cuts[0].before) == (since, before)
        for newer, older in pairwise(cuts):
            assert newer.since == older.before
            assert newer.indexed != older.indexed
        assert all(each.since < each.before for each in cuts)


def test_a_range_within_one_day_is_one_stretch() -> None:
    assert cut(FIRST[1], FIRST[1] + 1, days("#.#")) == [Stretch(FIRST[1], FIRST[1] + 1, False)]
    assert cut(FIRST[1] - 1, FIRST[1], days("#.#")) == [Stretch(FIRST[1] - 1, FIRST[1], True)]


@pytest.mark.parametrize(
    ("those", "open_days", "indexed"),
    [
        ({}, Way.NEWEST, Way.NEWEST),
        ({"tag": "spring"}, Way.SCAN, Way.SCAN),
        ({"client_ref": "order-7"}, Way.SCAN, Way.SCAN),
        ({"to": "49"}, Way.SCAN, Way.RECIPIENT),
        ({"to": "49", "tag": "spring"}, Way.SCAN, Way.RECIPIENT),
        ({"status": "delivered"}, Way.STATES, Way.STATES),
        ({"status": "scheduled", "tag": "spring"}, Way.STATES, Way.STATES),
        ({"status": "rejected"}, Way.RARE, Way.RARE),
        ({"status": "rejected", "to": "49"}, Way.RARE, Way.RECIPIENT),
    ],
)
def test_a_search_takes_the_way_that_finds_most_with_least(
    those: dict[str, str], open_days: Way, indexed: Way
) -> None:
    assert choose_way(filters(**those), indexed=False) is open_days
    assert choose_way(filters(**those), indexed=True) is indexed


def test_only_final_statuses_other_than_delivered_are_rare() -> None:
    for status in Status:
        way = choose_way(filters(status=status.wire), indexed=False)
        assert way is (Way.RARE if status.final and status is not Status.DELIVERED else Way.STATES)
