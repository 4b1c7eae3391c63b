"""Each account's own rate."""

from __future__ import annotations

import pytest

import gateway.api.gate as gate_module
from gateway.api.gate import Gate
from gateway.errors import Rejected
from gateway.model import Account, AccountId


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class NoKeys:
    def recall(self, key: str) -> Account | None:
        raise AssertionError("not asked")

    async def authenticate(self, key: str) -> Account | None:
        raise AssertionError("not asked")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(NoKeys(), 30, clock)


def account(rate: float, number: int = 1) -> Account:
    return Account(id=AccountId(number), name="shop", submit_per_s=rate)


def refusal(gate: Gate, whose: Account, count: int = 1) -> Rejected:
    with pytest.raises(Rejected) as caught:
        gate.take(whose, count)
    return caught.value


def test_an_account_without_a_rate_is_not_counted(gate: Gate) -> None:
    for _ in range(1_000):
        gate.take(account(0.0), 10_000)


def test_a_second_s_worth_may_come_at_once_and_then_one_at_a_time(gate: Gate, clock: Clock) -> None:
    for _ in range(10):
        gate.take(account(10.0), 1)
    refused = refusal(gate, account(10.0))
    assert (refused.status, refused.code) == (429, "rate_exceeded")
    assert refused.retry_after_s == pytest.approx(0.1)
    clock.now += 0.1001
    gate.take(account(10.0), 1)
    refusal(gate, account(10.0))


def test_a_rate_below_one_a_second_waits_its_seconds(gate: Gate) -> None:
    gate.take(account(0.1), 1)
    assert refusal(gate, account(0.1)).retry_after_s == pytest.approx(10.0)


def test_a_batch_above_the_rate_is_let_in_and_waited_off(gate: Gate, clock: Clock) -> None:
    gate.take(account(10.0), 100)
    assert refusal(gate, account(10.0)).retry_after_s == pytest.approx(9.1)
    clock.now += 9.11
    gate.take(account(10.0), 1)


def test_accounts_do_not_share_a_rate(gate: Gate) -> None:
    gate.take(account(1.0, 1), 1)
    gate.take(account(1.0, 2), 1)
    refusal(gate, account(1.0, 1))


def test_a_changed_rate_holds_from_the_next_request(gate: Gate) -> None:
    gate.take(account(1.0), 1)
    refusal(gate, account(1.0))
    gate.take(account(5.0), 5)
    refusal(gate, account(5.0))


def test_the_rates_remembered_are_bounded(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "BUCKETS_MAX", 2)
    for number in (1, 2):
        gate.take(account(1.0, number), 1)
    gate.take(account(1.0, 3), 1)
    gate.take(account(1.0, 1), 1)
    refusal(gate, account(1.0, 3))
