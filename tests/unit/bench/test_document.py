"""What was measured goes into its place in a page, and nowhere else."""

from __future__ import annotations

from pathlib import Path

from bench.document import insert, write_table

PAGE = """before
<!-- rate -->
old
<!-- /rate -->
between
<!-- lanes -->
kept
<!-- /lanes -->
"""


def test_a_place_is_filled_anew_each_time(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    for said in (r"first \1", r"second \1"):
        insert(page, "rate", said, "Measured.")
    assert page.read_text() == PAGE.replace("old", "second \\1\n\nMeasured.")


def test_a_page_without_the_place_stays_as_it_is(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    insert(page, "other", "said")
    assert page.read_text() == PAGE
    insert(tmp_path / "none.md", "rate", "said")
    assert not (tmp_path / "none.md").exists()


def test_the_first_row_is_the_head_of_a_table() -> None:
    assert write_table([("a", "b"), ("1", "2")]) == "| a | b |\n|---|---|\n| 1 | 2 |"
