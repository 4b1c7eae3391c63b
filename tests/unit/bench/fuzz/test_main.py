from __future__ import annotations

import importlib.util

import pytest

from bench.fuzz import __main__ as command
from bench.fuzz import guided
from bench.fuzz.target import Target
from bench.fuzz.targets import TARGETS


def _refuse_magic(case: bytes) -> None:
    """No case is magic, whatever it holds, and this is said at some length."""
    assert b"\x2a" not in case, "magic"


def test_a_run_says_its_seed_its_cases_and_that_all_held(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["--target", "udh", "--cases", "50", "--seed", "7"]) == 0
    said = capsys.readouterr().out
    assert "seed 7, 50 cases of each of 1 targets" in said
    assert "every invariant holds" in said


def test_a_finding_is_printed_with_the_line_that_repeats_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TARGETS, "udh", Target("udh", _refuse_magic))
    assert command.main(["--target", "udh", "--cases", "5000", "--seed", "7"]) == 1
    said = capsys.readouterr().out
    assert "1 findings" in said
    assert "No case is magic" in said
    assert "--target udh --replay '2a'" in said
    assert command.main(["--target", "udh", "--replay", "2a"]) == 1
    assert command.main(["--target", "udh", "--replay", "2b"]) == 0


def test_a_target_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--target", "nothing"])
    assert "invalid choice" in capsys.readouterr().err


def test_without_atheris_the_other_way_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert guided.main(["--target", "udh"]) == 2
    assert "pip install '.[fuzz]'" in capsys.readouterr().err
