"""Dates of receipts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.dlr.dates import read_date


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("2611220915", datetime(2026, 11, 22, 9, 15, tzinfo=UTC)),
        ("261122091507", datetime(2026, 11, 22, 9, 15, 7, tzinfo=UTC)),
        ("202611220915", datetime(2026, 11, 22, 9, 15, tzinfo=UTC)),
        ("20261122091507", datetime(2026, 11, 22, 9, 15, 7, tzinfo=UTC)),
    ],
)
def test_a_date_is_read_with_or_without_century_and_seconds(
    digits: str, expected: datetime
) -> None:
    assert read_date(digits) == expected.timestamp()


@pytest.mark.parametrize("digits", ["", "0000000000", "2602300915", "26112209151", "1" * 400])
def test_what_is_no_date_is_none(digits: str) -> None:
    assert read_date(digits) is None
