"""Receipts find their submission in whichever order the two come, and change it once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.arrived import ArrivedReceipt, Found
from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Acknowledge, Event, Notice, ParkedReceipt, Party
from gateway.receipts import PARKED_EACH_MAX, ReceiptBook
from gateway.record import replace
from gateway.references import Key, Reference

MESSAGE, ACCOUNT, CARRIER = MessageId(1001), AccountId(7), CarrierId(1)
SUBMITTED_AT, RECEIVED_AT = 1_000.0, 1_004.0
PARTY = Party("Shop", "447400123456", "order 17", "spring", "", 1)

ACCEPTED, SUBMITTED = Status.ACCEPTED, Status.SUBMITTED
DELIVERED, UNDELIVERED, UNKNOWN = Status.DELIVERED, Status.UNDELIVERED, Status.UNKNOWN


class Written:
    """What the book wants written; `commit` tells who waits for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.notices: list[Notice] = []
        self.parked: list[ParkedReceipt] = []
        self.unparked: list[ParkedReceipt] = []
        self.waiting: list[Acknowledge] = []

    def record(self, event: Event) -> None:
        self.events.append(event)

    def notify(self, notice: Notice) -> None:
        self.notices.append(notice)

    def park(self, receipt: ParkedReceipt) -> None:
        self.parked.append(receipt)

    def unpark(self, receipt: ParkedReceipt) -> None:
        self.unparked.append(receipt)

    def after_commit(self, acknowledge: Acknowledge) -> None:
        self.waiting.append(acknowledge)

    def commit(self) -> None:
        for acknowledge in self.waiting:
            acknowledge(True)
        self.waiting.clear()

    @property
    def told(self) -> list[str]:
        return [msgspec.json.decode(notice.body)["status"] for notice in self.notices]


def book(written: Written, *, hooked: bool = True, **settings: Any) -> ReceiptBook:
    return ReceiptBook(written, references_max=100, wants_notice=lambda account: hooked, **settings)


def key(name: str = "a") -> Key:
    return CARRIER, name


def reference(
    states: list[Status] | None = None, index: int = 0, party: Party | None = PARTY
) -> Reference:
    return Reference(MESSAGE, ACCOUNT, index, states or [SUBMITTED], party, SUBMITTED_AT)


def receipt(
    status: Status = DELIVERED,
    name: str = "a",
    acknowledge: Acknowledge | None = None,
    *,
    code: int | None = None,
    error: str = "",
) -> ArrivedReceipt:
    return ArrivedReceipt(key(name), status, code, error, RECEIVED_AT, acknowledge)


def found(states: list[Status], index: int = 0) -> Found:
    return Found(MESSAGE, ACCOUNT, index, states, PARTY, SUBMITTED_AT)


def look_up(in_book: ReceiptBook, known: dict[Key, Found]) -> None:
    in_book.looked_up(list(in_book.wanted()), known)


# ── matching ─────────────────────────────────────────────────────────────────────────────────


def test_a_receipt_is_recorded_with_all_that_it_says() -> None:
    written = Written()
    in_book = book(written)
    in_book.submitted(key(), reference())
    in_book.arrived(receipt(UNDELIVERED, code=5, error="err 013"))
    assert written.events == [
        Event(
            MESSAGE,
            ACCOUNT,
            RECEIVED_AT,
            EventKind.RECEIPT,
            1,
            UNDELIVERED,
            UNDELIVERED,
            False,
            CARRIER,
            "a",
            5,
            "err 013",
        )
    ]


def early(in_book: ReceiptBook) -> None:
    in_book.arrived(receipt())
    in_book.submitted(key(), reference())


def late(in_book: ReceiptBook) -> None:
    in_book.submitted(key(), reference())
    in_book.arrived(receipt())


def parked(in_book: ReceiptBook) -> None:
    in_book.arrived(receipt())
    look_up(in_book, {})
    in_book.submitted(key(), reference())


def looked_up(in_book: ReceiptBook) -> None:
    in_book.arrived(receipt())
    look_up(in_book, {key(): found([SUBMITTED])})


