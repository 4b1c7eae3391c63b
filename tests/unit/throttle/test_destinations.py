"""What holds for which recipients."""

from __future__ import annotations

import pytest

from gateway.throttle.destinations import Destinations


@pytest.mark.parametrize(
    ("recipient", "country", "found"),
    [
        ("447400123456", "GB", "mobile"),
        ("447624123456", "IM", "man"),
        ("442071234567", "GB", "britain"),
        ("353871234567", "IE", "ireland"),
        ("4915112345678", "DE", None),
        ("44", "", None),
        ("870123456", "", None),
    ],
)
def test_the_longest_prefix_counts_and_then_the_country(
    recipient: str, country: str, found: str | None
) -> None:
    destinations = Destinations(
        {"447": "mobile", "447624": "man"}, {"GB": "britain", "IM": "unused", "IE": "ireland"}
    )
    assert destinations.find(recipient, country) == found


def test_nothing_holds_where_nothing_is_named() -> None:
    assert Destinations({}, {}).find("447400123456", "GB") is None


def test_an_operator_counts_after_any_prefix_and_before_the_country() -> None:
    destinations = Destinations({"353": "ireland"}, {"GB": "britain"}, {"23410": "o2"})
    assert destinations.find("447400123456", "GB", "23410") == "o2"
    assert destinations.find("447400123456", "GB", "23415") == "britain"
    assert destinations.find("353871234567", "IE", "23410") == "ireland"
