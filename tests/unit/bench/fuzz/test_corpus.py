from __future__ import annotations

from pathlib import Path

import pytest

from bench.fuzz.corpus import keep_cases, read_cases
from bench.fuzz.target import Target
from gateway.text.udh import concatenation

NUMBERED = bytes((5, 0, 3, 7, 2, 1))
NUMBERED_WIDE = bytes((6, 8, 4, 7, 7, 2, 1))


def _look_for_numbers(case: bytes) -> None:
    concatenation(case)


UDH = Target("udh", _look_for_numbers)


def test_a_target_without_a_file_has_no_cases(tmp_path: Path) -> None:
    assert read_cases("udh", tmp_path) == []


def test_what_is_kept_is_read_back_the_shortest_first(tmp_path: Path) -> None:
    assert keep_cases(UDH, [NUMBERED_WIDE, NUMBERED, b""], tmp_path) == 3
    assert read_cases("udh", tmp_path) == [b"", NUMBERED, NUMBERED_WIDE]


def test_a_case_that_reaches_nothing_of_its_own_is_not_kept(tmp_path: Path) -> None:
    keep_cases(UDH, [NUMBERED + b"and text"], tmp_path)
    assert keep_cases(UDH, [NUMBERED, NUMBERED + b"!"], tmp_path) == 1
    assert read_cases("udh", tmp_path) == [NUMBERED]


def test_a_commented_case_stays_whatever_it_reaches(tmp_path: Path) -> None:
    line = f"{(NUMBERED + NUMBERED).hex()}  # once read past its end\n"
    (tmp_path / "udh.hex").write_text(f"# of handsets\n{line}")
    keep_cases(UDH, [NUMBERED, NUMBERED_WIDE], tmp_path)
    assert (tmp_path / "udh.hex").read_text().startswith(f"# of handsets\n{line}")
    assert read_cases("udh", tmp_path) == [NUMBERED + NUMBERED, NUMBERED_WIDE]


def test_comments_and_blank_lines_are_no_cases(tmp_path: Path) -> None:
    (tmp_path / "udh.hex").write_text("# a header that ends too early\n\n05 00  # its octets\n-\n")
    assert read_cases("udh", tmp_path) == [b"\x05\x00", b""]


def test_a_line_that_is_not_hexadecimal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "udh.hex").write_text("05 0g\n")
    with pytest.raises(ValueError, match="non-hexadecimal"):
        read_cases("udh", tmp_path)
