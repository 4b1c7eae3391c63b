"""What happens to segments: who is posted or voided, who closes, and what a restart makes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.jobs import NOT_TAKEN, Job, Submission, new_job, rebuild_job
from gateway.journal import PART_FAILED, Journal
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, MessageId, Micros
from gateway.outcomes import Event

MakeMessage = Callable[..., Message]
Take = Callable[[Job, int], Submission]
FIRST, SECOND = CarrierId(1), CarrierId(2)
WALL = 1_000.0
RETRY, LEAVING = EventKind.RETRY, EventKind.LEAVING


def land(submission: Submission) -> Submission:
    submission.job.in_flight -= 1
    return submission


def journal() -> tuple[Journal, list[Event]]:
    events: list[Event] = []
    return Journal(events.append, lambda message, carrier_id, wall: Micros(30)), events


def test_a_submitted_segment_is_posted_and_the_last_one_closes(
    make_message: MakeMessage, take: Take
) -> None:
    write, events = journal()
    job = new_job(make_message(2))
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
def test_what_waits_stays_as_it_is_and_moves_no_money(
    kind: EventKind, make_message: MakeMessage, take: Take
) -> None:
    write, events = journal()
    job = new_job(make_message())
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


def test_giving_up_ends_what_was_answered_and_what_has_not_left_and_closes_with_the_last(
    make_message: MakeMessage, take: Take
) -> None:
    write, events = journal()
    job = new_job(make_message(3))
    write.give_up(land(take(job, 1)), WALL, 0x0B)
    assert [(e.kind, e.segment, e.code, e.error, e.closes) for e in events] == [
        (EventKind.REFUSED, 2, 0x0B, None, False),
        (EventKind.REFUSED, 1, None, PART_FAILED, False),
        (EventKind.REFUSED, 3, None, PART_FAILED, True),
    ]
    assert sum(e.voided_micros for e in events) == 210
    assert (job.closed, job.unsent, job.status()) == (True, [], Status.REJECTED)


def test_what_is_given_up_closes_only_when_nothing_is_in_flight(
    make_message: MakeMessage, take: Take
) -> None:
    write, events = journal()
    job = new_job(make_message(3))
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


def test_ending_the_rest_leaves_what_is_in_flight_its_own_end(
    make_message: MakeMessage, take: Take
) -> None:
    write, events = journal()
    job = new_job(make_message(2))
    under_way = take(job, 0)
    write.end_rest(job, EventKind.EXPIRED, WALL, "validity ended")
    assert [(e.segment, e.segment_status, e.closes) for e in events] == [(2, Status.EXPIRED, False)]
    write.give_up(land(under_way), WALL, 0x08)
    assert [(e.segment, e.segment_status, e.closes) for e in events[1:]] == [
        (1, Status.REJECTED, True)
    ]


def test_ending_nothing_records_nothing(make_message: MakeMessage, take: Take) -> None:
    write, events = journal()
    job = new_job(make_message())
    take(job, 0)
    write.end_rest(job, EventKind.REFUSED, WALL)
    assert events == []


def test_a_held_segment_is_unknown_and_the_others_go_on(
    make_message: MakeMessage, take: Take
) -> None:
    write, events = journal()
    job = new_job(make_message(2))
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
    make_message: MakeMessage, take: Take, data: st.DataObject, segments: int
) -> None:
    write, events = journal()
    job = new_job(make_message(segments))
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
    assert sum(e.posted_micros + e.voided_micros for e in ends) == job.message.price_micros
    assert [e.closes for e in events] == [False] * (len(events) - 1) + [True]
    assert job.closed


# ── what a restart makes of it ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("last", [EventKind.LEAVING, EventKind.RETRY])
def test_a_restart_knows_what_came_last_although_the_clock_was_put_back(
    last: EventKind, make_message: MakeMessage
) -> None:
    events: list[Event] = []
    journal, job = Journal(events.append), new_job(make_message())
    other = EventKind.RETRY if last is EventKind.LEAVING else EventKind.LEAVING
    submission = Submission(job, 0, FIRST, 0.0)
    for kind, wall in ((last, WALL), (other, WALL - 10), (last, WALL - 20)):
        journal.waits(submission, kind, wall, error=NOT_TAKEN)
    by_time = sorted(events, key=lambda event: event.at)
    assert by_time == events
    rebuilt = rebuild_job(job.message, by_time)
    assert rebuilt.doubtful == ([0] if last is EventKind.LEAVING else [])
    assert rebuilt.waited_at == job.waited_at > WALL


def test_a_restart_finds_the_carrier_that_took_a_part_although_the_clock_was_put_back(
    make_message: MakeMessage,
) -> None:
    events: list[Event] = []
    journal, job = Journal(events.append), new_job(make_message(2))
    journal.waits(Submission(job, 0, FIRST, 0.0), EventKind.RETRY, WALL)
    job.move_to(SECOND)
    job.unsent = [1]
    journal.submitted(Submission(job, 0, SECOND, 0.0), "x", WALL - 10)
    rebuilt = rebuild_job(job.message, sorted(events, key=lambda event: event.at))
    assert (rebuilt.carrier_id, rebuilt.unsent) == (SECOND, [1])
