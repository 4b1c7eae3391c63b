"""SMPP's times, as customers write them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.times import NOT_A_TIME, format_time, parse_time

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC).timestamp()


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("261122101500000+", at(2026, 11, 22, 10, 15)),
        ("261122101500500+", at(2026, 11, 22, 10, 15, 0, 500_000)),
        ("261122101500004+", at(2026, 11, 22, 9, 15)),
        ("261122101500004-", at(2026, 11, 22, 11, 15)),
        ("261122001500022+", at(2026, 11, 21, 18, 45)),
        ("000000000100000R", NOW + 60),
        ("000002000000000R", NOW + 2 * 86_400),
        ("010000000000000R", NOW + 365 * 86_400),
        ("000100000000000r", NOW + 30 * 86_400),
        ("000000010203000R", NOW + 3_723),
        ("000000000000000R", NOW),
    ],
)
def test_a_time_is_read_in_either_form(raw: str, expected: float) -> None:
    assert parse_time(raw, NOW) == pytest.approx(expected)


@pytest.mark.parametrize(
    "raw",
    [
        "2611221015",
        "26112210150000+",
        "2611221015000000+",
        "261322101500000+",
        "260230101500000+",
        "261122256000000+",
        "261122101500000*",
        "26112210150000٣+",
        "26112210+500000R",
        "                ",
        "x" * 16,
    ],
)
def test_what_names_no_moment_is_no_time(raw: str) -> None:
    assert parse_time(raw, NOW) is NOT_A_TIME


def test_a_written_time_is_read_back() -> None:
    assert format_time(at(2026, 1, 2, 3, 4, 5)) == "260102030405000+"
    assert parse_time(format_time(NOW), 0.0) == NOW


@given(st.text(max_size=20))
def test_whatever_comes_is_a_time_or_none(raw: str) -> None:
    parsed = parse_time(raw, NOW)
    assert parsed is NOT_A_TIME or isinstance(parsed, float)