def found_while_looking(in_book: ReceiptBook) -> None:
    in_book.arrived(receipt())
    keys = list(in_book.wanted())
    in_book.submitted(key(), reference())
    in_book.looked_up(keys, {})


def found_twice(in_book: ReceiptBook) -> None:
    in_book.arrived(receipt())
    keys = list(in_book.wanted())
    in_book.submitted(key(), reference())
    in_book.looked_up(keys, {key(): found([SUBMITTED])})


def after_restart(in_book: ReceiptBook) -> None:
    in_book.restore_parked([ParkedReceipt(CARRIER, "a", RECEIVED_AT, DELIVERED, None, "")])
    in_book.submitted(key(), reference())


ORDERS = [early, late, parked, looked_up, found_while_looking, found_twice, after_restart]


@pytest.mark.parametrize("order", ORDERS)
def test_a_receipt_is_applied_once_in_whichever_order_things_come(
    order: Callable[[ReceiptBook], None],
) -> None:
    written = Written()
    in_book = book(written)
    order(in_book)
    assert [(e.segment, e.segment_status, e.status) for e in written.events] == [
        (1, DELIVERED, DELIVERED)
    ]
    assert written.told == ["delivered"]
    assert (list(in_book.wanted()), in_book.parked) == ([], 0)


@pytest.mark.parametrize("order", ORDERS)
def test_a_receipt_that_comes_again_changes_nothing(order: Callable[[ReceiptBook], None]) -> None:
    written = Written()
    repeated: list[CarrierId] = []
    in_book = book(written, on_duplicate=repeated.append)
    order(in_book)
    in_book.arrived(receipt())
    in_book.arrived(receipt(UNDELIVERED))
    assert (len(written.events), written.told, repeated) == (1, ["delivered"], [CARRIER, CARRIER])


def test_receipts_of_another_carrier_with_the_same_id_are_not_mixed_up() -> None:
    written = Written()
    in_book = book(written)
    in_book.submitted(key(), reference())
    in_book.arrived(ArrivedReceipt((CarrierId(2), "a"), DELIVERED, None, "", RECEIVED_AT))
    assert written.events == []
    assert list(in_book.wanted()) == [(CarrierId(2), "a")]


def test_several_early_receipts_are_applied_in_the_order_in_which_they_came() -> None:
    written = Written()
    in_book = book(written)
    in_book.arrived(receipt(SUBMITTED))
    in_book.arrived(receipt(DELIVERED))
    assert list(in_book.wanted()) == [key()]
    in_book.submitted(key(), reference())
    assert [e.segment_status for e in written.events] == [SUBMITTED, DELIVERED]


def test_a_receipt_that_is_not_final_is_kept_and_changes_no_state() -> None:
    written = Written()
    in_book = book(written)
    states = [SUBMITTED]
    in_book.submitted(key(), reference(states))
    in_book.arrived(receipt(SUBMITTED))
    assert (states, len(written.events), written.told) == ([SUBMITTED], 1, [])


def test_one_that_is_not_final_and_comes_last_is_too_late() -> None:
    written = Written()
    in_book = book(written)
    in_book.submitted(key(), reference())
    in_book.arrived(receipt(DELIVERED))
    in_book.arrived(receipt(SUBMITTED))
    assert [e.segment_status for e in written.events] == [DELIVERED]


def test_what_was_given_up_takes_a_receipt_after_all_and_the_customer_hears_of_it() -> None:
    written = Written()
    in_book = book(written)
    states = [UNKNOWN]
    in_book.submitted(key(), reference(states))
    in_book.arrived(receipt(UNKNOWN))
    assert written.events == []
    in_book.arrived(receipt(DELIVERED))
    assert (states, written.told) == ([DELIVERED], ["delivered"])


def test_a_segment_that_has_a_receipt_has_left_whatever_we_think() -> None:
    written = Written()
    in_book = book(written)
    in_book.arrived(receipt(SUBMITTED))
    look_up(in_book, {key(): found([ACCEPTED])})
    assert [e.segment_status for e in written.events] == [SUBMITTED]


