"""A message's segments, the events they make, and what a restart makes of these events."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.jobs import NOT_TAKEN, Job, Submission, new_job, rebuild_job
from gateway.journal import PART_FAILED, Journal
from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.model import AccountId, CarrierId, Encoding, Lane, Message, MessageId, Micros
from gateway.outcomes import Event
from gateway.text.segment import split

FIRST, SECOND = CarrierId(1), CarrierId(2)
WALL = 1_000.0


def message(segments: int = 1) -> Message:
    return Message(
        id=MessageId(7),
        account_id=AccountId(3),
        accepted_at=0.0,
        sender="Shop",
        recipient="447911123456",
        country="GB",
        text="hi",
        encoding=Encoding.GSM7,
        segments=segments,
        lane=Lane.OTP,
        price_micros=Micros(70 * segments),
        routes=(FIRST, SECOND),
        expires_at=WALL + 60,
    )


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


def take(job: Job, index: int) -> Submission:
    """Have a segment leave, as a dispatcher does."""
    job.unsent.remove(index)
    job.in_flight += 1
    return Submission(job, index, job.carrier_id, 0.0)


def land(submission: Submission) -> Submission:
    submission.job.in_flight -= 1
    return submission


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("segments", [1, 3])
def test_a_new_job_has_everything_before_it(segments: int) -> None:
    job = new_job(message(segments))
    assert job.carrier_id == FIRST
    assert job.states == [Status.ACCEPTED] * segments
    assert job.unsent == list(range(segments))
    assert job.pristine
    assert not job.closed
    assert job.segment_price_micros == 70
    assert job.status() is Status.ACCEPTED


def test_new_jobs_share_nothing() -> None:
    one, other = new_job(message(2)), new_job(message(2))
    one.states[0] = Status.DELIVERED
    one.unsent.clear()
    one.failed(0)
    assert (other.states[0], other.unsent, other.attempts) == (Status.ACCEPTED, [0, 1], {})


def test_a_job_is_pristine_until_its_first_segment_leaves_and_when_all_have_come_back() -> None:
    job = new_job(message(2))
    take(job, 0)
    assert not job.pristine
    job.put_back(0)
    assert job.pristine


def test_segments_that_come_back_stand_in_their_order() -> None:
    job = new_job(message(3))
    for index in (0, 1, 2):
        take(job, index)
    for index in (2, 0, 1):
        job.put_back(index)
    assert job.unsent == [0, 1, 2]


def test_attempts_are_counted_a_segment() -> None:
    job = new_job(message(2))
    assert [job.failed(0), job.failed(0), job.failed(1)] == [1, 2, 1]


def test_with_another_carrier_everything_begins_anew() -> None:
    job = new_job(message(2))
    job.failed(1)
    job.not_before, job.cut = 99.0, split("a" * 161, None, 1)
    job.move_to(SECOND)
    assert (job.carrier_id, job.attempts, job.not_before) == (SECOND, {}, 0.0)
    assert job.cut is None


def test_a_job_is_refused_while_it_stands_with_a_carrier_that_does_not_want_it() -> None:
    job = new_job(message())
    job.tried = (FIRST,)
    assert job.refused
    job.move_to(SECOND)
    assert not job.refused


@pytest.mark.parametrize(
    ("closed", "refused", "wall", "may"),
    [
        (False, False, WALL, True),
        (False, False, WALL + 59.9, True),
        (False, False, WALL + 60, False),
        (True, False, WALL, False),
        (False, True, WALL, False),
    ],
)
def test_what_is_closed_refused_or_too_old_does_not_leave(
    closed: bool, refused: bool, wall: float, may: bool
) -> None:
    job = new_job(message())
    job.closed = closed
    job.tried = (FIRST,) if refused else ()
    assert job.may_leave(wall) is may


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
    events: list[Event], unsent: list[int], doubtful: list[int]
) -> None:
    job = rebuild_job(message(2), events)
    assert (job.unsent, job.doubtful, job.closed) == (unsent, doubtful, False)


def test_the_rest_of_a_message_that_was_given_up_comes_closed() -> None:
    job = rebuild_job(message(3), [happened(EventKind.REFUSED, 1), happened(EventKind.REFUSED, 3)])
    assert (job.closed, job.unsent) == (True, [1])


def test_states_are_those_that_the_events_settle_to() -> None:
    job = rebuild_job(
        message(3),
        [
            happened(EventKind.RECEIPT, 1, status=Status.DELIVERED),
            happened(SUBMITTED, 1),
            happened(SUBMITTED, 2),
            happened(RETRY, 3),
        ],
    )
    assert job.states == [Status.DELIVERED, Status.SUBMITTED, Status.ACCEPTED]


def test_the_rest_goes_where_its_first_parts_went() -> None:
    assert rebuild_job(message(2), [happened(SUBMITTED, 1, SECOND)]).carrier_id == SECOND
    assert rebuild_job(message(2), [happened(LEAVING, 1, SECOND)]).carrier_id == SECOND


def test_attempts_are_those_with_the_carrier_that_was_asked_last() -> None:
    job = rebuild_job(
        message(2),
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


# ── the journal ──────────────────────────────────────────────────────────────────────────────


def journal() -> tuple[Journal, list[Event]]:
    events: list[Event] = []
    return Journal(events.append, lambda message, carrier_id, wall: Micros(30)), events


@pytest.mark.parametrize("last", [EventKind.LEAVING, EventKind.RETRY])
def test_a_restart_knows_what_came_last_although_the_clock_was_put_back(last: EventKind) -> None:
    events: list[Event] = []
    journal, job = Journal(events.append), new_job(message())
    other = EventKind.RETRY if last is EventKind.LEAVING else EventKind.LEAVING
    submission = Submission(job, 0, FIRST, 0.0)
    for kind, wall in ((last, WALL), (other, WALL - 10), (last, WALL - 20)):
        journal.waits(submission, kind, wall, error=NOT_TAKEN)
    by_time = sorted(events, key=lambda event: event.at)
    assert by_time == events
    rebuilt = rebuild_job(job.message, by_time)
    assert rebuilt.doubtful == ([0] if last is EventKind.LEAVING else [])
    assert rebuilt.waited_at == job.waited_at > WALL


def test_a_restart_finds_the_carrier_that_took_a_part_although_the_clock_was_put_back() -> None:
    events: list[Event] = []
    journal, job = Journal(events.append), new_job(message(2))
    journal.waits(Submission(job, 0, FIRST, 0.0), EventKind.RETRY, WALL)
    job.move_to(SECOND)
    job.unsent = [1]
    journal.submitted(Submission(job, 0, SECOND, 0.0), "x", WALL - 10)
    rebuilt = rebuild_job(job.message, sorted(events, key=lambda event: event.at))
    assert (rebuilt.carrier_id, rebuilt.unsent) == (SECOND, [1])


def test_a_submitted_segment_is_posted_and_the_last_one_closes() -> None:
    write, events = journal()
    job = new_job(message(2))
    first, last = take(job, 0), take(job, 1)
    write.submitted(land(first), "a", WALL)
    write.submitted(land(last), "b", WALL)
    assert [
        (e.segment, e.carrier_message_id, e.posted_micros, e.voided_micros, e.status, e.closes)
        for e in events
    ] == [(1, "a", 70, 0, Status.SENDING, False), (2, "b", 70, 0, Status.SUBMITTED, True)]
    assert [e.cost_micros for e in events] == [30, 30]
    assert job.closed


@pytest.mark.parametrize("kind", [RETRY, LEAVING])
def test_what_waits_stays_as_it_is_and_moves_no_money(kind: EventKind) -> None:
    write, events = journal()
    job = new_job(message())
    write.waits(take(job, 0), kind, WALL, 0x08, "why")
    (event,) = events
    assert event == Event(
        MessageId(7),
        AccountId(3),
        WALL,
        kind,
        1,
        Status.ACCEPTED,
        Status.ACCEPTED,
        False,
        FIRST,
        None,
        0x08,
        "why",
    )


def test_giving_up_ends_what_was_answered_and_what_has_not_left_and_closes_with_the_last() -> None:
    write, events = journal()
    job = new_job(message(3))
    write.give_up(land(take(job, 1)), WALL, 0x0B)
    assert [(e.kind, e.segment, e.code, e.error, e.closes) for e in events] == [
        (EventKind.REFUSED, 2, 0x0B, None, False),
        (EventKind.REFUSED, 1, None, PART_FAILED, False),
        (EventKind.REFUSED, 3, None, PART_FAILED, True),
    ]
    assert sum(e.voided_micros for e in events) == 210
    assert (job.closed, job.unsent, job.status()) == (True, [], Status.REJECTED)


def test_what_is_given_up_closes_only_when_nothing_is_in_flight() -> None:
    write, events = journal()
    job = new_job(message(3))
    refused, under_way = take(job, 0), take(job, 1)
    write.give_up(land(refused), WALL, 0x0B)
    assert job.closed
    assert not any(e.closes for e in events)
    write.submitted(land(under_way), "b", WALL)
    assert [e.closes for e in events] == [False, False, True]
    assert (events[-1].status, sum(e.posted_micros + e.voided_micros for e in events)) == (
        Status.SUBMITTED,
        210,
    )


def test_ending_the_rest_leaves_what_is_in_flight_its_own_end() -> None:
    write, events = journal()
    job = new_job(message(2))
    under_way = take(job, 0)
    write.end_rest(job, EventKind.EXPIRED, WALL, "validity ended")
    assert [(e.segment, e.segment_status, e.closes) for e in events] == [(2, Status.EXPIRED, False)]
    write.give_up(land(under_way), WALL, 0x08)
    assert [(e.segment, e.segment_status, e.closes) for e in events[1:]] == [
        (1, Status.REJECTED, True)
    ]


def test_ending_nothing_records_nothing() -> None:
    write, events = journal()
    job = new_job(message())
    take(job, 0)
    write.end_rest(job, EventKind.REFUSED, WALL)
    assert events == []


def test_a_held_segment_is_unknown_and_the_others_go_on() -> None:
    write, events = journal()
    job = new_job(message(2))
    write.ended(job, [land(take(job, 0)).index], EventKind.HELD, WALL, FIRST, error="bind lost")
    assert [(e.segment_status, e.closes, e.carrier_id) for e in events] == [
        (Status.UNKNOWN, False, FIRST)
    ]
    assert not job.closed
    write.submitted(land(take(job, 1)), "b", WALL)
    assert events[-1].closes


@settings(deadline=None)
@given(st.data(), st.integers(1, 4))
def test_however_segments_end_the_price_is_moved_once_and_one_event_closes(
    data: st.DataObject, segments: int
) -> None:
    write, events = journal()
    job = new_job(message(segments))
    in_flight: list[Submission] = []
    while job.unsent or in_flight:
        steps = ["take"] if job.unsent and not job.closed else []
        if in_flight:
            steps += ["taken", "refused", "held", "lost"]
        if job.unsent and not job.closed:
            steps.append("expire")
        step = data.draw(st.sampled_from(steps))
        if step == "take":
            in_flight.append(take(job, job.unsent[0]))
        elif step == "expire":
            write.end_rest(job, EventKind.EXPIRED, WALL)
        else:
            submission = land(in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1))))
            if step == "taken":
                write.submitted(submission, "x", WALL)
            elif step == "held":
                write.ended(job, [submission.index], EventKind.HELD, WALL, FIRST)
            elif step == "refused" or job.closed:
                write.give_up(submission, WALL)
            else:
                write.waits(submission, RETRY, WALL)
                job.put_back(submission.index)
    ends = [e for e in events if e.kind is not RETRY]
    assert Counter(e.segment for e in ends) == Counter(range(1, segments + 1))
    assert sum(e.posted_micros + e.voided_micros for e in ends) == message(segments).price_micros
    assert [e.closes for e in events] == [False] * (len(events) - 1) + [True]
    assert job.closed
