from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generator.figures import Figures, percentile


@pytest.mark.parametrize(
    ("percent", "value"), [(50.0, 50), (90.0, 90), (99.0, 99), (99.9, 100), (100.0, 100), (0.0, 1)]
)
def test_percentiles_are_nearest_ranks(percent: float, value: int) -> None:
    assert percentile(range(1, 101), percent) == value


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([0.5], 99.9) == 0.5


@given(st.lists(st.floats(0, 1e6), min_size=1), st.sampled_from([50.0, 90.0, 99.0, 99.9]))
def test_at_least_its_percent_of_values_are_no_larger(values: list[float], percent: float) -> None:
    found = percentile(sorted(values), percent)
    assert found in values
    assert sum(value <= found for value in values) >= len(values) * percent / 100 - 1e-9


def test_a_report_counts_everything_and_is_json() -> None:
    figures = Figures(accepted=90, segments=95, requests=12, lost=4)
    figures.rejected["422 invalid_number"] = 6
    figures.statuses[202] = 9
    figures.latencies_s.extend([0.003, 0.001, 0.002])
    report = json.loads(json.dumps(figures.report(2.0)))
    assert figures.settled() == 100
    assert report["accepted_per_s"] == 45.0
    assert report["latency_ms"] == {
        "p50": 2.0,
        "p90": 3.0,
        "p99": 3.0,
        "p99.9": 3.0,
        "max": 3.0,
        "mean": 2.0,
    }
    assert report["statuses"] == {"202": 9}


def test_a_run_without_answers_has_no_latencies() -> None:
    assert Figures().report(0.0)["latency_ms"] == {}