# ── parking ──────────────────────────────────────────────────────────────────────────────────


def test_what_nobody_knows_is_parked_with_all_that_it_says() -> None:
    written = Written()
    unmatched: list[CarrierId] = []
    in_book = book(written, on_unmatched=unmatched.append)
    in_book.arrived(receipt(SUBMITTED, code=6))
    told = receipt(UNDELIVERED, error="013")
    in_book.arrived(replace(told, raw_id="A", recipient="4474"))
    look_up(in_book, {})
    assert written.parked == [
        ParkedReceipt(CARRIER, "a", RECEIVED_AT, SUBMITTED, 6, ""),
        ParkedReceipt(CARRIER, "a", RECEIVED_AT, UNDELIVERED, None, "013", "A", "4474"),
    ]
    assert (in_book.parked, unmatched) == (1, [CARRIER, CARRIER])


def test_parked_receipts_leave_the_store_as_they_are_applied() -> None:
    written = Written()
    in_book = book(written)
    parked(in_book)
    assert written.unparked == written.parked


def test_only_what_was_asked_for_is_parked() -> None:
    written = Written()
    in_book = book(written)
    in_book.arrived(receipt(name="a"))
    keys = list(in_book.wanted())
    in_book.arrived(receipt(name="b"))
    in_book.looked_up(keys, {})
    assert [p.carrier_message_id for p in written.parked] == ["a"]
    assert list(in_book.wanted()) == [key("b")]


def test_what_is_wanted_is_asked_for_in_the_order_of_waiting() -> None:
    in_book = book(Written())
    for name in ("c", "a", "b", "a"):
        in_book.arrived(receipt(name=name))
    assert [name for _, name in in_book.wanted()] == ["c", "a", "b"]


def test_a_strangers_receipt_that_is_repeated_for_ever_takes_no_more_memory() -> None:
    written = Written()
    in_book = book(written)
    for at in range(PARKED_EACH_MAX + 10):
        in_book.restore_parked([ParkedReceipt(CARRIER, "a", float(at), DELIVERED, None, "")])
    in_book.submitted(key("a"), reference())
    assert [each.received_at for each in written.unparked] == [
        float(at) for at in range(10, PARKED_EACH_MAX + 10)
    ]


def test_parked_receipts_are_forgotten_by_age() -> None:
    in_book = book(Written())
    for name, at in (("old", 10.0), ("young", 20.0)):
        in_book.restore_parked([ParkedReceipt(CARRIER, name, at, DELIVERED, None, "")])
    assert in_book.forget_parked(15.0) == [CARRIER]
    assert in_book.parked == 1


def test_a_flood_of_strangers_receipts_pushes_out_the_oldest_and_no_more() -> None:
    written = Written()
    in_book = book(written, parked_max=2)
    for name in ("a", "b", "c"):
        in_book.arrived(receipt(name=name))
    look_up(in_book, {})
    assert (in_book.parked, len(written.parked)) == (2, 3)
    in_book.submitted(key("a"), reference())
    in_book.submitted(key("c"), reference())
    assert [e.carrier_message_id for e in written.events] == ["c"]


# ── trying again ─────────────────────────────────────────────────────────────────────────────

KEPT = ParkedReceipt(CARRIER, "0a", RECEIVED_AT, DELIVERED, 2, "000", "0A", "447400123456")
LATER = RECEIVED_AT + 86_400.0


def corrected(written: Written, **settings: Any) -> ReceiptBook:
    """Return a book by whose rule the id that was kept as "0a" is "a"."""
    return book(written, key_of=lambda parked: key(parked.raw_id[1:].lower()), **settings)


def by_memory(in_book: ReceiptBook) -> None:
    in_book.submitted(key(), reference())
    in_book.try_again([KEPT], LATER)


def by_the_store(in_book: ReceiptBook) -> None:
    in_book.try_again([KEPT], LATER)
    look_up(in_book, {key(): found([SUBMITTED])})


