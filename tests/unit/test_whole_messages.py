"""Long messages that a carrier takes in one PDU: one submission, counted and priced by segments."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.arrived import ArrivedReceipt, Found
from gateway.carrier_state import CarrierState, Policy
from gateway.dispatch import Dispatcher
from gateway.jobs import Job, Submission, new_job, rebuild_job
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event, Notice, Party
from gateway.outgoing import build_submission
from gateway.receipts import ReceiptBook
from gateway.references import Reference
from gateway.retry import RetryLimits
from gateway.smpp.errors import InvalidField
from gateway.smpp.shapes import SubmitTemplate
from gateway.text.style import LongForm, TextStyle
from gateway.throttle.adaptive import AdaptiveRate
from gateway.throttle.pacer import LATE_S
from gateway.writing import Writing

WHOLE, PARTS = CarrierId(1), CarrierId(2)
WALL = 1_000.0
OK, THROTTLED, SYSTEM_ERROR, REROUTE = 0x00, 0x58, 0x08, 0x66


def message(segments: int = 3, **fields: Any) -> Message:
    usual: dict[str, Any] = {
        "id": MessageId(7),
        "account_id": AccountId(3),
        "accepted_at": 0.0,
        "sender": "Shop",
        "recipient": "447911123456",
        "country": "GB",
        "text": "a" * 153 * segments,
        "encoding": Encoding.GSM7,
        "segments": segments,
        "lane": Lane.OTP,
        "price_micros": Micros(70 * segments),
        "routes": (WHOLE, PARTS),
        "expires_at": WALL + 3_600,
    }
    return Message(**usual | fields)


class Desk:
    """A dispatcher with one carrier that takes long messages whole and one that does not."""

    def __init__(self, rate_per_s: float = 0.0, *, hold: bool = False, window: int = 0) -> None:
        self.events: list[Event] = []
        policies = {WHOLE: Policy(name="whole", whole=True, hold=hold), PARTS: Policy(name="parts")}
        self.dispatcher = Dispatcher(
            [
                CarrierState(id, policy, AdaptiveRate(rate_per_s), window_size=window)
                for id, policy in policies.items()
            ],
            self.events.append,
            limits=RetryLimits(attempts_max=3, first_s=5.0, max_s=60.0),
            held_max=1_000,
        )
        for carrier_id in policies:
            self.dispatcher.set_bound(carrier_id, True, 0.0, WALL)

    def accept(self, *messages: Message) -> None:
        self.dispatcher.accept(messages, 0.0, WALL)

    def take(self, carrier_id: CarrierId = WHOLE, now: float = 0.0) -> list[Submission]:
        return self.dispatcher.take(carrier_id, 10, now, WALL)[0]

    def told(self, *kinds: EventKind) -> list[tuple[int, Status, bool]]:
        chosen = [event for event in self.events if not kinds or event.kind in kinds]
        return [(event.segment, event.segment_status, event.closes) for event in chosen]


def test_all_segments_leave_at_once_and_each_is_posted() -> None:
    desk = Desk()
    desk.accept(message())
    [submission] = desk.take()
    assert submission.indexes == (0, 1, 2)
    assert desk.take() == []
    desk.dispatcher.responded(submission, OK, "abc", 0.0, WALL)
    assert desk.told() == [
        (1, Status.SUBMITTED, False),
        (2, Status.SUBMITTED, False),
        (3, Status.SUBMITTED, True),
    ]
    assert [event.status for event in desk.events] == [
        Status.SENDING,
        Status.SENDING,
        Status.SUBMITTED,
    ]
    assert {event.carrier_message_id for event in desk.events} == {"abc"}
    assert sum(event.posted_micros for event in desk.events) == 210


@pytest.mark.parametrize(
    "sent",
    [
        message(1),
        # a header of the client's ties its parts together already
        message(2, text="", data=bytes(200), udh=b"\x02\x70\x00", encoding=Encoding.BINARY),
    ],
)
def test_what_needs_no_payload_leaves_segment_by_segment(sent: Message) -> None:
    desk = Desk()
    desk.accept(sent)
    assert [s.indexes for s in desk.take()] == [(n,) for n in range(sent.segments)]


def test_the_other_carrier_gets_the_parts() -> None:
    desk = Desk()
    desk.accept(message(routes=(PARTS,)))
    assert [s.indexes for s in desk.take(PARTS)] == [(0,), (1,), (2,)]


def test_the_rate_counts_segments() -> None:
    desk = Desk(rate_per_s=1.0)
    desk.accept(message(), message(1, id=MessageId(8)))
    [whole] = desk.take()
    assert whole.indexes == (0, 1, 2)
    taken, until = desk.dispatcher.take(WHOLE, 10, 0.0, WALL)
    assert taken == []
    assert until == pytest.approx(3.0, abs=LATE_S)
    [after] = desk.take(now=3.0)
    assert after.job.message.id == 8


def test_a_window_counts_submissions() -> None:
    desk = Desk(window=1)
    desk.accept(message(), message(1, id=MessageId(8)))
    [whole] = desk.take()
    desk.dispatcher.responded(whole, OK, "abc", 0.0, WALL)
    assert desk.take() == []  # a crash now would send the first one again
    first, *others = desk.events
    desk.dispatcher.written([first])
    assert desk.take() == []
    desk.dispatcher.written(others)
    assert [s.job.message.id for s in desk.take()] == [8]
    assert desk.dispatcher.carriers[WHOLE].unwritten == 0


def test_a_throttled_message_goes_again_as_a_whole() -> None:
    desk = Desk()
    desk.accept(message())
    [submission] = desk.take()
    desk.dispatcher.responded(submission, THROTTLED, "", 0.0, WALL)
    assert desk.events == []
    [again] = desk.take(now=5.0)
    assert again.indexes == (0, 1, 2)


def test_a_put_off_message_goes_again_as_a_whole_and_counts_one_attempt() -> None:
    desk = Desk()
    desk.accept(message(routes=(WHOLE,)))
    now = 0.0
    for _ in range(2):
        [submission] = desk.take(now=now)
        desk.dispatcher.responded(submission, SYSTEM_ERROR, "", now, WALL)
        now += 100.0
        desk.dispatcher.tick(now)
    assert len(desk.told(EventKind.RETRY)) == 6
    [last] = desk.take(now=now)
    desk.dispatcher.responded(last, SYSTEM_ERROR, "", now, WALL)
    assert desk.told(EventKind.REFUSED) == [
        (1, Status.REJECTED, False),
        (2, Status.REJECTED, False),
        (3, Status.REJECTED, True),
    ]
    assert sum(event.voided_micros for event in desk.events) == 210


def test_a_message_that_its_carrier_does_not_want_goes_to_another_in_parts() -> None:
    desk = Desk()
    desk.accept(message())
    [submission] = desk.take()
    desk.dispatcher.responded(submission, REROUTE, "", 0.0, WALL)
    assert desk.take() == []
    assert [s.indexes for s in desk.take(PARTS)] == [(0,), (1,), (2,)]


def test_parts_that_nobody_took_go_whole_through_the_other_carrier() -> None:
    desk = Desk()
    desk.accept(message(2, routes=(PARTS, WHOLE)))
    first, second = desk.take(PARTS)
    desk.dispatcher.responded(first, REROUTE, "", 0.0, WALL)
    desk.dispatcher.responded(second, REROUTE, "", 0.0, WALL)
    [whole] = desk.take(WHOLE)
    assert whole.indexes == (0, 1)


def test_what_was_lost_goes_again_as_a_whole() -> None:
    desk = Desk()
    desk.accept(message())
    [submission] = desk.take()
    desk.dispatcher.lost([submission], 0.0, WALL)
    assert len(desk.told(EventKind.RETRY)) == 3
    [again] = desk.take()
    assert again.indexes == (0, 1, 2)


def test_what_may_be_sent_once_only_is_lost_as_a_whole() -> None:
    desk = Desk(hold=True)
    desk.accept(message())
    prepared = desk.dispatcher.prepare(WHOLE, 0.0, WALL)
    assert len(desk.told(EventKind.LEAVING)) == 3
    desk.dispatcher.cleared(prepared, 0.0, WALL)
    [submission] = desk.take()
    desk.dispatcher.lost([submission], 0.0, WALL)
    assert desk.told(EventKind.HELD) == [
        (1, Status.UNKNOWN, False),
        (2, Status.UNKNOWN, False),
        (3, Status.UNKNOWN, True),
    ]


def test_a_restart_doubts_all_of_what_was_leaving() -> None:
    desk = Desk(hold=True)
    desk.accept(message())
    desk.dispatcher.prepare(WHOLE, 0.0, WALL)
    assert rebuild_job(message(), desk.events).doubtful == [0, 1, 2]


def test_what_no_bind_could_send_is_taken_back_whole() -> None:
    desk = Desk()
    desk.accept(message())
    desk.dispatcher.unsend(desk.take(), 0.0, WALL)
    [again] = desk.take()
    assert again.indexes == (0, 1, 2)


def test_what_cannot_be_written_ends_whole() -> None:
    desk = Desk()
    desk.accept(message())
    [submission] = desk.take()
    desk.dispatcher.unsendable(submission, "too long", WALL)
    assert desk.told() == [
        (1, Status.REJECTED, False),
        (2, Status.REJECTED, False),
        (3, Status.REJECTED, True),
    ]


# ── the octets ───────────────────────────────────────────────────────────────────────────────


def test_a_message_of_which_a_part_has_left_is_not_sent_again_as_a_whole() -> None:
    writing = Writing(template=SubmitTemplate(), style=TextStyle(long=LongForm.PAYLOAD))
    job = new_job(message())
    job.states[0] = Status.SUBMITTED
    with pytest.raises(InvalidField, match="a part of it was sent by itself"):
        build_submission(job, 1, writing, WALL)


# ── receipts ─────────────────────────────────────────────────────────────────────────────────

KEY = (WHOLE, "abc")
PARTY = Party("Shop", "447911123456", "", "", "https://example.com", 3)


class Sink:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notices: list[Notice] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)

    def park(self, receipt: object) -> None:
        raise AssertionError("nothing is parked here")

    def unpark(self, receipt: object) -> None:
        raise AssertionError("nothing is parked here")

    def after_commit(self, acknowledge: Any) -> None:
        acknowledge(True)


def receipt(status: Status, acknowledged: list[bool] | None = None) -> ArrivedReceipt:
    return ArrivedReceipt(KEY, status, None, "", WALL, (acknowledged or []).append)


def book_of(sink: Sink, seen: list[str]) -> ReceiptBook:
    return ReceiptBook(
        sink,
        references_max=100,
        wants_notice=lambda account: True,
        on_applied=lambda carrier, status, seconds: seen.append("applied"),
        on_duplicate=lambda carrier: seen.append("duplicate"),
    )


def whole_reference(job: Job) -> Reference:
    return Reference(MessageId(7), AccountId(3), 0, job.states, PARTY, WALL, (1, 2))


def test_one_receipt_is_about_all_segments_and_told_once() -> None:
    sink, seen = Sink(), list[str]()
    book = book_of(sink, seen)
    job = new_job(message())
    job.states[:] = [Status.SUBMITTED] * 3
    book.submitted(KEY, whole_reference(job))
    book.arrived(receipt(Status.DELIVERED))
    assert [(e.segment, e.segment_status, e.status) for e in sink.events] == [
        (1, Status.DELIVERED, Status.SUBMITTED),
        (2, Status.DELIVERED, Status.SUBMITTED),
        (3, Status.DELIVERED, Status.DELIVERED),
    ]
    assert len(sink.notices) == 1
    book.arrived(receipt(Status.DELIVERED))
    assert seen == ["applied", "duplicate"]
    assert len(sink.events) == 3


def test_a_receipt_is_acknowledged_once_however_many_segments_it_is_about() -> None:
    sink = Sink()
    book = book_of(sink, [])
    job = new_job(message())
    book.submitted(KEY, whole_reference(job))
    acknowledged: list[bool] = [False]
    book.arrived(receipt(Status.DELIVERED, acknowledged))
    assert acknowledged == [False, True]


def test_a_receipt_that_memory_does_not_know_settles_what_the_store_knows() -> None:
    sink, seen = Sink(), list[str]()
    book = book_of(sink, seen)
    book.arrived(receipt(Status.UNDELIVERED))
    found = Found(MessageId(7), AccountId(3), 2, [Status.SUBMITTED] * 3, PARTY, WALL, rest=(0, 1))
    book.looked_up([KEY], {KEY: found})
    assert sorted((e.segment, e.segment_status) for e in sink.events) == [
        (1, Status.UNDELIVERED),
        (2, Status.UNDELIVERED),
        (3, Status.UNDELIVERED),
    ]
    assert sink.events[-1].status is Status.UNDELIVERED
    assert len(sink.notices) == 1
