from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from gateway.demo.interrupts import ENDING, interrupts_put_off


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    assert {number: signal.getsignal(number) for number in ENDING} == before


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_waits_for_the_end_of_the_block(number: signal.Signals) -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_put_off():
        signal.raise_signal(number)
        done.append("what was begun")
    assert done


def test_a_second_one_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_put_off():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        done.append("never")
    assert not done


def test_without_one_nothing_happens() -> None:
    with interrupts_put_off():
        pass


def test_an_error_of_the_block_goes_first() -> None:
    with pytest.raises(ValueError, match="its own"), interrupts_put_off():
        signal.raise_signal(signal.SIGINT)
        raise ValueError("its own")