def while_it_waits(in_book: ReceiptBook) -> None:
    in_book.restore_parked([KEPT])
    in_book.try_again([KEPT], LATER)
    look_up(in_book, {key(): found([SUBMITTED])})


def asked_for_twice(in_book: ReceiptBook) -> None:
    in_book.try_again([KEPT], LATER)
    in_book.try_again([KEPT], LATER)
    look_up(in_book, {key(): found([SUBMITTED])})


def as_it_turns_up(in_book: ReceiptBook) -> None:
    in_book.restore_parked([KEPT])
    in_book.try_again([KEPT], LATER)
    in_book.submitted(key(), reference())


@pytest.mark.parametrize(
    "order", [by_memory, by_the_store, while_it_waits, asked_for_twice, as_it_turns_up]
)
def test_a_kept_receipt_is_applied_once_under_the_rule_of_now_and_leaves_the_store(
    order: Callable[[ReceiptBook], None],
) -> None:
    written = Written()
    in_book = corrected(written)
    order(in_book)
    assert [(e.at, e.segment_status, e.code, e.carrier_message_id) for e in written.events] == [
        (LATER, DELIVERED, 2, "a")
    ]
    assert written.told == ["delivered"]
    assert written.unparked == [KEPT]
    assert (list(in_book.wanted()), in_book.parked) == ([], 0)


@pytest.mark.parametrize("waiting", [False, True])
def test_one_that_is_for_nothing_again_stays_where_it_is(waiting: bool) -> None:
    written = Written()
    unmatched: list[CarrierId] = []
    in_book = corrected(written, on_unmatched=unmatched.append)
    if waiting:
        in_book.restore_parked([KEPT])
    in_book.try_again([KEPT], LATER)
    look_up(in_book, {})
    assert (written.events, written.parked, written.unparked, unmatched) == ([], [], [], [])
    assert (list(in_book.wanted()), in_book.parked) == ([], int(waiting))


def test_others_of_the_same_id_are_applied_with_it_in_the_order_of_their_arrival() -> None:
    written = Written()
    in_book = corrected(written)
    on_its_way = replace(KEPT, segment_status=SUBMITTED, received_at=1.0)
    in_book.restore_parked([KEPT])
    in_book.try_again([on_its_way], LATER)
    look_up(in_book, {key(): found([SUBMITTED])})
    assert [e.segment_status for e in written.events] == [SUBMITTED, DELIVERED]
    assert written.unparked == [on_its_way, KEPT]


def test_parked_receipts_are_found_under_a_rule_that_changed_while_they_waited() -> None:
    written = Written()
    wide = [True]
    in_book = book(
        written, key_of=lambda p: key(p.raw_id if wide[0] else p.raw_id.lstrip("0").lower())
    )
    in_book.restore_parked([KEPT])
    wide[0] = False
    in_book.name_parked_anew()
    in_book.submitted(key("a"), reference())
    assert [e.segment_status for e in written.events] == [DELIVERED]


def test_what_is_looked_up_says_how_it_was_written_and_how_old_it_is() -> None:
    in_book = corrected(Written())
    in_book.arrived(receipt())
    assert in_book.oldest_wanted([key()], LATER) == LATER
    in_book.try_again([KEPT], LATER)
    assert in_book.oldest_wanted([key()], LATER) == RECEIVED_AT
    assert in_book.raw_ids(key()) == {"", "0A"}


# ── acknowledging ────────────────────────────────────────────────────────────────────────────


def repeated(in_book: ReceiptBook) -> None:
    in_book.submitted(key(), reference([DELIVERED]))
    in_book.arrived(receipt())


@pytest.mark.parametrize("first", [None, *ORDERS, repeated])
def test_the_carrier_hears_after_the_commit_and_not_before(
    first: Callable[[ReceiptBook], None] | None,
) -> None:
    written = Written()
    in_book = book(written)
    if first is not None:
        first(in_book)
        written.commit()
    heard: list[bool] = []
    in_book.arrived(receipt(acknowledge=heard.append))
    look_up(in_book, {})
    assert heard == []
    written.commit()
    assert heard == [True]


