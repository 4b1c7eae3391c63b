"""An account's volume counts within its month, and never too much."""

from __future__ import annotations

import pytest

from gateway.credit.volumes import (
    NO_VOLUMES,
    MonthVolumes,
    month_after,
    month_begins_s,
    month_of,
)
from gateway.model import AccountId

SHOP, BANK = AccountId(1), AccountId(2)
MARCH = 1_772_323_200
APRIL = MARCH + 31 * 86_400


@pytest.mark.parametrize(
    ("second", "month"),
    [(0, (1970, 1)), (MARCH - 1, (2026, 2)), (MARCH, (2026, 3)), (APRIL, (2026, 4))],
)
def test_a_month_is_of_utc(second: int, month: tuple[int, int]) -> None:
    assert month_of(second) == month


@pytest.mark.parametrize("month", [(1970, 1), (2026, 3), (2026, 12), (2100, 2)])
def test_a_month_begins_where_the_one_before_ends(month: tuple[int, int]) -> None:
    begins_s = month_begins_s(month)
    assert month_of(begins_s) == month
    assert month_after(month_of(begins_s - 1)) == month


def test_what_is_stored_counts_within_its_month_only() -> None:
    volumes = MonthVolumes()
    volumes.add(SHOP, 3, MARCH)
    volumes.add(SHOP, 2, APRIL - 1)
    assert volumes.segments(SHOP, APRIL - 1) == 5
    assert volumes.segments(BANK, APRIL - 1) == 0
    volumes.add(SHOP, 1, APRIL)
    assert volumes.segments(SHOP, APRIL) == 1
    assert volumes.segments(SHOP, MARCH) == 0


def test_what_came_late_for_its_month_does_not_count_for_the_next() -> None:
    volumes = MonthVolumes()
    volumes.add(SHOP, 1, APRIL)
    volumes.add(SHOP, 7, APRIL - 1)
    assert volumes.segments(SHOP, APRIL) == 1


def test_the_greater_of_what_the_store_knew_and_what_was_counted_holds() -> None:
    volumes = MonthVolumes()
    volumes.add(SHOP, 5, MARCH)
    volumes.learn((2026, 3), {SHOP: 1_000, BANK: 7})
    assert (volumes.segments(SHOP, MARCH), volumes.segments(BANK, MARCH)) == (1_000, 7)
    volumes.add(SHOP, 5, MARCH)
    volumes.learn((2026, 3), {SHOP: 1_000})
    assert volumes.segments(SHOP, MARCH) == 1_005


def test_what_the_store_knew_of_another_month_is_not_taken() -> None:
    volumes = MonthVolumes()
    volumes.add(SHOP, 5, APRIL)
    volumes.learn((2026, 3), {SHOP: 1_000})
    assert volumes.segments(SHOP, APRIL) == 5
    volumes.learn((2026, 5), {SHOP: 2})
    assert volumes.segments(SHOP, month_begins_s((2026, 5))) == 2
    assert volumes.segments(SHOP, APRIL) == 0


def test_without_tiers_there_is_no_volume() -> None:
    assert NO_VOLUMES.segments(SHOP, MARCH) == 0
