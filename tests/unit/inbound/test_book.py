"""Messages from phones in any order, twice, in part, over restarts; each is handed over once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import IdGenerator
from gateway.inbound.book import InboundBook, Origin
from gateway.inbound.handover import Handover
from gateway.inbound.numbers import OwnedNumber, Owners
from gateway.inbound.parts import InboundPart
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Acknowledge, Delivery, InboundMessage
from gateway.smpp import vocabulary as v
from gateway.smpp.shapes import DeliverSm
from gateway.text.style import DefaultAlphabet, TextStyle

ALPHA, BETA = CarrierId(1), CarrierId(2)
SHOP = AccountId(7)
LIFE_S = 100.0
WALL = 1_700_000_000.0


class Store:
    """A sink that commits when told, as the outcome writer does, and keeps rows."""

    def __init__(self) -> None:
        self.kept: dict[MessageId, InboundPart] = {}
        self.message_of: dict[MessageId, MessageId] = {}
        self.handovers: list[Handover] = []
        self.acknowledged = 0

    def keep(self, part: InboundPart) -> None:
        assert part.id not in self.kept
        self.kept[part.id] = part

    def hand_over(self, handover: Handover) -> None:
        for part in handover.parts:
            assert part.id in self.kept, "a part was not kept"
            assert part.id not in self.message_of, "a part went into two messages"
            self.message_of[part.id] = handover.message.id
        self.handovers.append(handover)

    def after_commit(self, acknowledge: Acknowledge) -> None:
        self.acknowledged += 1
        acknowledge(True)

    @property
    def messages(self) -> list[InboundMessage]:
        return [h.message for h in self.handovers]

    @property
    def waiting(self) -> list[InboundPart]:
        return [p for p in self.kept.values() if p.id not in self.message_of]

    @property
    def sets(self) -> list[list[InboundPart]]:
        return [list(h.parts) for h in self.handovers if h.parts]


class Gateway:
    """A book over a store that outlives it."""

    def __init__(self, store: Store, *, told: bool = True, **options: Any) -> None:
        self.store = store
        self.ids = options.pop("ids", None) or IdGenerator(1)
        self.counted: list[InboundMessage] = []
        self.repeated: list[CarrierId] = []
        self.now = 50.0
        self.book = InboundBook(
            store,
            {
                ALPHA: Origin("alpha"),
                BETA: Origin("beta", TextStyle(alphabet=DefaultAlphabet.LATIN1)),
            },
            self.ids,
            reassembly_s=LIFE_S,
            find_owner=Owners([OwnedNumber("40404", SHOP)]).find,
            wants_notice=lambda account_id: told and account_id == SHOP,
            on_handed_over=self.counted.append,
            on_repeated=self.repeated.append,
            **options,
        )

    def arrive(self, *pdus: DeliverSm, carrier_id: CarrierId = ALPHA) -> None:
        for pdu in pdus:
            self.now += 0.25
            self.book.arrived(carrier_id, pdu, lambda committed: None, self.now, self.wall)

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.book.expire(self.now, self.wall)

    @property
    def wall(self) -> float:
        return WALL + self.now

    def restart(self, away_s: float = 0.0) -> Gateway:
        """Return another one on the same store; its monotonic clock begins anew."""
        again = Gateway(self.store, ids=self.ids)
        again.now = self.now + away_s
        again.book.restore(self.store.waiting, self.store.sets, again.now, again.wall)
        return again


@pytest.fixture
def gateway() -> Gateway:
    return Gateway(Store())


def single(text: bytes = b"JA", *, to: str = "40404", **fields: Any) -> DeliverSm:
    values = {"source_addr": "+491511", "destination_addr": to, "short_message": text} | fields
    return DeliverSm(**values)


def parts(
    *texts: bytes, reference: int = 7, wide: bool = False, sar: bool = False, **fields: Any
) -> list[DeliverSm]:
    total = len(texts)
    made = []
    for sequence, text in enumerate(texts, start=1):
        if sar:
            tlvs = {
                v.TAG_SAR_MSG_REF_NUM: reference.to_bytes(2, "big"),
                v.TAG_SAR_TOTAL_SEGMENTS: bytes((total,)),
                v.TAG_SAR_SEGMENT_SEQNUM: bytes((sequence,)),
            }
            made.append(single(text, tlvs=tlvs, **fields))
            continue
        header = (
            bytes((6, 8, 4, reference >> 8, reference & 0xFF, total, sequence))
            if wide
            else bytes((5, 0, 3, reference, total, sequence))
        )
        made.append(single(header + text, esm_class=v.ESM_CLASS_UDHI, **fields))
    return made


# ── messages of one part ────────────────────────────────────────────────────────────────────


def test_a_message_is_handed_over_at_once(gateway: Gateway) -> None:
    gateway.arrive(single(b"\x00JA", data_coding=0))
    (message,) = gateway.store.messages
    assert (message.sender, message.recipient, message.body) == ("491511", "40404", "@JA")
    assert (message.encoding, message.exact, message.segments) == ("gsm7", True, 1)
    assert (message.account_id, message.missing, message.carrier_id) == (SHOP, (), ALPHA)
    assert gateway.store.kept == {}
    assert gateway.store.acknowledged == 1


def test_the_same_text_twice_is_two_messages(gateway: Gateway) -> None:
    gateway.arrive(single(), single())
    assert [m.body for m in gateway.store.messages] == ["JA", "JA"]
    assert len({m.id for m in gateway.store.messages}) == 2


def test_a_carriers_own_alphabet_is_used(gateway: Gateway) -> None:
    gateway.arrive(single("Où".encode("latin-1")), carrier_id=BETA)
    gateway.arrive(single("Où".encode("latin-1")), carrier_id=ALPHA)
    assert [m.exact for m in gateway.store.messages] == [True, False]
    assert gateway.store.messages[0].body == "Où"
    assert gateway.store.messages[1].content == "Où".encode("latin-1")


def test_a_message_to_nobodys_number_is_kept_and_nobody_is_told(gateway: Gateway) -> None:
    gateway.arrive(single(to="50505"))
    (handover,) = gateway.store.handovers
    assert handover.message.account_id == 0
    assert (handover.notices, handover.deliveries) == ((), ())
    assert gateway.counted == [handover.message]


def test_an_account_without_an_endpoint_is_not_told() -> None:
    gateway = Gateway(Store(), told=False)
    gateway.arrive(single())
    (handover,) = gateway.store.handovers
    assert (handover.message.account_id, handover.notices) == (SHOP, ())


def test_what_goes_up_to_receivers_is_written_with_the_message() -> None:
    def deliver(message: InboundMessage) -> Sequence[Delivery]:
        return [Delivery(1, message.account_id, message.id, b"pdu", 0.0)]

    gateway = Gateway(Store(), build_deliveries=deliver)
    gateway.arrive(single(), single(to="50505"))
    owned, unowned = gateway.store.handovers
    assert [d.message_id for d in owned.deliveries] == [owned.message.id]
    assert unowned.deliveries == ()


# ── parts ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", [{}, {"wide": True}, {"sar": True}])
@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_parts_make_one_message_in_any_order(
    gateway: Gateway, order: tuple[int, ...], form: dict[str, bool]
) -> None:
    made = parts(b"one ", b"two ", b"three", **form)
    gateway.arrive(*(made[index] for index in order))
    (handover,) = gateway.store.handovers
    message = handover.message
    assert (message.body, message.segments, message.missing) == ("one two three", 3, ())
    assert message.udh == b""
    assert message.received_at == WALL + 50.25  # when the first of them came
    assert gateway.store.waiting == []
    assert gateway.store.acknowledged == 3
    assert [n.message_id for n in handover.notices] == [message.id]
    assert gateway.book.waiting(ALPHA) == 0


def test_parts_are_kept_while_they_wait(gateway: Gateway) -> None:
    gateway.arrive(*parts(b"one ", b"two ", b"three")[:2])
    assert [p.sequence for p in gateway.store.waiting] == [1, 2]
    assert gateway.store.handovers == []
    assert gateway.store.acknowledged == 2
    assert gateway.book.waiting(ALPHA) == 2


def test_parts_that_come_again_change_nothing(gateway: Gateway) -> None:
    first, second = parts(b"one ", b"two")
    gateway.arrive(first, first, second, second, first)
    assert [m.body for m in gateway.store.messages] == ["one two"]
    assert len(gateway.store.kept) == 2
    assert gateway.store.acknowledged == 5
    assert gateway.repeated == [ALPHA] * 3


@pytest.mark.parametrize(
    "other",
    [
        {"source_addr": "491512"},
        {"destination_addr": "50505"},
        {"reference": 8},
        {"wide": True},
        {"sar": True},
    ],
)
def test_parts_of_different_messages_stay_apart(gateway: Gateway, other: dict[str, Any]) -> None:
    first, second = parts(b"one ", b"two")
    gateway.arrive(first, parts(b"not ", b"this", **other)[1], second)
    assert [m.body for m in gateway.store.messages] == ["one two"]
    assert len(gateway.store.waiting) == 1


def test_parts_of_another_carrier_are_another_message(gateway: Gateway) -> None:
    first, second = parts(b"one ", b"two")
    gateway.arrive(first, carrier_id=ALPHA)
    gateway.arrive(second, carrier_id=BETA)
    assert gateway.store.handovers == []
    gateway.arrive(second, carrier_id=ALPHA)
    gateway.arrive(first, carrier_id=BETA)
    assert [m.carrier_id for m in gateway.store.messages] == [ALPHA, BETA]


def test_a_character_cut_in_two_is_one_again(gateway: Gateway) -> None:
    octets = "ab🙂".encode("utf-16-be")
    gateway.arrive(*parts(octets[:6], octets[6:], data_coding=8))
    gateway.arrive(*parts(b"5\x1b", b"\x65", reference=9))
    assert [(m.body, m.exact) for m in gateway.store.messages] == [("ab🙂", True), ("5€", True)]


def test_binary_parts_keep_the_rest_of_their_header(gateway: Gateway) -> None:
    def headed(sequence: int) -> bytes:
        return b"\x0b\x05\x04\x0b\x84\x23\xf0\x00\x03\x07\x02" + bytes((sequence,))

    gateway.arrive(
        *(
            single(headed(n) + bytes((n,)), esm_class=v.ESM_CLASS_UDHI, data_coding=4)
            for n in (2, 1)
        )
    )
    (message,) = gateway.store.messages
    assert (message.content, message.encoding) == (b"\x01\x02", "binary")
    assert message.udh == b"\x06\x05\x04\x0b\x84\x23\xf0"


def test_a_reference_used_again_gives_the_older_message_up(gateway: Gateway) -> None:
    gateway.arrive(parts(b"old one ", b"old two")[0])
    gateway.arrive(*parts(b"new one ", b"new two"))
    old, new = gateway.store.messages
    assert (old.body, old.missing) == ("old one ", (2,))
    assert (new.body, new.missing) == ("new one new two", ())


# ── time ────────────────────────────────────────────────────────────────────────────────────


def test_what_came_in_time_is_handed_over_as_partial(gateway: Gateway) -> None:
    made = parts(b"one ", b"two ", b"three", b"four")
    gateway.arrive(made[2], made[0])
    gateway.pass_time(LIFE_S - 1)
    assert gateway.store.handovers == []
    gateway.pass_time(1)
    (handover,) = gateway.store.handovers
    message = handover.message
    assert (message.body, message.missing, message.segments) == ("one three", (2, 4), 4)
    assert json.loads(handover.notices[0].body)["partial"] is True
    assert gateway.store.waiting == []
    gateway.pass_time(LIFE_S)
    assert len(gateway.store.handovers) == 1


def test_a_part_that_is_too_late_is_handed_over_by_itself(gateway: Gateway) -> None:
    first, second = parts(b"one ", b"two")
    gateway.arrive(first)
    gateway.pass_time(LIFE_S)
    gateway.arrive(second)
    gateway.pass_time(LIFE_S)
    assert [(m.body, m.missing) for m in gateway.store.messages] == [("one ", (2,)), ("two", (1,))]


# ── restarts ────────────────────────────────────────────────────────────────────────────────


def test_a_restart_between_two_parts_is_not_noticed(gateway: Gateway) -> None:
    first, second, third = parts(b"one ", b"two ", b"three")
    gateway.arrive(third)
    gateway = gateway.restart()
    gateway.arrive(first)
    gateway = gateway.restart(away_s=10)
    assert gateway.book.waiting(ALPHA) == 2
    gateway.arrive(second)
    assert [m.body for m in gateway.store.messages] == ["one two three"]


def test_a_part_whose_answer_was_lost_in_a_restart_changes_nothing(gateway: Gateway) -> None:
    first, second = parts(b"one ", b"two")
    gateway.arrive(first)
    gateway = gateway.restart()
    gateway.arrive(first, second)
    gateway = gateway.restart(away_s=60)
    gateway.arrive(second)
    gateway.pass_time(LIFE_S)
    assert [m.body for m in gateway.store.messages] == ["one two"]
    assert gateway.store.waiting == []


def test_a_restart_does_not_prolong_the_wait(gateway: Gateway) -> None:
    gateway.arrive(parts(b"one ", b"two")[0])
    gateway = gateway.restart(away_s=LIFE_S - 10)
    gateway.pass_time(9)
    assert gateway.store.handovers == []
    gateway.pass_time(1)
    assert [m.missing for m in gateway.store.messages] == [(2,)]


def test_a_wait_that_ended_while_it_was_away_ends_at_the_start(gateway: Gateway) -> None:
    gateway.arrive(parts(b"one ", b"two")[0])
    gateway = gateway.restart(away_s=10 * LIFE_S)
    gateway.pass_time(0)
    assert [m.missing for m in gateway.store.messages] == [(2,)]


def test_a_clock_that_went_back_does_not_end_a_wait_early(gateway: Gateway) -> None:
    gateway.arrive(parts(b"one ", b"two")[0])
    gateway = gateway.restart(away_s=-20)
    gateway.pass_time(LIFE_S - 1)
    assert gateway.store.handovers == []


def test_a_reference_used_again_before_a_restart_is_not_disturbed_by_the_older(
    gateway: Gateway,
) -> None:
    gateway.arrive(*parts(b"old one ", b"old two"))
    first, second = parts(b"new one ", b"new two")
    gateway.arrive(first)
    gateway = gateway.restart()
    gateway.arrive(second)
    assert [m.body for m in gateway.store.messages] == ["old one old two", "new one new two"]


def test_parts_of_a_carrier_that_is_no_more_are_handed_over_too(gateway: Gateway) -> None:
    gone = CarrierId(9)
    gateway.arrive(parts(b"one ", b"two")[0], carrier_id=gone)
    gateway = gateway.restart()
    gateway.pass_time(LIFE_S)
    assert [m.carrier_id for m in gateway.store.messages] == [gone]
    assert json.loads(gateway.store.handovers[0].notices[0].body)["carrier"] == "9"


# ── anything ────────────────────────────────────────────────────────────────────────────────


@st.composite
def histories(draw: st.DrawFn) -> tuple[dict[int, list[bytes]], list[tuple[int, int] | None]]:
    """Some messages' texts by reference, and an order in which their parts come, each at least
    once; None is a restart."""
    texts = draw(
        st.dictionaries(
            st.integers(0, 255),
            st.lists(st.binary(min_size=1, max_size=4), min_size=2, max_size=6),
            min_size=1,
            max_size=4,
        )
    )
    every = [(reference, n) for reference, pieces in texts.items() for n in range(len(pieces))]
    again = draw(st.lists(st.sampled_from([*every, None]), max_size=8))
    return texts, draw(st.permutations([*every, *again]))


@given(histories(), st.sampled_from([{}, {"wide": True}, {"sar": True}]))
def test_any_order_with_repetitions_and_restarts_hands_each_message_over_once(
    history: tuple[dict[int, list[bytes]], list[tuple[int, int] | None]], form: dict[str, bool]
) -> None:
    texts, order = history
    gateway = Gateway(Store())
    for step in order:
        if step is None:
            gateway = gateway.restart(away_s=1.0)
        else:
            reference, index = step
            made = parts(*texts[reference], reference=reference, data_coding=4, **form)
            gateway.arrive(made[index])
    gateway.pass_time(LIFE_S)
    assert sorted(m.content for m in gateway.store.messages) == sorted(
        b"".join(pieces) for pieces in texts.values()
    )
    assert all(m.missing == () for m in gateway.store.messages)
    assert gateway.store.waiting == []
    assert gateway.store.acknowledged == sum(step is not None for step in order)


@given(
    st.lists(
        st.tuples(
            st.binary(max_size=20),
            st.integers(0, 255),
            st.sampled_from([0x00, 0x40]),
            st.dictionaries(
                st.sampled_from(
                    [
                        v.TAG_SAR_MSG_REF_NUM,
                        v.TAG_SAR_TOTAL_SEGMENTS,
                        v.TAG_SAR_SEGMENT_SEQNUM,
                        v.TAG_MESSAGE_PAYLOAD,
                    ]
                ),
                st.binary(max_size=3),
            ),
        ),
        max_size=12,
    )
)
def test_whatever_comes_is_acknowledged_and_handed_over(
    received: list[tuple[bytes, int, int, dict[int, bytes]]],
) -> None:
    gateway = Gateway(Store())
    for octets, data_coding, esm_class, tlvs in received:
        gateway.arrive(single(octets, data_coding=data_coding, esm_class=esm_class, tlvs=tlvs))
    gateway.pass_time(LIFE_S)
    store = gateway.store
    assert store.acknowledged == len(received)
    assert store.waiting == []
    in_sets = sum(len(h.parts) for h in store.handovers)
    singles = sum(not h.parts for h in store.handovers)
    assert in_sets + singles + len(gateway.repeated) == len(received)
