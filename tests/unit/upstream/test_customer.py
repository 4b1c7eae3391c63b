"""What an account has used of its terms while it is bound."""

from __future__ import annotations

from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import Account, AccountId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event
from gateway.record import replace
from gateway.smpp import vocabulary as v
from gateway.upstream.customer import Ceiling, Customer, OpenCounts
from gateway.upstream.terms import Terms

SHOP, BANK = AccountId(7), AccountId(8)
TERMS = Terms(account=Account(id=SHOP, name="shop"), system_id="shop", password_hash="")


def customer(open_counts: OpenCounts | None = None, **terms: object) -> Customer:
    return Customer(replace(TERMS, **terms), open_counts or OpenCounts())


def message(account_id: AccountId = SHOP) -> Message:
    return Message(
        id=MessageId(1),
        account_id=account_id,
        accepted_at=0.0,
        sender="Shop",
        recipient="447400123456",
        country="GB",
        text="Hello",
        encoding=Encoding.GSM7,
        segments=1,
        lane=Lane.OTP,
        price_micros=Micros(0),
        routes=(),
        expires_at=1.0,
    )


def event(*, closes: bool, account_id: AccountId = SHOP) -> Event:
    kind, status = EventKind.SUBMITTED, Status.SUBMITTED
    return Event(MessageId(1), account_id, 0.0, kind, 1, status, status, closes)


def test_without_ceilings_everything_is_taken() -> None:
    bare = customer()
    assert [bare.take(1, 0, 0.0) for _ in range(1_000)] == [None] * 1_000


def test_the_window_is_full_when_as_many_are_unanswered() -> None:
    narrow = customer(window_size=3)
    assert [narrow.take(1, unanswered, 0.0) for unanswered in (2, 3, 4)] == [
        None,
        Ceiling.WINDOW,
        Ceiling.WINDOW,
    ]


def test_the_rate_grants_a_seconds_worth_at_once_and_then_its_pace() -> None:
    slow = customer(rate_per_s=2.0)
    assert [slow.take(1, 0, at) for at in (0.0, 0.0, 0.0, 0.5, 0.5)] == [
        None,
        None,
        Ceiling.RATE,
        None,
        Ceiling.RATE,
    ]


def test_another_rate_holds_from_its_change_on() -> None:
    slow = customer(rate_per_s=2.0)
    for _ in range(3):
        slow.take(1, 0, 0.0)
    slow.change(replace(TERMS, rate_per_s=100.0), 0.0)
    assert slow.take(1, 0, 0.0) is None
    slow.change(replace(TERMS, rate_per_s=99.5), 0.0)  # the same burst
    assert slow.take(1, 0, 0.0) is None
    slow.change(TERMS, 0.0)
    assert slow.take(1, 0, 0.0) is None


def test_the_queue_counts_what_is_stored_and_what_is_on_its_way_there() -> None:
    counts = OpenCounts()
    full = customer(counts, queue_max=3)
    counts.stored([message(), message(BANK)])
    full.uncommitted = 1
    assert full.take(1, 0, 0.0) is None
    assert full.take(2, 0, 0.0) is Ceiling.QUEUE
    full.uncommitted = 2
    assert full.take(1, 0, 0.0) is Ceiling.QUEUE


def test_what_was_sent_away_does_not_count_against_the_rate() -> None:
    counts = OpenCounts()
    limited = customer(counts, queue_max=1, rate_per_s=1.0)
    counts.begin({SHOP: 1})
    assert limited.take(1, 0, 0.0) is Ceiling.QUEUE
    counts.written([event(closes=True)])
    assert limited.take(1, 0, 0.0) is None


def test_messages_are_open_until_the_event_that_closes_them() -> None:
    counts = OpenCounts()
    counts.begin({SHOP: 5})
    counts.stored([message(), message()])
    counts.written([event(closes=False), event(closes=True), event(closes=True, account_id=BANK)])
    assert (counts.of(SHOP), counts.of(AccountId(9))) == (6, 0)


def test_what_comes_to_one_node_and_ends_at_another_is_not_open() -> None:
    here = OpenCounts()
    here.begin({SHOP: 5})
    here.stored([message(), message(), message()])
    assert here.see({"1 since noon": {SHOP: -3}}), "a node has come"
    assert here.of(SHOP) == 5
    assert here.added([SHOP, BANK]) == {SHOP: 3}
    assert not here.see({"1 since noon": {SHOP: -7}})
    assert here.of(SHOP) == 1
    assert here.see({}), "it is gone"
    assert here.of(SHOP) == 1, "what it had ended stays ended"


def test_a_count_of_the_store_holds_whatever_was_added_before() -> None:
    here = OpenCounts()
    here.stored([message()])
    here.see({"1": {SHOP: 4}, "2": {BANK: 2}})
    here.see({"1": {SHOP: 6}})
    here.begin({SHOP: 3, BANK: 1})
    assert (here.of(SHOP), here.of(BANK)) == (3, 1)
    here.stored([message(BANK)])
    here.see({"1": {SHOP: 5}})
    assert (here.of(SHOP), here.of(BANK)) == (2, 2)


def test_each_ceiling_has_the_status_that_slows_a_client_down() -> None:
    assert {ceiling: ceiling.status for ceiling in Ceiling} == {
        Ceiling.WINDOW: v.ESME_RTHROTTLED,
        Ceiling.RATE: v.ESME_RTHROTTLED,
        Ceiling.QUEUE: v.ESME_RMSGQFUL,
    }
