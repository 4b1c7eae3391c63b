"""A message's segments until they have left, and what a restart makes of their events."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.jobs import NOT_TAKEN, Job, Submission, new_job, rebuild_job
from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Event
from gateway.text.segment import split

MakeMessage = Callable[..., Message]
Take = Callable[[Job, int], Submission]
FIRST, SECOND = CarrierId(1), CarrierId(2)
WALL = 1_000.0


def happened(
    kind: EventKind,
    segment: int = 1,
    carrier_id: CarrierId | None = FIRST,
    *,
    status: Status | None = None,
    error: str | None = None,
) -> Event:
    after = status or SEGMENT_AFTER[kind]
    return Event(
        MessageId(7),
        AccountId(3),
        WALL,
        kind,
        segment,
        after,
        after,
        False,
        carrier_id,
        error=error,
    )


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("segments", [1, 3])
def test_a_new_job_has_everything_before_it(segments: int, make_message: MakeMessage) -> None:
    job = new_job(make_message(segments))
    assert job.carrier_id == FIRST
    assert job.states == [Status.ACCEPTED] * segments
    assert job.unsent == list(range(segments))
    assert job.pristine
    assert not job.closed
    assert job.segment_price_micros == 70
    assert job.status() is Status.ACCEPTED


def test_new_jobs_share_nothing(make_message: MakeMessage) -> None:
    one, other = new_job(make_message(2)), new_job(make_message(2))
    one.states[0] = Status.DELIVERED
    one.unsent.clear()
    one.failed(0)
    assert (other.states[0], other.unsent, other.attempts) == (Status.ACCEPTED, [0, 1], {})


def test_a_job_is_pristine_until_its_first_segment_leaves_and_when_all_have_come_back(
    make_message: MakeMessage, take: Take
) -> None:
    job = new_job(make_message(2))
    take(job, 0)
    assert not job.pristine
    job.put_back(0)
    assert job.pristine


def test_segments_that_come_back_stand_in_their_order(
    make_message: MakeMessage, take: Take
) -> None:
    job = new_job(make_message(3))
    for index in (0, 1, 2):
        take(job, index)
    for index in (2, 0, 1):
        job.put_back(index)
    assert job.unsent == [0, 1, 2]


def test_attempts_are_counted_a_segment(make_message: MakeMessage) -> None:
    job = new_job(make_message(2))
    assert [job.failed(0), job.failed(0), job.failed(1)] == [1, 2, 1]


def test_with_another_carrier_everything_begins_anew(make_message: MakeMessage) -> None:
    job = new_job(make_message(2))
    job.failed(1)
    job.not_before, job.cut = 99.0, split("a" * 161, None, 1)
    job.move_to(SECOND)
    assert (job.carrier_id, job.attempts, job.not_before) == (SECOND, {}, 0.0)
    assert job.cut is None


def test_a_job_is_refused_while_it_stands_with_a_carrier_that_does_not_want_it(
    make_message: MakeMessage,
) -> None:
    job = new_job(make_message())
    job.tried = (FIRST,)
    assert job.refused
    job.move_to(SECOND)
    assert not job.refused


@pytest.mark.parametrize(
    ("closed", "refused", "left_s", "may"),
    [
        (False, False, 60.0, True),
        (False, False, 0.1, True),
        (False, False, 0.0, False),
        (True, False, 60.0, False),
        (False, True, 60.0, False),
    ],
)
def test_what_is_closed_refused_or_too_old_does_not_leave(
    closed: bool, refused: bool, left_s: float, may: bool, make_message: MakeMessage
) -> None:
    job = new_job(make_message())
    job.closed = closed
    job.tried = (FIRST,) if refused else ()
    assert job.may_leave(job.message.expires_at - left_s) is may


# ── what a restart makes of events ───────────────────────────────────────────────────────────

RETRY, LEAVING, SUBMITTED = EventKind.RETRY, EventKind.LEAVING, EventKind.SUBMITTED


@pytest.mark.parametrize(
    ("events", "unsent", "doubtful"),
    [
        ([], [0, 1], []),
        ([happened(SUBMITTED, 1)], [1], []),
        ([happened(SUBMITTED, 1), happened(SUBMITTED, 2)], [], []),
        ([happened(RETRY, 1)], [0, 1], []),
        # About to leave, at most once: nobody knows.
        ([happened(LEAVING, 1)], [1], [0]),
        ([happened(LEAVING, 1), happened(LEAVING, 2)], [], [0, 1]),
        # … unless its answer came,
        ([happened(LEAVING, 1), happened(SUBMITTED, 1)], [1], []),
        ([happened(LEAVING, 1), happened(EventKind.HELD, 1)], [1], []),
        ([happened(LEAVING, 1), happened(RETRY, 1)], [0, 1], []),
        # … or it did not leave after all,
        ([happened(LEAVING, 1), happened(RETRY, 1, error=NOT_TAKEN)], [0, 1], []),
        # … but then was about to once more.
        ([happened(LEAVING, 1), happened(RETRY, 1), happened(LEAVING, 1)], [1], [0]),
        # A receipt that overtook its submit_sm_resp stands before it.
        (
            [
                happened(EventKind.RECEIPT, 2, status=Status.DELIVERED),
                happened(SUBMITTED, 2),
            ],
            [0],
            [],
        ),
    ],
)
def test_a_restart_sends_what_has_no_end_and_asks_where_it_may_not_send_twice(
    events: list[Event], unsent: list[int], doubtful: list[int], make_message: MakeMessage
) -> None:
    job = rebuild_job(make_message(2), events)
    assert (job.unsent, job.doubtful, job.closed) == (unsent, doubtful, False)


def test_the_rest_of_a_message_that_was_given_up_comes_closed(make_message: MakeMessage) -> None:
    job = rebuild_job(
        make_message(3), [happened(EventKind.REFUSED, 1), happened(EventKind.REFUSED, 3)]
    )
    assert (job.closed, job.unsent) == (True, [1])


def test_states_are_those_that_the_events_settle_to(make_message: MakeMessage) -> None:
    job = rebuild_job(
        make_message(3),
        [
            happened(EventKind.RECEIPT, 1, status=Status.DELIVERED),
            happened(SUBMITTED, 1),
            happened(SUBMITTED, 2),
            happened(RETRY, 3),
        ],
    )
    assert job.states == [Status.DELIVERED, Status.SUBMITTED, Status.ACCEPTED]


def test_the_rest_goes_where_its_first_parts_went(make_message: MakeMessage) -> None:
    assert rebuild_job(make_message(2), [happened(SUBMITTED, 1, SECOND)]).carrier_id == SECOND
    assert rebuild_job(make_message(2), [happened(LEAVING, 1, SECOND)]).carrier_id == SECOND


def test_attempts_are_those_with_the_carrier_that_was_asked_last(make_message: MakeMessage) -> None:
    job = rebuild_job(
        make_message(2),
        [
            happened(RETRY, 1),
            happened(RETRY, 1),
            happened(RETRY, 1, SECOND),
            happened(RETRY, 2, SECOND),
            happened(RETRY, 2, SECOND, error=NOT_TAKEN),
            happened(RETRY, 2, SECOND, error="bind lost"),
        ],
    )
    assert (job.carrier_id, job.attempts) == (SECOND, {0: 1, 1: 2})
