"""For how long each limit has held something back, on literal times."""

from __future__ import annotations

import pytest

from gateway.throttle.limits import NONE, Limit, LimitClock


def test_seconds_are_added_up_while_a_limit_holds() -> None:
    clock = LimitClock()
    clock.note(Limit.RATE, 100.0)
    clock.note(Limit.RATE, 101.0)
    clock.note(NONE, 103.0)
    clock.note(Limit.RATE, 110.0)
    assert clock.drain(110.5) == {Limit.RATE: pytest.approx(3.5)}


def test_what_is_drained_is_not_told_twice_and_goes_on() -> None:
    clock = LimitClock()
    clock.note(Limit.WINDOW, 100.0)
    assert clock.drain(101.0) == {Limit.WINDOW: pytest.approx(1.0)}
    assert clock.drain(101.5) == {Limit.WINDOW: pytest.approx(0.5)}
    clock.note(NONE, 102.0)
    assert clock.drain(103.0) == {Limit.WINDOW: pytest.approx(0.5)}
    assert clock.drain(104.0) == {}


def test_several_hold_at_once_and_each_has_its_own_time() -> None:
    clock = LimitClock()
    clock.note(Limit.ACCOUNT, 100.0)
    clock.note(Limit.ACCOUNT | Limit.RATE, 101.0)
    clock.note(Limit.RATE, 103.0)
    assert clock.drain(104.0) == {
        Limit.ACCOUNT: pytest.approx(3.0),
        Limit.RATE: pytest.approx(3.0),
    }


def test_each_limit_has_a_word() -> None:
    assert [limit.wire for limit in Limit] == [
        *("rate", "throttled", "bind_rate", "window", "unbound", "store"),
        *("account", "destination"),
    ]
