"""What a key may do and where it may come from, and each account's own rate."""

from __future__ import annotations

import pytest

import gateway.api.gate as gate_module
from gateway.api.gate import Gate
from gateway.errors import Rejected
from gateway.model import Account, AccountId
from gateway.scopes import ALL, READ, SEND, read_networks


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


# ── what a key may do, and where it may come from ───────────────────────────────────────────

FIELDS = {b"authorization": b"Bearer key"}


class OneKey(NoKeys):
    def __init__(self, account: Account) -> None:
        self._account = account

    def recall(self, key: str) -> Account | None:
        return self._account


def key_of(scopes: int = ALL, *networks: str, active: bool = True) -> Gate:
    held = Account(
        id=AccountId(1),
        name="shop",
        scopes=scopes,
        networks=read_networks(networks),
        active=active,
    )
    return Gate(OneKey(held), 30, Clock())


@pytest.mark.parametrize(
    ("held", "asked", "missing"),
    [(READ, SEND, "send"), (SEND, READ, "read"), (0, SEND, "send"), (0, READ, "read")],
)
def test_a_key_without_the_scope_is_told_which_it_lacks(
    held: int, asked: int, missing: str
) -> None:
    with pytest.raises(Rejected) as caught:
        key_of(held).admit_known(FIELDS, "192.0.2.1", asked)
    assert (caught.value.status, caught.value.code) == (403, "scope_missing")
    assert caught.value.detail.endswith(f" {missing}")


@pytest.mark.parametrize(("held", "asked"), [(READ, READ), (SEND, SEND), (ALL, SEND), (ALL, READ)])
def test_a_key_with_the_scope_is_let_in(held: int, asked: int) -> None:
    assert key_of(held).admit_known(FIELDS, "192.0.2.1", asked) is not None


@pytest.mark.parametrize(
    ("networks", "address", "let_in"),
    [
        ((), "", True),
        (("192.0.2.0/24",), "192.0.2.77", True),
        (("192.0.2.0/24",), "192.0.3.1", False),
        (("192.0.2.0/24",), "::ffff:192.0.2.77", True),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.7", "2001:db8::/32"), "2001:db8::9", True),
        (("2001:db8::/32",), "2001:db9::9", False),
        (("0.0.0.0/0",), "2001:db8::9", False),
        (("0.0.0.0/0",), "", False),
        (("0.0.0.0/0",), "unix:", False),
    ],
)
def test_a_key_is_let_in_from_its_networks_alone(
    networks: tuple[str, ...], address: str, let_in: bool
) -> None:
    gate = key_of(ALL, *networks)
    if let_in:
        assert gate.admit_known(FIELDS, address, SEND) is not None
        return
    with pytest.raises(Rejected) as caught:
        gate.admit_known(FIELDS, address, SEND)
    assert (caught.value.status, caught.value.code) == (403, "address_not_allowed")


def test_a_key_that_is_no_accounts_learns_nothing_of_scopes() -> None:
    with pytest.raises(Rejected) as caught:
        key_of(0, "192.0.2.7").admit_known({}, "192.0.2.1", SEND)
    assert caught.value.status == 401
