from __future__ import annotations

from collections.abc import Sequence

from bench.generator.figures import Figures
from bench.overload.__main__ import judge
from bench.overload.probe import Answer
from bench.overload.scene import Overload

ENDED_S = 100.0


def answer(
    asked_s: float, seconds: float, status: int = 202, *, retry_after: str = "", health: int = 200
) -> Answer:
    return Answer(asked_s, status, seconds, retry_after, health, 0.01)


def found(
    *, during: Sequence[Answer] = (), after: Sequence[Answer] = (), at_carrier: int = 0
) -> Overload:
    before = [answer(90.0, 0.02)]
    http = Figures(accepted=10)
    return Overload(
        10.0, http, Figures(), before, [*during], [*after], [], 90.0, ENDED_S, at_carrier
    )


def test_recovery_is_the_first_of_three_answers_that_are_as_before() -> None:
    after = [answer(100.1, 2.0), answer(102.2, 0.03), answer(103.0, 9.0)]
    after += [answer(112.0 + n, 0.05) for n in range(3)]
    recovery_s = found(after=after).find_recovery_s()
    assert recovery_s is not None
    assert round(recovery_s, 3) == 12.05


def test_refusals_are_no_recovery() -> None:
    after = [answer(100.0 + n, 0.01, 503, retry_after="1") for n in range(10)]
    assert found(after=after).find_recovery_s() is None


def test_a_message_that_was_accepted_and_never_came_is_missed() -> None:
    # Ten of the load and one of the probe were accepted.
    missed = {each.what: each.kept for each in judge(found(at_carrier=10))}
    assert missed["accepted and never at the carrier"] is False
    kept = {each.what: each.kept for each in judge(found(at_carrier=11))}
    assert kept["accepted and never at the carrier"] is True


def test_a_refusal_without_a_time_and_a_sick_health_page_are_missed() -> None:
    during = [answer(95.0, 0.1, 503), answer(96.0, 0.1, health=503)]
    missed = {each.what for each in judge(found(during=during)) if not each.kept}
    assert "one-time passwords refused without a time" in missed
    assert "unhealthy answers of /healthz" in missed
