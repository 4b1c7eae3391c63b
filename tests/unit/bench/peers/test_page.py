from __future__ import annotations

from bench.peers.page import write_page

MACHINE = {"processor": "Some CPU", "cores": 2, "memory_mb": 4096, "system": "Linux-6"}
MEASURED = {
    "messages": 20_000,
    "accepted_per_s": 5_000.0,
    "end_to_end_per_s": 4_000.0,
    "cpu_us_system": 150.0,
    "cpu_us": {"gateway": 100.0, "database": 50.0},
    "core_share": {"carrier": 0.25},
    "memory_peak_sum_mb": 150.0,
    "accept_ms": {"p50": 1.0, "p99": 2.0},
    "lost": 0,
    "duplicated": 0,
    "receipts_lost": 0,
    "machine": {"other_cores": 0.1, "load_average": 1.5, "stolen_cores": 0.0},
}
ABOUT = {
    "title": "this gateway",
    "keeps": "everything",
    "configuration": "as it comes",
    "receipts_end": "acknowledged to the carrier",
}
DOCUMENT = {
    "command": "python -m bench.compare",
    "commit": "abc1234",
    "measured_at": "2026-01-02T03:04:05+00:00",
    "machine": MACHINE,
    "left_out": {"jasmin": "missing: Jasmin"},
    "systems": {"ours-single": ABOUT, "jasmin": ABOUT | {"title": "Jasmin"}},
    "measured": [{"system": "ours-single", "round": number} | MEASURED for number in (1, 2, 3)],
}


def test_a_page_says_on_what_and_how_its_figures_came_about() -> None:
    page = write_page(DOCUMENT)
    for part in ("`python -m bench.compare`", "abc1234", "Some CPU, 2 cores", "3 rounds"):
        assert part in page.replace("\n", " ")
    assert "took 0.10 cores meanwhile (load average 1.5" in page.replace("\n", " ")
    assert "carrier took at most 25% of a core" in page.replace("\n", " ")


def test_a_page_says_how_each_system_is_set_and_why_one_was_left_out() -> None:
    page = write_page(DOCUMENT).replace("\n  ", " ")
    assert "- **this gateway**: as it comes. Receipts end when they are acknowledged" in page
    assert "Outlives a kill -9: everything." in page
    assert "Left out: Jasmin: missing: Jasmin" in page
