"""When a connection has taken too long: every stage, just before and just after its limit."""

from __future__ import annotations

import pytest

from gateway.api.patience import Limits, Patience, Stage, Verdict

LIMITS = Limits(
    head_timeout_s=10,
    body_idle_s=5,
    body_timeout_s=30,
    discard_s=3,
    keep_alive_s=60,
    write_stalled_s=20,
)
REQUEST = object()


@pytest.mark.parametrize(
    ("stage", "limit_s", "then"),
    [
        # A connection that asks nothing is closed without a word, a request in parts is told.
        (Stage.SILENT, 10, Verdict.CLOSE),
        (Stage.HEAD, 10, Verdict.TELL),
        (Stage.BODY, 5, Verdict.TELL),
        (Stage.REST, 3, Verdict.CLOSE),
        (Stage.REFUSED, 3, Verdict.CLOSE),
        (Stage.KEPT, 60, Verdict.CLOSE),
    ],
)
def test_each_stage_ends_after_its_limit(stage: Stage, limit_s: float, then: Verdict) -> None:
    patience = Patience()
    assert patience.judge(stage, REQUEST, 1, LIMITS, 100.0) is Verdict.WAIT
    assert patience.judge(stage, REQUEST, 1, LIMITS, 100.0 + limit_s) is Verdict.WAIT
    assert patience.judge(stage, REQUEST, 1, LIMITS, 100.01 + limit_s) is then


@pytest.mark.parametrize("stage", [s for s in Stage if s not in (Stage.BODY, Stage.WORK)])
def test_what_arrives_prolongs_no_stage_but_a_body(stage: Stage) -> None:
    patience = Patience()
    verdicts = [patience.judge(stage, REQUEST, look, LIMITS, float(look)) for look in range(70)]
    assert verdicts[-1] is not Verdict.WAIT


def test_a_body_that_keeps_coming_has_its_whole_time() -> None:
    patience = Patience()
    for look in range(31):
        assert patience.judge(Stage.BODY, REQUEST, look, LIMITS, float(look)) is Verdict.WAIT
    assert patience.judge(Stage.BODY, REQUEST, 31, LIMITS, 31.0) is Verdict.TELL


def test_a_body_that_we_do_not_read_is_not_idle() -> None:
    patience = Patience()
    for look in range(31):
        verdict = patience.judge(Stage.BODY, REQUEST, 1, LIMITS, float(look), paused=True)
        assert verdict is Verdict.WAIT
    assert patience.judge(Stage.BODY, REQUEST, 1, LIMITS, 30.0) is Verdict.WAIT


def test_a_request_under_way_is_waited_for() -> None:
    patience = Patience()
    for now in (0.0, 1e6):
        assert patience.judge(Stage.WORK, REQUEST, 1, LIMITS, now) is Verdict.WAIT


def test_the_next_request_has_its_own_time() -> None:
    patience = Patience()
    assert patience.judge(Stage.KEPT, REQUEST, 1, LIMITS, 0.0) is Verdict.WAIT
    assert patience.judge(Stage.KEPT, object(), 2, LIMITS, 61.0) is Verdict.WAIT
    assert patience.judge(Stage.KEPT, REQUEST, 3, LIMITS, 122.0) is Verdict.WAIT


def test_a_client_that_reads_nothing_is_dropped_whatever_the_stage() -> None:
    for stage in Stage:
        patience = Patience()
        patience.judge(stage, REQUEST, 1, LIMITS, 0.0)
        patience.judge(stage, REQUEST, 1, LIMITS, 100.0, stalled=True)
        verdict = patience.judge(stage, REQUEST, 1, LIMITS, 120.01, stalled=True)
        assert verdict is Verdict.ABORT


def test_a_client_that_reads_again_is_forgiven() -> None:
    patience = Patience()
    patience.judge(Stage.WORK, REQUEST, 1, LIMITS, 0.0, stalled=True)
    patience.judge(Stage.WORK, REQUEST, 1, LIMITS, 19.0)
    assert patience.judge(Stage.WORK, REQUEST, 1, LIMITS, 21.0, stalled=True) is Verdict.WAIT
