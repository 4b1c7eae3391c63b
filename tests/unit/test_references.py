"""What is remembered until its receipt comes: the newest, and no more than was allowed."""

from __future__ import annotations

import pytest

from gateway.lifecycle import Status
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import Party
from gateway.references import Key, Reference, References

MESSAGE, ACCOUNT, CARRIER = MessageId(1001), AccountId(7), CarrierId(1)
SUBMITTED = Status.SUBMITTED
PARTY = Party("Shop", "447400123456", "order 17", "spring", "", 1)


def key(name: str = "a") -> Key:
    return CARRIER, name


def reference(states: list[Status] | None = None, index: int = 0) -> Reference:
    return Reference(MESSAGE, ACCOUNT, index, states or [SUBMITTED], PARTY, 1_000.0)


def kept(references: References, count: int) -> list[str]:
    """Put so many; return which of them are still remembered, the oldest first."""
    for number in range(count):
        references.put(key(str(number)), reference())
    names = [str(number) for number in range(count) if key(str(number)) in references]
    assert len(references) == len(names)
    return names


@pytest.mark.parametrize(
    ("size_max", "count", "left"),
    [(4, 0, 0), (4, 4, 4), (4, 5, 3), (4, 6, 4), (4, 7, 3), (1, 3, 2), (1_000, 999, 999)],
)
def test_the_oldest_references_are_forgotten_a_generation_at_once(
    size_max: int, count: int, left: int
) -> None:
    assert kept(References(size_max), count) == [str(n) for n in range(count - left, count)]


def test_what_a_receipt_came_for_is_remembered_until_that_is_committed() -> None:
    references = References(4)
    for name in ("a", "b", "c", "d"):
        references.put(key(name), reference([SUBMITTED, SUBMITTED]))
    assert references.find(key("a")) is not None, "young again, and the others of its age gone"
    references.put(key("e"), reference())
    assert [name for name in "abcde" if key(name) in references] == ["a", "c", "d", "e"]
    assert references.find_states(MESSAGE) is not None


def test_the_newest_half_is_always_remembered() -> None:
    references = References(10)
    for count in range(1, 50):
        references.put(key(str(count)), reference())
        assert len(references) <= 10
        newest = range(max(1, count - 4), count + 1)
        assert all(key(str(number)) in references for number in newest)


def test_a_carrier_that_uses_an_id_again_means_its_latest_message() -> None:
    references = References(10)
    first, second = reference(), reference()
    references.put(key(), first)
    references.put(key(), second)
    assert references.find(key()) is second


def test_states_are_known_as_long_as_any_part_is() -> None:
    references = References(4)
    states = [SUBMITTED, SUBMITTED]
    references.put(key("a"), reference(states, 0))
    assert references.find_states(MESSAGE) is states
    references.put(key("other"), reference())
    references.put(key("b"), reference(states, 1))
    references.put(key("another"), reference())
    references.put(key("one more"), reference())
    assert key("a") not in references
    assert references.find_states(MESSAGE) is states
    kept(references, 8)
    assert references.find_states(MESSAGE) is None


def test_short_messages_need_no_shared_list() -> None:
    references = References(4)
    references.put(key(), reference([SUBMITTED]))
    assert references.find_states(MESSAGE) is None


def test_a_message_that_is_forgotten_leaves_the_others() -> None:
    references = References(4)
    other = Reference(MessageId(1002), ACCOUNT, 0, [SUBMITTED], PARTY, 1_000.0)
    for name, one in (("a", reference([SUBMITTED, SUBMITTED])), ("b", other), ("c", reference())):
        references.put(key(name), one)  # the first two are of the older generation
    references.forget({MESSAGE})
    assert [name for name in "abc" if key(name) in references] == ["b"]
    assert references.find_states(MESSAGE) is None
