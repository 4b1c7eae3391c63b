"""Whose subscriber a number is, held against a table that is read row by row."""

from __future__ import annotations

import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.routing.operators import (
    NO_OPERATORS,
    Found,
    Operator,
    Operators,
    PortedLoader,
    PortedNumbers,
    parse_code,
)

TELEKOM = Operator("262", "01", "Telekom", "DE")
VODAFONE = Operator("262", "02", "Vodafone", "DE")
ATT = Operator("310", "410", "AT&T", "US")


def test_the_longest_prefix_tells_the_operator() -> None:
    table = Operators({"49": ATT, "491": VODAFONE, "49171": TELEKOM})
    assert table.find("491713920010") == Found(TELEKOM, "49171")
    assert table.find("491729999999") == Found(VODAFONE, "491")
    assert table.find("4930123456") == Found(ATT, "49")
    assert table.find("447400123456") is None
    assert table.code("491713920010") == "26201"
    assert table.code("447400123456") == ""


def test_a_ported_number_goes_by_its_own_entry() -> None:
    table = Operators(
        {"49171": TELEKOM, "49172": VODAFONE}, PortedNumbers.of([("491713920010", "26202")])
    )
    assert table.code("491713920010") == "26202"
    assert table.find("491713920010") == Found(VODAFONE, "")
    assert table.code("491713920011") == "26201"


def test_an_operator_that_no_prefix_names_is_known_by_its_code_alone() -> None:
    table = Operators({}, PortedNumbers.of([("12125550123", "310410")]))
    assert table.find("12125550123") == Found(Operator("310", "410"), "")


def test_an_empty_table_knows_nobody() -> None:
    assert NO_OPERATORS.code("491713920010") == ""
    assert NO_OPERATORS.find("491713920010") is None
    assert len(NO_OPERATORS) == 0


def test_the_last_entry_of_a_number_counts() -> None:
    ported = PortedNumbers.of([("491713920010", "26201"), ("491713920010", "26202")])
    assert (len(ported), ported.find("491713920010")) == (1, "26202")


def test_other_ported_numbers_leave_the_prefixes_as_they_are() -> None:
    table = Operators({"49171": TELEKOM})
    moved = table.with_ported(PortedNumbers.of([("491713920010", "26202")]))
    assert (table.code("491713920010"), moved.code("491713920010")) == ("26201", "26202")
    assert moved.code("491713920011") == "26201"


def test_a_million_ported_numbers_take_twelve_megabytes() -> None:
    count = 1_000_000
    first = 491_700_000_000
    ported = PortedNumbers(
        array("Q", range(first, first + 2 * count, 2)), array("I", [26_201]) * count
    )
    assert ported.memory_bytes == 12_000_000
    assert ported.find(str(first + 2 * 765_432)) == "26201"
    assert ported.find(str(first + 2 * 765_432 + 1)) == ""
    assert ported.find(str(first + 2 * count)) == ""


def test_pages_of_packed_numbers_become_one_table() -> None:
    loader = PortedLoader()
    assert loader.last == 0
    loader.add(struct.pack(">2Q", 447400123456, 491713920010), struct.pack(">2I", 23410, 26202))
    assert loader.last == 491713920010
    loader.add(struct.pack(">Q", 999000000000000), struct.pack(">I", 310410))
    ported = loader.build()
    assert [ported.find(n) for n in ("447400123456", "491713920010", "999000000000000")] == [
        "23410",
        "26202",
        "310410",
    ]


def test_numbers_without_a_code_each_are_no_table() -> None:
    with pytest.raises(ValueError, match="2 numbers and 1 codes"):
        PortedNumbers(array("Q", [1, 2]), array("I", [26_201]))


@pytest.mark.parametrize("written", ["262-01", "26201", "310-410", "310410"])
def test_a_code_is_written_with_or_without_a_dash(written: str) -> None:
    assert parse_code(written) == written.replace("-", "")


@pytest.mark.parametrize("written", ["", "262", "2621", "262-1", "062-01", "26-201", "٢٦٢٠١", "x"])
def test_what_is_no_code_is_named(written: str) -> None:
    with pytest.raises(ConfigError, match="is no operator") as caught:
        parse_code(written, "route[2].operators")
    assert caught.value.key == "route[2].operators"


_digits = st.text(alphabet="012", min_size=1, max_size=5).map(lambda rest: "4" + rest)


@given(
    st.dictionaries(_digits, st.sampled_from([TELEKOM, VODAFONE, ATT]), max_size=12),
    st.dictionaries(_digits, st.sampled_from(["26201", "26202", "310410"]), max_size=12),
    _digits,
)
def test_every_number_finds_what_reading_row_by_row_finds(
    prefixes: dict[str, Operator], ported: dict[str, str], number: str
) -> None:
    expected = ported.get(number, "")
    if not expected:
        fitting = [prefix for prefix in prefixes if number.startswith(prefix)]
        expected = prefixes[max(fitting, key=len)].code if fitting else ""
    table = Operators(prefixes, PortedNumbers.of(ported.items()))
    assert table.code(number) == expected
    found = table.find(number)
    assert (found.operator.code if found else "") == expected
