"""A session's timers with literal times."""

import pytest

from gateway.smpp.timers import Clocks, Due, Timings, list_deadlines, next_deadline, step

TIMINGS = Timings(
    session_init_s=10.0,
    enquire_link_s=30.0,
    response_s=60.0,
    late_grace_s=5.0,
    inactivity_s=300.0,
    unbind_s=7.0,
)


def bound(
    heard_at: float = 0.0,
    *,
    enquired_at: float | None = None,
    oldest_sent_at: float | None = None,
    overdue_at: float | None = None,
) -> Clocks:
    return Clocks(True, 0.0, heard_at, enquired_at, oldest_sent_at, overdue_at)


@pytest.mark.parametrize(
    ("clocks", "deadline", "due"),
    [
        (Clocks(False, 2.0, 2.0), 12.0, Due.SESSION_INIT_EXPIRED),
        (bound(100.0), 130.0, Due.ENQUIRE),
        (bound(100.0, enquired_at=130.0), 190.0, Due.PEER_SILENT),
        (bound(100.0, oldest_sent_at=50.0), 110.0, Due.RESPONSE_OVERDUE),
        (bound(100.0, oldest_sent_at=50.0, overdue_at=110.0), 115.0, Due.GRACE_OVER),
        (bound(100.0, enquired_at=399.0), 400.0, Due.INACTIVE),
        (Clocks(False, 0.0, 0.0, unbound_at=20.0), 27.0, Due.UNBIND_EXPIRED),
    ],
)
def test_each_deadline_is_due_at_its_moment_and_not_before(
    clocks: Clocks, deadline: float, due: Due
) -> None:
    assert next_deadline(TIMINGS, clocks) == deadline
    assert step(TIMINGS, clocks, deadline - 0.001) is None
    assert step(TIMINGS, clocks, deadline) is due


def test_only_session_init_runs_before_a_session_is_bound() -> None:
    clocks = Clocks(False, 0.0, 0.0, enquired_at=0.0, oldest_sent_at=0.0)
    assert [due for _, due in list_deadlines(TIMINGS, clocks)] == [Due.SESSION_INIT_EXPIRED]


def test_only_the_unbind_runs_once_it_is_sent() -> None:
    clocks = Clocks(False, 0.0, 0.0, oldest_sent_at=0.0, unbound_at=1.0)
    assert [due for _, due in list_deadlines(TIMINGS, clocks)] == [Due.UNBIND_EXPIRED]


def test_a_link_that_was_asked_is_not_asked_again() -> None:
    dues = [due for _, due in list_deadlines(TIMINGS, bound(0.0, enquired_at=30.0))]
    assert Due.ENQUIRE not in dues


def test_the_gravest_of_several_comes_first() -> None:
    clocks = bound(0.0, enquired_at=30.0, oldest_sent_at=0.0)
    assert step(TIMINGS, clocks, 1000.0) is Due.PEER_SILENT


def test_zero_turns_enquire_link_and_inactivity_off() -> None:
    timings = Timings(enquire_link_s=0.0, inactivity_s=0.0)
    assert next_deadline(timings, bound(0.0)) is None
    assert step(timings, bound(0.0), 1e9) is None
