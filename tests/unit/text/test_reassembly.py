"""Parts in any order, twice, never, and too many of them."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Encoding
from gateway.text import reassembly
from gateway.text.alphabet import decode_gsm7
from gateway.text.reassembly import (
    Complete,
    Duplicate,
    Outcome,
    Part,
    Partial,
    Reassembler,
    Waiting,
)
from gateway.text.segment import split
from gateway.text.style import TextStyle
from gateway.text.udh import concatenation, header_size


def part(
    sequence: int,
    total: int = 3,
    *,
    reference: int = 7,
    source: str = "491510000001",
    destination: str = "40404",
    content: bytes | None = None,
) -> Part:
    octets = b"part %d" % sequence if content is None else content
    return Part(source, destination, reference, total, sequence, octets)


def whole(outcome: Outcome) -> list[int]:
    assert isinstance(outcome, Complete)
    return [p.sequence for p in outcome.parts]


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_parts_make_a_message_in_any_order(order: tuple[int, ...]) -> None:
    reassembler = Reassembler()
    first, second, last = (reassembler.add(part(sequence), 0.0) for sequence in order)
    assert (first, second) == (Waiting(2), Waiting(1))
    assert whole(last) == [1, 2, 3]
    assert len(reassembler) == 0


def test_a_part_that_comes_again_changes_nothing() -> None:
    reassembler = Reassembler()
    assert reassembler.add(part(1), 0.0) == Waiting(2)
    assert reassembler.add(part(1), 1.0) == Duplicate()
    assert reassembler.add(part(2), 2.0) == Waiting(1)
    assert whole(reassembler.add(part(3), 3.0)) == [1, 2, 3]


def test_a_part_that_comes_again_after_completion_opens_no_set() -> None:
    reassembler = Reassembler()
    for sequence in (1, 2, 3):
        reassembler.add(part(sequence), 0.0)
    assert reassembler.add(part(2), 5.0) == Duplicate()
    assert len(reassembler) == 0


def test_a_completed_set_is_forgotten_after_a_while() -> None:
    reassembler = Reassembler()
    for sequence in (1, 2, 3):
        reassembler.add(part(sequence), 0.0)
    assert reassembler.add(part(2), reassembly.REPEAT_S) == Waiting(2)


def test_a_reference_that_is_used_again_after_completion_makes_a_new_message() -> None:
    reassembler = Reassembler()
    for sequence in (1, 2, 3):
        reassembler.add(part(sequence), 0.0)
    assert reassembler.add(part(2, content=b"new 2"), 1.0) == Waiting(2)
    # equal to a part of the completed message, but here is a set that lacks it
    assert reassembler.add(part(1), 2.0) == Waiting(1)
    assert whole(reassembler.add(part(3, content=b"new 3"), 3.0)) == [1, 2, 3]


def test_a_reference_that_is_used_again_hands_back_what_waited() -> None:
    reassembler = Reassembler()
    reassembler.add(part(1), 0.0)
    reassembler.add(part(3), 0.0)
    new = part(3, content=b"of another message")
    assert reassembler.add(new, 1.0) == Waiting(2, Partial((part(1), part(3)), (2,)))
    assert len(reassembler) == 1


@pytest.mark.parametrize(
    "other",
    [
        part(2, reference=8),
        part(2, source="491510000002"),
        part(2, destination="50505"),
        part(2, total=2),
    ],
)
def test_parts_of_different_messages_never_meet(other: Part) -> None:
    reassembler = Reassembler()
    reassembler.add(part(1), 0.0)
    assert reassembler.add(other, 0.0) == Waiting(other.total - 1)
    assert len(reassembler) == 2


@pytest.mark.parametrize(("sequence", "total"), [(1, 1), (0, 3), (4, 3), (1, 0), (0, 0)])
def test_a_part_that_numbers_nothing_is_a_message_by_itself(sequence: int, total: int) -> None:
    reassembler = Reassembler()
    alone = part(sequence, total)
    assert reassembler.add(alone, 0.0) == Complete((alone,))
    assert reassembler.add(alone, 0.0) == Complete((alone,))
    assert reassembler.next_deadline is None


def test_a_set_that_waits_too_long_is_handed_back_with_what_it_lacks() -> None:
    reassembler = Reassembler(life_s=10.0)
    reassembler.add(part(3), 100.0)
    reassembler.add(part(1), 109.0)  # a later part does not lengthen the wait
    reassembler.add(part(1, reference=8), 105.0 + 4.5)
    assert reassembler.next_deadline == 110.0
    assert reassembler.expire(109.9) == []
    assert reassembler.expire(110.0) == [Partial((part(1), part(3)), (2,))]
    assert reassembler.next_deadline == 119.5
    assert reassembler.expire(1000.0) == [Partial((part(1, reference=8),), (2, 3))]
    assert reassembler.next_deadline is None


def test_sets_expire_oldest_first() -> None:
    reassembler = Reassembler(life_s=10.0)
    for reference in (5, 1, 3):
        reassembler.add(part(1, reference=reference), float(reference == 3))
    given_up = reassembler.expire(11.0)
    assert [partial.parts[0].reference for partial in given_up] == [5, 1, 3]


def test_a_full_reassembler_hands_back_its_oldest_set() -> None:
    reassembler = Reassembler(sets_max=2)
    reassembler.add(part(1, reference=1), 0.0)
    reassembler.add(part(1, reference=2), 1.0)
    oldest = Partial((part(1, reference=1),), (2, 3))
    assert reassembler.add(part(1, reference=3), 2.0) == Waiting(2, oldest)
    assert len(reassembler) == 2
    # a part for a set that is open displaces nothing
    assert reassembler.add(part(2, reference=2), 3.0) == Waiting(1)


def test_what_is_remembered_of_completed_sets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reassembly, "COMPLETED_MAX", 2)
    reassembler = Reassembler()
    for reference in (1, 2, 3):
        for sequence in (1, 2, 3):
            reassembler.add(part(sequence, reference=reference), 0.0)
    assert reassembler.add(part(1, reference=3), 1.0) == Duplicate()
    assert reassembler.add(part(1, reference=2), 1.0) == Duplicate()
    assert reassembler.add(part(1, reference=1), 1.0) == Waiting(2)


def test_expiring_forgets_completed_sets_too() -> None:
    reassembler = Reassembler()
    for sequence in (1, 2, 3):
        reassembler.add(part(sequence), 0.0)
    assert reassembler.expire(reassembly.REPEAT_S) == []
    assert not reassembler._completed  # nothing but memory tells


@given(st.data())
def test_every_part_comes_out_exactly_once_whatever_arrives(data: st.DataObject) -> None:
    arrivals = data.draw(
        st.lists(
            st.builds(
                part,
                st.integers(1, 3),
                reference=st.integers(1, 4),
                content=st.sampled_from([b"x", b"y"]),
            ),
            max_size=60,
        )
    )
    reassembler = Reassembler(life_s=20.0, sets_max=2)
    came_out = duplicates = 0
    for now, arrival in enumerate(arrivals):
        came_out += sum(len(p.parts) for p in reassembler.expire(float(now)))
        match reassembler.add(arrival, float(now)):
            case Complete(parts):
                assert [p.sequence for p in parts] == [1, 2, 3]
                came_out += 3
            case Waiting(_, displaced):
                came_out += len(displaced.parts) if displaced else 0
            case Duplicate():
                duplicates += 1
        assert len(reassembler) <= 2
    came_out += sum(len(p.parts) for p in reassembler.expire(float("inf")))
    assert came_out + duplicates == len(arrivals)


@given(st.text(st.sampled_from("ab€{"), min_size=161, max_size=900), st.randoms(), st.booleans())
def test_a_text_that_was_cut_is_put_together(text: str, random: object, wide: bool) -> None:
    payloads = split(text, Encoding.GSM7, 0x1234, TextStyle(wide_reference=wide)).payloads
    random.shuffle(payloads)  # type: ignore[attr-defined]  # hypothesis draws a random.Random
    reassembler = Reassembler()
    outcome: Outcome = Duplicate()
    for payload in payloads:
        number = concatenation(payload)
        assert number is not None
        outcome = reassembler.add(
            Part(
                "1",
                "2",
                number.reference,
                number.total,
                number.sequence,
                payload[header_size(payload) :],
            ),
            0.0,
        )
    assert isinstance(outcome, Complete)
    assert decode_gsm7(b"".join(p.content for p in outcome.parts)) == text
