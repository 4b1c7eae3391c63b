"""When a connection has taken too long: every phase, just before and just after its limit."""

from __future__ import annotations

import pytest

from gateway.api.patience import Limits, Phase, Progress, Verdict

LIMITS = Limits(
    head_timeout_s=10,
    body_idle_s=5,
    body_timeout_s=30,
    discard_s=3,
    keep_alive_s=60,
    write_stalled_s=20,
)


def progress(**given: object) -> Progress:
    return Progress(**{"began_at": 100.0, "moved_at": 100.0, **given})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "last_waiting", "then"),
    [
        # A connection that asks nothing is closed without a word, a request in parts is told.
        ({"phase": Phase.HEAD}, 110.0, Verdict.CLOSE),
        ({"phase": Phase.HEAD, "asked": True}, 110.0, Verdict.TELL),
        ({"phase": Phase.BODY}, 105.0, Verdict.TELL),
        ({"phase": Phase.BODY, "moved_at": 120.0}, 125.0, Verdict.TELL),
        ({"phase": Phase.BODY, "moved_at": 129.0}, 130.0, Verdict.TELL),
        # The rest of a body that was refused is read for a while, however fast it comes.
        ({"phase": Phase.BODY, "answered_at": 101.0, "moved_at": 104.0}, 104.0, Verdict.CLOSE),
        ({"phase": Phase.DONE, "answered_at": 100.0}, 161.0, Verdict.CLOSE),
        ({"phase": Phase.REFUSED}, 103.0, Verdict.CLOSE),
        ({"phase": Phase.DONE, "stalled_at": 100.0}, 120.0, Verdict.ABORT),
        ({"phase": Phase.REFUSED, "began_at": 119.0, "stalled_at": 100.0}, 120.0, Verdict.ABORT),
    ],
)
def test_each_phase_ends_after_its_limit(
    given: dict[str, object], last_waiting: float, then: Verdict
) -> None:
    assert progress(**given).judge(LIMITS, last_waiting) is Verdict.WAIT
    assert progress(**given).judge(LIMITS, last_waiting + 0.01) is then


def test_a_request_under_way_is_waited_for() -> None:
    assert progress(phase=Phase.DONE).judge(LIMITS, 1e6) is Verdict.WAIT


def test_a_phase_begins_when_it_is_entered() -> None:
    connection = progress(phase=Phase.HEAD)
    connection.enter(Phase.BODY, 109.0)
    assert connection.judge(LIMITS, 114.0) is Verdict.WAIT
