from __future__ import annotations

import pytest

from gateway.ids import EPOCH_MS, NODE_MAX, IdGenerator, accepted_at, id_at

NOW = 1_795_000_000.125


def test_ids_grow_within_and_over_milliseconds() -> None:
    ids = IdGenerator(3)
    made = [ids.next(NOW + step / 10_000) for step in range(1_000)]
    assert made == sorted(set(made))


def test_an_id_tells_the_millisecond_of_its_acceptance() -> None:
    message_id = IdGenerator(NODE_MAX).next(NOW)
    assert accepted_at(message_id) == NOW
    assert id_at(NOW) <= message_id < id_at(NOW + 0.001)


def test_nodes_never_make_the_same_id() -> None:
    first, second = IdGenerator(1), IdGenerator(2)
    assert not {first.next(NOW) for _ in range(5_000)} & {second.next(NOW) for _ in range(5_000)}


def test_more_than_a_millisecond_holds_borrows_from_the_next() -> None:
    ids = IdGenerator(0)
    made = [ids.next(NOW) for _ in range(4_097)]
    assert accepted_at(made[4_095]) == NOW
    assert accepted_at(made[4_096]) == pytest.approx(NOW + 0.001)


def test_a_clock_put_back_repeats_nothing() -> None:
    ids = IdGenerator(0)
    before = ids.next(NOW)
    assert ids.next(NOW - 3_600) > before


def test_a_start_after_the_clock_was_put_back_repeats_nothing() -> None:
    last = IdGenerator(5).next(NOW)
    assert IdGenerator(5, floor=last).next(NOW - 3_600) > last


@pytest.mark.parametrize("floor_node", [0, 5, NODE_MAX])
def test_a_floor_of_any_node_is_passed(floor_node: int) -> None:
    floor = IdGenerator(floor_node).next(NOW)
    assert IdGenerator(0, floor=floor).next(NOW) > floor


@pytest.mark.parametrize("node", [-1, NODE_MAX + 1])
def test_a_node_out_of_range_is_refused(node: int) -> None:
    with pytest.raises(ValueError, match="node"):
        IdGenerator(node)


def test_ids_fit_a_signed_64_bit_column_for_69_years() -> None:
    end_of_time = (EPOCH_MS + 2**41 - 1) / 1000
    assert IdGenerator(NODE_MAX).next(end_of_time) < 2**63


def test_the_time_before_the_epoch_is_the_beginning() -> None:
    assert id_at(0.0) == 0
