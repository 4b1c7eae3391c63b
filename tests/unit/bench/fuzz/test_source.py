from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.fuzz.source import Source


def test_octets_are_taken_from_the_front() -> None:
    source = Source(bytes(range(1, 10)))
    assert source.number() == 1
    assert source.number(2) == 0x0203
    assert source.octets(2) == b"\x04\x05"
    assert source.left == 4
    assert source.rest() == b"\x06\x07\x08\x09"


def test_every_choice_is_the_first_once_the_octets_have_run_out() -> None:
    source = Source(b"")
    assert source.number(4) == 0
    assert source.some() == b""
    assert source.flag() is False
    assert source.pick(("first", "second")) == "first"
    assert source.left == 0


def test_a_number_cut_short_keeps_its_place_values() -> None:
    assert Source(b"\x01").number(2) == 0x0100


def test_some_takes_a_length_and_so_many_octets() -> None:
    source = Source(b"\x02abc")
    assert source.some() == b"ab"
    assert source.rest() == b"c"


def test_one_of_many_options_is_chosen_by_two_octets() -> None:
    assert Source(b"\x01\x01").pick(range(300)) == 257


@given(st.binary(max_size=40), st.integers(1, 9))
def test_no_octet_is_taken_twice_or_left_out(data: bytes, size: int) -> None:
    source = Source(data)
    taken = b""
    while source.left:
        taken += source.octets(size)
    assert taken == data
