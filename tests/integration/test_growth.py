"""`python -m bench.growth` with few messages: what it fills in is what the gateway leaves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.growth import __main__ as growth
from bench.growth import retention


def test_every_figure_is_measured_on_a_store_that_was_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Three thousand messages leave a file system nothing to be busy with.
    monkeypatch.setattr(retention, "QUIET_S", 0.5)
    monkeypatch.setattr(retention, "AFTER_S", 0.5)
    status = growth.main(
        [
            *("flat", "backlog", "--json", str(tmp_path / "growth.json")),
            *("--held", "3000", "--waiting", "3000", "--messages", "200", "--rounds", "1"),
            *("--seconds", "4"),
        ]
    )
    out = capsys.readouterr().out
    # 1: a busy machine may miss what is asked of times.
    assert status in (0, 1), out
    document = json.loads((tmp_path / "growth.json").read_text())
    figures = {each["what"]: each["value"] for each in document["figures"]}
    assert len(figures) > 25, out
    assert figures["CPU of a single message beside 3,000"] > 0
    assert 0 < figures["a page by a rare status, median"] < 1_000
    assert 0 < figures["a page by recipient, of a day that is over, median"] < 1_000
    whole = "retention of a day of 3,000: its disk is free after"
    assert (
        0 < figures["retention of a day of 3,000: gone for everybody after"] <= figures[whole] + 1
    )
    assert 0 < figures["longest of 200 commits a second while a day of 3,000 is dropped"] < 5_000
    assert figures["they leave at"] > 0, "what was filled in is what the gateway sends"
    assert 20 < figures["memory while they leave"] < 250
