"""The user data header: strict walking, tolerant search for what numbers a part."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.text.errors import MalformedUdh
from gateway.text.udh import (
    NO_SHIFTS,
    Concatenation,
    Element,
    Shifts,
    concatenation,
    header_size,
    parse_udh,
    shift_elements,
    shifts,
)


def udh(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal)


def test_every_element_is_walked_in_order() -> None:
    header = udh("0b 0504 0b84 23f0 0003 2a 02 01")
    assert parse_udh(header) == (
        Element(0x05, udh("0b8423f0")),
        Element(0x00, udh("2a0201")),
    )


def test_an_element_without_data_and_a_header_without_elements_are_walked() -> None:
    assert parse_udh(udh("02 24 00")) == (Element(0x24, b""),)
    assert parse_udh(udh("00")) == ()


def test_what_follows_the_header_is_left_alone() -> None:
    header = udh("05 0003 2a 02 01")
    assert parse_udh(header + b"Hello") == parse_udh(header)
    assert header_size(header + b"Hello") == 6


@pytest.mark.parametrize(
    ("octets", "says"),
    [
        ("", "no length"),
        ("05", "6 octets and has 1"),
        ("05 0003 2a 02", "6 octets and has 5"),
        ("05 0004 2a 02 01", "element at octet 1"),
        ("04 24 01 01 ff", "element at octet 4"),
        ("01 24", "element at octet 1"),
    ],
)
def test_a_header_that_does_not_add_up_is_refused_with_its_place(octets: str, says: str) -> None:
    with pytest.raises(MalformedUdh, match=says):
        parse_udh(udh(octets))


def test_a_header_is_refused_when_cut_anywhere() -> None:
    whole = udh("0b 0504 0b84 23f0 0003 2a 02 01")
    for size in range(len(whole)):
        with pytest.raises(MalformedUdh):
            parse_udh(whole[:size])


@pytest.mark.parametrize(
    ("octets", "found"),
    [
        ("05 0003 2a 02 01", Concatenation(0x2A, 2, 1)),
        ("06 0804 1234 03 02", Concatenation(0x1234, 3, 2, wide=True)),
        ("0b 0504 0b84 23f0 0003 2a 02 01", Concatenation(0x2A, 2, 1)),
        ("09 2401 01 0804 0007 ff ff", Concatenation(7, 255, 255, wide=True)),
        # of two the last one holds
        ("0a 0003 01 02 01 0003 02 02 02", Concatenation(2, 2, 2)),
        ("0b 0003 01 02 01 0804 0102 03 03", Concatenation(0x0102, 3, 3, wide=True)),
        # one that numbers nothing is passed over
        ("0a 0003 01 02 01 0003 02 02 03", Concatenation(1, 2, 1)),
        ("05 0003 2a 00 00", None),
        ("05 0003 2a 02 00", None),
        ("05 0003 2a 02 03", None),
        ("06 0004 2a 02 01 00", None),
        ("05 0803 2a 02 01", None),
        # what comes before a broken end still counts
        ("07 0003 2a 02 01 2405", Concatenation(0x2A, 2, 1)),
        ("20 0003 2a 02 01", Concatenation(0x2A, 2, 1)),
        ("04 2402 0101", None),
        ("00", None),
        ("", None),
    ],
)
def test_the_number_of_a_part_is_found_wherever_it_stands(
    octets: str, found: Concatenation | None
) -> None:
    assert concatenation(udh(octets)) == found


def test_elements_behind_the_header_are_text() -> None:
    assert concatenation(udh("03 240101") + udh("0003 2a0201")) is None


@pytest.mark.parametrize(
    ("octets", "named"),
    [
        ("03 2401 01", Shifts(single=1)),
        ("03 2501 03", Shifts(locking=3)),
        ("06 2401 02 2501 01", Shifts(2, 1)),
        ("06 2501 01 2401 02", Shifts(2, 1)),
        ("08 0003 2a 02 01 2401 01", Shifts(single=1)),
        ("08 2401 01 0003 2a 02 01", Shifts(single=1)),
        # a language that has no name yet is for the tables to judge
        ("03 2401 ff", Shifts(single=255)),
        # of two the last one holds
        ("06 2401 01 2401 03", Shifts(single=3)),
        # one of another size names nothing; what comes before a broken end still counts
        ("04 2402 0101", NO_SHIFTS),
        ("02 2400", NO_SHIFTS),
        ("05 2401 01 2505", Shifts(single=1)),
        ("20 2501 01", Shifts(locking=1)),
        ("05 0003 2a 02 01", NO_SHIFTS),
        ("00", NO_SHIFTS),
        ("", NO_SHIFTS),
    ],
)
def test_the_tables_that_a_header_names_are_found_wherever_they_stand(
    octets: str, named: Shifts
) -> None:
    assert shifts(udh(octets)) == named


def test_tables_in_the_text_behind_a_header_are_text() -> None:
    assert shifts(udh("05 0003 2a 02 01") + udh("2401 01")) == NO_SHIFTS


@given(st.integers(0, 255), st.integers(0, 255))
def test_tables_that_were_named_are_found(single: int, locking: int) -> None:
    elements = shift_elements(Shifts(single, locking))
    assert len(elements) == 3 * (bool(single) + bool(locking))
    header = bytes((len(elements),)) + elements
    assert shifts(header) == Shifts(single, locking)
    assert b"".join(bytes((e.iei, 1)) + e.data for e in parse_udh(header)) == elements


@given(st.binary(max_size=150))
def test_any_octets_are_walked_or_refused_and_searched(octets: bytes) -> None:
    found = concatenation(octets)
    assert found is None or 1 <= found.sequence <= found.total <= 255
    assert 0 <= shifts(octets).single <= 255
    try:
        elements = parse_udh(octets)
    except MalformedUdh:
        return
    assert 1 + sum(2 + len(e.data) for e in elements) == header_size(octets) <= len(octets)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=10))
def test_elements_that_were_written_are_read(elements: list[tuple[int, bytes]]) -> None:
    body = b"".join(bytes((iei, len(data))) + data for iei, data in elements)
    expected = tuple(Element(iei, data) for iei, data in elements)
    assert parse_udh(bytes((len(body),)) + body) == expected
