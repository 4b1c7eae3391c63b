from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.fuzz.coverage import Watch
from bench.fuzz.engine import Report, describe, run_target
from bench.fuzz.limit import Limit, Stalled
from bench.fuzz.target import Target
from gateway.text.udh import concatenation


def _run(check: Callable[[bytes], None], cases: int = 2_000, seed: int = 1) -> Report:
    return run_target(Target("here", check, words=(b"magic",)), [], cases=cases, seed=seed)


def test_a_check_that_holds_runs_every_case() -> None:
    ran: list[bytes] = []
    report = _run(ran.append)
    assert report.finding is None
    assert report.cases == len(ran) == 2_001  # and the seed


def test_one_seed_runs_the_same_cases() -> None:
    first: list[bytes] = []
    again: list[bytes] = []
    other: list[bytes] = []
    _run(first.append)
    _run(again.append)
    _run(other.append, seed=2)
    assert first == again != other


def test_a_finding_is_made_small_and_says_how_it_failed() -> None:
    def check(case: bytes) -> None:
        if b"magic" in case:
            raise KeyError("spelled out")

    report = _run(check)
    assert report.finding is not None
    assert report.finding.case == b"magic"
    assert report.finding.error == "KeyError: 'spelled out'"
    assert "raise KeyError" in report.finding.trace
    assert report.cases < 2_000, "it went on"


def test_shrinking_keeps_to_the_fault_that_was_found() -> None:
    def check(case: bytes) -> None:
        if len(case) > 3:
            raise ValueError("long")
        if case:
            raise TypeError("short")

    target = Target("here", check, seeds=(b"long enough",))
    report = run_target(target, [], cases=1, seed=1)
    assert report.finding is not None
    assert report.finding.error == "ValueError: long"
    assert len(report.finding.case) == 4


def test_a_case_that_never_ends_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Limit.__init__, "__defaults__", (0.01,))

    def check(case: bytes) -> None:
        while b"magic" in case:
            pass

    report = _run(check)
    assert report.finding is not None
    assert report.finding.error.startswith("Stalled")


def test_a_case_in_time_is_left_alone_after_the_limit() -> None:
    with Limit(0.005) as time_limit:
        time_limit.start()
    for _ in range(300_000):  # longer than the limit, which is over
        pass


def test_the_limit_is_processor_time_of_one_case() -> None:
    with Limit(0.01) as time_limit:
        time_limit.start()
        with pytest.raises(Stalled):
            while True:
                pass


def test_a_case_that_fails_only_sometimes_is_not_described() -> None:
    with pytest.raises(AssertionError, match="only sometimes"):
        describe(Target("here", lambda case: None), b"\x01")


def test_a_case_that_takes_a_new_branch_is_kept_and_varied() -> None:
    udh = b"\x05\x00\x03\x07\x02\x01"
    target = Target("here", _look_for_numbers, words=(udh, b"\x00\x03"))
    report = run_target(target, [], cases=2_000, seed=1)
    assert any(concatenation(case) is not None for case in report.reached)
    assert report.edges > 10


def _look_for_numbers(case: bytes) -> None:
    concatenation(case)


def test_the_watch_sees_only_the_gateways_own_code() -> None:
    watch = Watch()
    assert watch.run(_look_for_numbers, b"") is True
    assert watch.run(_look_for_numbers, b"") is False
    assert watch.run(_look_for_numbers, b"\x05\x00\x03\x07\x02\x01") is True
    assert {code.co_filename.rpartition("/")[2] for code, _, _ in watch.edges} == {"udh.py"}


def test_the_watch_lets_errors_through_and_ends_with_them() -> None:
    def fail(case: bytes) -> None:
        raise KeyError

    watch = Watch()
    with pytest.raises(KeyError):
        watch.run(fail, b"")
    concatenation(b"\x05\x00\x03\x07\x02\x01")
    assert watch.edges == set()