def test_one_that_waits_to_be_looked_up_is_not_acknowledged_by_anothers_commit() -> None:
    written = Written()
    in_book = book(written)
    heard: list[bool] = []
    in_book.arrived(receipt(acknowledge=heard.append))
    written.commit()
    assert heard == []


def test_a_parked_receipt_is_acknowledged_once_though_it_is_applied_later() -> None:
    written = Written()
    in_book = book(written)
    heard: list[bool] = []
    in_book.arrived(receipt(acknowledge=heard.append))
    look_up(in_book, {})
    written.commit()
    in_book.submitted(key(), reference())
    written.commit()
    assert heard == [True]


# ── long messages ────────────────────────────────────────────────────────────────────────────


def test_parts_end_one_by_one_and_the_worst_of_them_names_the_message() -> None:
    written = Written()
    in_book = book(written)
    states = [SUBMITTED] * 3
    for index, name in enumerate("abc"):
        in_book.submitted(key(name), reference(states, index))
    for name, status in (("b", DELIVERED), ("c", UNDELIVERED), ("a", DELIVERED)):
        in_book.arrived(receipt(status, name))
    assert [(e.segment, e.segment_status, e.status) for e in written.events] == [
        (2, DELIVERED, SUBMITTED),
        (3, UNDELIVERED, SUBMITTED),
        (1, DELIVERED, UNDELIVERED),
    ]
    assert written.told == ["undelivered"]


def test_a_message_is_not_over_while_a_part_of_it_has_not_left() -> None:
    written = Written()
    in_book = book(written)
    states = [SUBMITTED, ACCEPTED]
    in_book.submitted(key("a"), reference(states, 0))
    in_book.arrived(receipt(name="a"))
    assert (written.events[0].status, written.told) == (Status.SENDING, [])
    states[1] = SUBMITTED
    in_book.submitted(key("b"), reference(states, 1))
    in_book.arrived(receipt(name="b"))
    assert written.told == ["delivered"]


def test_a_part_that_was_refused_names_the_message_once_the_others_have_ended() -> None:
    written = Written()
    in_book = book(written)
    in_book.submitted(key("a"), reference([SUBMITTED, Status.REJECTED], 0))
    in_book.arrived(receipt(name="a"))
    assert (written.events[0].status, written.told) == (Status.REJECTED, ["rejected"])


@pytest.mark.parametrize("first", ["memory", "store"])
def test_parts_known_from_memory_and_from_the_store_share_one_list(first: str) -> None:
    written = Written()
    in_book = book(written)
    states = [SUBMITTED, SUBMITTED]
    in_book.submitted(key("a"), reference(states, 0))
    # The store has not heard of part one's receipt yet, as its event is not committed.
    if first == "memory":
        in_book.arrived(receipt(name="a"))
    in_book.arrived(receipt(name="b"))
    look_up(in_book, {key("b"): found([SUBMITTED, SUBMITTED], 1)})
    if first == "store":
        in_book.arrived(receipt(name="a"))
    assert states == [DELIVERED, DELIVERED]
    assert written.told == ["delivered"]


def test_two_parts_found_in_one_look_share_one_list() -> None:
    written = Written()
    in_book = book(written)
    in_book.arrived(receipt(name="a"))
    in_book.arrived(receipt(name="b"))
    look_up(
        in_book,
        {
            key("a"): found([SUBMITTED, SUBMITTED], 0),
            key("b"): found([SUBMITTED, SUBMITTED], 1),
        },
    )
    assert [e.status for e in written.events] == [SUBMITTED, DELIVERED]
    assert written.told == ["delivered"]


