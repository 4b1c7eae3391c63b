from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.simulator.wheel import Wheel


def test_nothing_falls_due_on_an_empty_wheel() -> None:
    wheel: Wheel[str] = Wheel()
    assert wheel.next_s() is None
    assert wheel.take_due(1e9) == []
    assert len(wheel) == 0


def test_a_thing_is_not_due_before_its_time() -> None:
    wheel: Wheel[str] = Wheel()
    wheel.add(10.0, "a")
    assert wheel.take_due(9.999) == []
    assert wheel.take_due(10.0021) == ["a"]


def test_things_come_in_the_order_of_their_times_and_then_of_their_coming() -> None:
    wheel: Wheel[str] = Wheel()
    for due_s, thing in ((3.0, "c"), (1.0, "a"), (3.0, "d"), (2.0, "b")):
        wheel.add(due_s, thing)
    assert wheel.take_due(5.0) == ["a", "b", "c", "d"]
    assert len(wheel) == 0


@given(st.lists(st.floats(0, 100), min_size=1))
def test_each_thing_falls_due_within_two_milliseconds_of_its_time(times: list[float]) -> None:
    wheel: Wheel[float] = Wheel()
    for due_s in times:
        wheel.add(due_s, due_s)
    seen: list[float] = []
    while (now := wheel.next_s()) is not None:
        for due_s in wheel.take_due(now):
            assert due_s <= now <= due_s + 0.002
            seen.append(due_s)
    assert sorted(seen) == sorted(times)
