from __future__ import annotations

import pytest

from bench.fuzz.shrink import shrink


def test_what_does_not_matter_is_taken_away_or_set_to_zero() -> None:
    smallest = shrink(
        b"much noise A more of it B and the rest", lambda c: 0 <= c.find(b"A") < c.find(b"B")
    )
    assert smallest == b"AB"


def test_a_size_that_matters_is_kept() -> None:
    assert shrink(b"12345678", lambda case: len(case) >= 3) == b"\0\0\0"


def test_the_number_of_tries_is_bounded() -> None:
    tried = []

    def fails(case: bytes) -> bool:
        tried.append(case)
        return len(case) == 64

    assert shrink(b"x" * 64, fails, tries_max=20) != b""
    assert len(tried) <= 22


def test_a_case_that_does_not_fail_is_not_made_smaller() -> None:
    with pytest.raises(AssertionError):
        shrink(b"fine", lambda case: False)