# ── telling the customer ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("hooked", "url", "told"), [(True, "", 1), (False, "https://a", 1), (False, "", 0)]
)
def test_whoever_asked_is_told_and_nobody_else(hooked: bool, url: str, told: int) -> None:
    written = Written()
    in_book = book(written, hooked=hooked)
    party = replace(PARTY, callback_url=url)
    in_book.arrived(receipt())
    look_up(in_book, {key(): replace(found([SUBMITTED]), party=party)})
    assert [notice.url for notice in written.notices] == [url] * told
    assert in_book.party_of(ACCOUNT, url) is bool(told)


def test_a_reference_without_a_party_tells_nobody() -> None:
    written = Written()
    in_book = book(written)
    in_book.submitted(key(), reference(party=None))
    in_book.arrived(receipt())
    assert (len(written.events), written.notices) == (1, [])


def test_an_smpp_customer_hears_of_the_end_and_of_news_on_the_way() -> None:
    sent_up: list[tuple[Status, float, dict[int, bytes]]] = []
    in_book = book(
        Written(),
        hooked=False,
        send_up=lambda account, message, party, status, error, at, tlvs: sent_up.append(
            (status, at, dict(tlvs))
        ),
    )
    asked = replace(PARTY, registered_delivery=0x11)
    in_book.submitted(key(), reference(party=asked))
    in_book.arrived(receipt(SUBMITTED))
    in_book.arrived(replace(receipt(DELIVERED), tlvs={0x1401: b"x"}))
    in_book.arrived(receipt(DELIVERED))
    assert sent_up == [
        (SUBMITTED, RECEIVED_AT, {}),
        (DELIVERED, RECEIVED_AT, {0x1401: b"x"}),
    ]


def test_tlvs_that_go_up_wait_with_a_receipt_that_came_too_early() -> None:
    sent_up: list[dict[int, bytes]] = []
    written = Written()
    in_book = book(written, send_up=lambda *news: sent_up.append(dict(news[-1])))
    came = {0x001E: b"a\0", 0x0423: b"\3\0\1", 0x1401: b"x"}
    in_book.arrived(replace(receipt(DELIVERED), tlvs=came))
    look_up(in_book, {})
    assert [parked.tlvs for parked in written.parked] == [b"\4\x23\0\3\3\0\1\x14\1\0\1x"]
    party = replace(PARTY, registered_delivery=1)
    in_book.submitted(key(), reference(party=party))
    assert sent_up == [{0x0423: b"\3\0\1", 0x1401: b"x"}]


def test_how_long_it_took_is_told_for_what_was_applied() -> None:
    seen: list[tuple[CarrierId, Status, float]] = []
    in_book = book(Written(), on_applied=lambda c, status, s: seen.append((c, status, s)))
    late(in_book)
    in_book.arrived(receipt())
    assert seen == [(CARRIER, DELIVERED, RECEIVED_AT - SUBMITTED_AT)]


# ── messages that are given up ──────────────────────────────────────────────────────────────


def test_a_message_that_is_given_up_has_the_states_that_its_receipts_changed() -> None:
    in_book = book(Written())
    in_book.submitted(key(), reference())
    in_book.arrived(receipt())
    assert in_book.share_states(MESSAGE, {key(): reference([SUBMITTED])}) == [DELIVERED]


def test_an_id_that_was_used_again_gives_another_messages_states_to_nobody() -> None:
    in_book = book(Written())
    in_book.submitted(key(), reference())
    in_book.arrived(receipt())
    assert in_book.share_states(MessageId(7), {key(): reference([SUBMITTED])}) == [SUBMITTED]


def test_a_receipt_that_is_looked_up_meanwhile_finds_what_became_of_the_other_parts() -> None:
    written = Written()
    in_book = book(written)
    in_book.arrived(receipt(DELIVERED, "b"))
    states = [SUBMITTED, SUBMITTED]
    taken = {key("a"): reference(states), key("b"): reference(states, 1)}
    shared = in_book.share_states(MESSAGE, taken)
    shared[:] = [UNKNOWN, UNKNOWN]
    # The store was asked before that was committed.
    look_up(in_book, {key("b"): found([SUBMITTED, SUBMITTED], 1)})
    assert shared == [UNKNOWN, DELIVERED]
    assert written.events[-1].status is UNKNOWN
