from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from bench.compare import choose_systems, list_systems, main
from bench.peers.carrier import SimulatedCarrier
from bench.peers.processes import CannotRun
from bench.peers.sink import Sink
from bench.peers.system import ReceiptsEnd, Running, System

SYSTEMS = list_systems(connections=64, binds=1)


def names(words: str) -> list[str]:
    return [system.name for system in choose_systems(SYSTEMS, words)]


def test_without_words_every_system_is_compared() -> None:
    assert names("") == [system.name for system in SYSTEMS]


def test_a_name_or_the_beginning_of_some_chooses() -> None:
    assert names("kannel-file,ours-batch") == ["kannel-file", "ours-batch"]
    assert names("ours") == [
        *("ours-single", "ours-nodes", "ours-batch", "ours-smpp", "ours-smpp-receipts"),
    ]


def test_one_that_is_also_a_beginning_is_itself_alone() -> None:
    assert names("ours-smpp") == ["ours-smpp"]


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no system 'kamex'.*jasmin"):
        names("kamex")


def test_every_system_says_how_it_is_set_and_what_it_keeps() -> None:
    for system in SYSTEMS:
        assert system.configuration and system.keeps and system.title, system.name


def test_a_system_that_can_not_run_is_left_out_and_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def check() -> None:
        raise CannotRun("missing: everything")

    def start(
        folder: Path, carrier: SimulatedCarrier, sink: Sink
    ) -> AbstractContextManager[Running]:
        raise AssertionError("it is not there")

    absent = System(
        name="absent",
        title="Absent",
        keeps="",
        configuration="",
        receipts_end=ReceiptsEnd.CARRIER,
        check=check,
        start=start,
    )
    monkeypatch.setattr("bench.compare.list_systems", lambda connections, binds: [absent])
    assert main(["--rounds", "1"]) == 1, "nothing was measured"
    assert "left out: Absent: missing: everything" in capsys.readouterr().out
