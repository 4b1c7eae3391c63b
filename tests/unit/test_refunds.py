"""What ends unpaid for is given back, told by the event that ended it."""

from __future__ import annotations

from typing import Any

from gateway.arrived import ArrivedReceipt
from gateway.credit.refunds import NOT_DELIVERED, RefundRules
from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Acknowledge, Event, Notice, ParkedReceipt
from gateway.receipts import ReceiptBook
from gateway.record import replace
from gateway.references import Reference
from gateway.refunds import Refunds

MESSAGE, ACCOUNT, CARRIER = MessageId(1001), AccountId(7), CarrierId(1)
ENDED = Event(
    MESSAGE,
    ACCOUNT,
    1_004.0,
    EventKind.RECEIPT,
    2,
    Status.UNDELIVERED,
    Status.SUBMITTED,
    False,
    CARRIER,
    "abc",
    5,
    "045",
)
REFUND = replace(
    ENDED, kind=EventKind.REFUND, carrier_message_id=None, code=None, error=NOT_DELIVERED
)


class Nowhere:
    """A sink that keeps nothing: only refunds are looked at here."""

    def record(self, event: Event) -> None: ...

    def notify(self, notice: Notice) -> None: ...

    def park(self, receipt: ParkedReceipt) -> None: ...

    def unpark(self, receipt: object) -> None: ...

    def after_commit(self, acknowledge: Acknowledge) -> None: ...


def refunds(given: list[Event], *, delivered_only: bool = True) -> Refunds:
    return Refunds(RefundRules({}, lambda account_id: delivered_only), given.append)


def test_a_refund_is_an_event_of_the_same_segment_that_says_why() -> None:
    given: list[Event] = []
    refunds(given).ended(ENDED)
    assert given == [REFUND]


def test_what_is_to_be_paid_for_is_not_refunded() -> None:
    given: list[Event] = []
    refunds(given, delivered_only=False).ended(ENDED)
    refunds(given).ended(replace(ENDED, segment_status=Status.DELIVERED))
    assert given == []


def test_what_no_carrier_took_was_never_posted() -> None:
    given: list[Event] = []
    refunds(given).ended(replace(ENDED, carrier_id=None))
    assert given == []


def run_receipts(states: list[Status], *arrived: Status, rest: tuple[int, ...] = ()) -> list[Event]:
    given: list[Event] = []
    in_book = ReceiptBook(
        Nowhere(),
        references_max=100,
        wants_notice=lambda account: False,
        on_ended=refunds(given).ended,
    )
    key: Any = (CARRIER, "abc")
    in_book.submitted(key, Reference(MESSAGE, ACCOUNT, 0, states, None, 1_000.0, rest))
    for status in arrived:
        in_book.arrived(ArrivedReceipt(key, status, None, "", 1_004.0))
    return given


def test_a_receipt_that_comes_twice_refunds_once() -> None:
    given = run_receipts([Status.SUBMITTED], Status.UNDELIVERED, Status.UNDELIVERED)
    assert [event.segment for event in given] == [1]


def test_a_receipt_on_the_way_refunds_nothing() -> None:
    assert run_receipts([Status.SUBMITTED], Status.SUBMITTED, Status.DELIVERED) == []


def test_each_segment_is_refunded_by_its_own_end() -> None:
    given = run_receipts([Status.SUBMITTED, Status.SUBMITTED], Status.EXPIRED)
    assert [(e.segment, e.segment_status, e.status) for e in given] == [
        (1, Status.EXPIRED, Status.SUBMITTED)
    ]


def test_one_receipt_for_all_segments_refunds_all_of_them() -> None:
    states = [Status.SUBMITTED] * 3
    given = run_receipts(states, Status.EXPIRED, rest=(1, 2))
    assert [event.segment for event in given] == [1, 2, 3]


def test_a_failure_told_after_the_receipt_was_given_up_is_told_again_for_the_store_to_ignore() -> (
    None
):
    given = run_receipts([Status.UNKNOWN], Status.UNDELIVERED)
    assert [event.segment for event in given] == [1]
