from __future__ import annotations

import pytest

from bench.growth.goals import Figure


@pytest.mark.parametrize(
    ("value", "kept", "verdict"), [(10.0, True, "kept"), (10.1, False, "MISSED")]
)
def test_a_goal_is_kept_up_to_its_limit(value: float, kept: bool, verdict: str) -> None:
    figure = Figure("a page", value, "ms", 10.0)
    assert figure.kept is kept
    assert figure.row() == ["a page", f"{value:g} ms", "≤ 10 ms", verdict]


def test_a_figure_without_a_goal_says_only_what_was_measured() -> None:
    figure = Figure("rate", 12_345.6, "messages/s")
    assert figure.kept
    assert figure.row() == ["rate", "12,346 messages/s", "", ""]
