from __future__ import annotations

from typing import Any

import pytest

from bench.peers.summary import (
    Spread,
    ratio,
    spread,
    tabulate_cores,
    tabulate_figures,
    tabulate_ratios,
    write_markdown,
)

TITLES = {"ours-single": "ours", "kannel-memory": "Kannel", "jasmin": "Jasmin"}


def measured(system: str, number: int, rate: float, cpu_us: float, **other: Any) -> dict[str, Any]:
    """Return what one measurement says, with nothing lost."""
    return {
        "system": system,
        "round": number,
        "accepted_per_s": rate,
        "end_to_end_per_s": rate,
        "cpu_us_system": cpu_us,
        "cpu_us": {"gateway": cpu_us},
        "memory_peak_sum_mb": 10.0,
        "accept_ms": {"p50": 1.0, "p99": 2.0},
        "lost": 0,
        "duplicated": 0,
        "receipts_lost": 0,
    } | other


ROUNDS = [
    measured("ours-single", 1, 4000, 200),
    measured("kannel-memory", 1, 2000, 300),
    measured("kannel-memory", 2, 1000, 320),
    measured("ours-single", 2, 3000, 100, lost=2),
    measured("ours-single", 3, 1000, 200),
]


def test_a_spread_is_the_median_between_the_lowest_and_the_highest() -> None:
    assert spread([3.0, 1.0, None, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([None]) is None


def test_a_spread_is_shown_in_brackets_or_as_its_furthest_distance() -> None:
    assert Spread(2000.4, 1500.0, 2100.0).show(0) == "2,000 (1,500-2,100)"
    assert Spread(2000.0, 1500.0, 2100.0).show_short(0) == "2,000 ±25%"


def test_one_value_is_shown_alone() -> None:
    assert Spread(1.25, 1.25, 1.25).show(1) == "1.2"
    assert Spread(0.0, 0.0, 0.0).show_short(1) == "0.0"


def test_a_ratio_pairs_what_was_measured_in_the_same_round() -> None:
    found = ratio(ROUNDS, "ours-single", "kannel-memory", lambda m: m["end_to_end_per_s"])
    assert found == Spread(2.5, 2.0, 3.0), "round 3 has no partner"


def test_a_ratio_without_a_common_round_is_none() -> None:
    assert ratio(ROUNDS, "ours-single", "jasmin", lambda m: m["end_to_end_per_s"]) is None


def test_figures_stand_in_the_order_of_the_titles_and_losses_are_added_up() -> None:
    rows = tabulate_figures(list(reversed(ROUNDS)), TITLES)
    assert [row[0] for row in rows] == ["system", "ours", "Kannel"], "Jasmin was not measured"
    ours = dict(zip(rows[0], rows[1], strict=True))
    assert ours["end to end/s"] == "3,000 (1,000-4,000)"
    assert ours["database, brokers"] == "-"
    assert ours["p99 ms at half"] == "-"
    assert (ours["lost"], ours["duplicated"]) == ("2", "0")


@pytest.mark.parametrize("name", ["database", "brokers"])
def test_what_stores_for_the_gateway_has_a_column(name: str) -> None:
    one = measured("ours-single", 1, 1, 1) | {"cpu_us": {"gateway": 7.0, name: 5.0}}
    head, row = tabulate_figures([one], TITLES)
    assert row[head.index("gateway")] == "7" and row[head.index("database, brokers")] == "5"


def test_ratios_say_faster_and_cheaper_for_each_of_ours_against_each_peer() -> None:
    assert tabulate_ratios(ROUNDS, TITLES) == [["rate / CPU", "Kannel"], ["ours", "2.5 / 2.4"]]


def test_markdown_is_padded_and_its_numbers_are_aligned_right() -> None:
    assert write_markdown([["a", "long"], ["first", "1"]]).splitlines() == [
        "| a     | long |",
        "|-------|-----:|",
        "| first | 1    |",
    ]


def test_cores_are_shown_by_who_took_them_and_together() -> None:
    def run(number: int, rate: float) -> dict[str, Any]:
        us = {"gateway": 50.0, "brokers": 20.0, "carrier": 20.0, "load": 10.0}
        share = {name: each * rate / 1e6 for name, each in us.items()}
        return measured("jasmin", number, rate, 70.0) | {"cpu_us": us, "core_share": share}

    rows = tabulate_cores([run(1, 10_000), run(2, 20_000), run(3, 10_000)], TITLES)
    assert rows[1:] == [
        ["Jasmin", "50 µs  50%", "20 µs  20%", "20 µs  20%", "10 µs  10%", "100 µs 100%"]
    ]
