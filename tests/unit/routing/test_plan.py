"""Numbering plans by themselves: finding them, trunk prefixes, countries."""

from __future__ import annotations

import phonenumbers
import pytest

from gateway.routing.plan import NATIONAL_DIGITS_MAX, NumberingPlan, find_plan


def test_every_known_calling_code_is_found_by_the_digits_that_begin_with_it() -> None:
    for calling_code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        plan = find_plan(f"{calling_code}55555")
        assert plan is not None
        assert plan.calling_code == calling_code
        assert plan.calling_code_digits == len(str(calling_code))


def test_a_plan_is_built_once_for_all_its_beginnings() -> None:
    assert find_plan("12015550123") is find_plan("16135550123") is find_plan("1")


@pytest.mark.parametrize("digits", ["", "0", "044", "210", "999", "99"])
def test_digits_that_no_calling_code_begins_have_no_plan(digits: str) -> None:
    assert find_plan(digits) is None


@pytest.mark.parametrize(
    ("calling_code", "written", "national"),
    [
        (44, "07400123456", "7400123456"),
        (44, "7400123456", "7400123456"),
        (39, "0212345678", "0212345678"),
        (54, "111523456789", "91123456789"),
        (54, "91123456789", "91123456789"),
        (7, "89161234567", "9161234567"),
        (55, "0151123456789", "1123456789"),
        (1, "12015550123", "2015550123"),
        (44, "01", "01"),
    ],
)
def test_a_trunk_prefix_goes_only_where_it_is_one(
    calling_code: int, written: str, national: str
) -> None:
    assert NumberingPlan(calling_code).strip_prefix(written) == national


def test_no_plan_has_numbers_longer_than_its_stated_bound() -> None:
    for calling_code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
        assert max(NumberingPlan(calling_code).lengths) <= NATIONAL_DIGITS_MAX


def test_every_rule_of_every_plan_compiles_and_names_only_its_own_countries() -> None:
    for calling_code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        plan = NumberingPlan(calling_code)
        countries = {"" if region == "001" else region for region in regions}
        for length in plan.lengths:
            for digit in "0235789":
                allocation = plan.find_allocation(digit * length)
                assert allocation is None or allocation.country in countries


def test_a_length_without_numbers_is_answered_without_compiling() -> None:
    plan = NumberingPlan(44)
    assert plan.find_allocation("7" * 3) is None
    assert plan.find_allocation("7" * 40) is None
    assert plan._rules == {}
