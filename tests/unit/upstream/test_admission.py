"""Who may bind, and how long a guesser waits."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec
import pytest

from gateway.model import Account, AccountId
from gateway.record import replace
from gateway.smpp import vocabulary as v
from gateway.upstream.admission import (
    ADDRESSES_MAX,
    FORGET_S,
    STATUS_OF_REASON,
    Admitted,
    LoginPace,
    Reason,
    Refused,
    is_system_id,
    judge_bind,
    may_stay,
)
from gateway.upstream.terms import Terms

ACCOUNT = Account(id=AccountId(7), name="shop")
TERMS = Terms(
    account=ACCOUNT,
    system_id="shop",
    password_hash="scrypt$a",
    networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/48")),
    binds_max=2,
)
INSIDE, OUTSIDE = ip_address("192.0.2.7"), ip_address("198.51.100.1")
INACTIVE = replace(TERMS, account=msgspec.structs.replace(ACCOUNT, active=False))


def test_a_customer_with_the_right_password_is_admitted() -> None:
    assert judge_bind(TERMS, True, INSIDE, 1) == Admitted(TERMS)
    assert judge_bind(TERMS, True, ip_address("2001:db8::1"), 0) == Admitted(TERMS)


def test_without_networks_every_address_will_do() -> None:
    open_terms = replace(TERMS, networks=())
    assert isinstance(judge_bind(open_terms, True, OUTSIDE, 0), Admitted)


@pytest.mark.parametrize(
    ("terms", "right", "address", "bound", "reason", "status"),
    [
        (None, False, INSIDE, 0, Reason.CREDENTIALS, v.ESME_RINVPASWD),
        (TERMS, False, INSIDE, 0, Reason.CREDENTIALS, v.ESME_RINVPASWD),
        (INACTIVE, True, INSIDE, 0, Reason.INACTIVE, v.ESME_RBINDFAIL),
        (TERMS, True, OUTSIDE, 0, Reason.ADDRESS, v.ESME_RBINDFAIL),
        (TERMS, True, INSIDE, 2, Reason.TOO_MANY, v.ESME_RBINDFAIL),
    ],
)
def test_each_refusal_has_its_reason_and_its_status(
    terms: Terms | None,
    right: bool,
    address: object,
    bound: int,
    reason: Reason,
    status: int,
) -> None:
    refused = judge_bind(terms, right, address, bound)  # type: ignore[arg-type]
    assert refused == Refused(reason)
    assert isinstance(refused, Refused)
    assert refused.status == status


def test_who_does_not_know_the_password_learns_nothing_else() -> None:
    answers = {
        judge_bind(terms, False, address, bound)
        for terms in (None, TERMS, INACTIVE)
        for address in (INSIDE, OUTSIDE)
        for bound in (0, 2)
    }
    assert answers == {Refused(Reason.CREDENTIALS)}


def test_every_reason_has_a_status() -> None:
    assert set(STATUS_OF_REASON) == set(Reason)
    # Clients take it for a bind that stands, and begin to submit.
    assert v.ESME_RALYBND not in STATUS_OF_REASON.values()


@pytest.mark.parametrize("raw", ["", "x" * 16, "sh\x01op", "schön"])
def test_some_names_can_be_nobodys(raw: str) -> None:
    assert not is_system_id(raw)
    assert is_system_id("shop-1")


def test_a_bind_stays_as_long_as_it_would_be_admitted() -> None:
    assert may_stay(TERMS, TERMS, INSIDE)
    assert may_stay(replace(TERMS, window_size=1), TERMS, INSIDE)
    assert not may_stay(None, TERMS, INSIDE)
    assert not may_stay(INACTIVE, TERMS, INSIDE)
    assert not may_stay(TERMS, TERMS, OUTSIDE)
    assert not may_stay(replace(TERMS, password_hash="b"), TERMS, INSIDE)
    assert not may_stay(replace(TERMS, system_id="other"), TERMS, INSIDE)


def test_terms_do_not_print_what_is_left_of_the_password() -> None:
    assert "scrypt" not in repr(TERMS)


def test_an_address_without_failures_never_waits() -> None:
    pace = LoginPace(1.0, 8.0)
    assert [pace.take(INSIDE, now) for now in (0.0, 0.0, 5.0)] == [0.0, 0.0, 5.0]


def test_each_wrong_password_doubles_the_wait() -> None:
    pace = LoginPace(1.0, 8.0)
    waits = []
    now = 0.0
    for _ in range(6):
        pace.failed(INSIDE, now)
        at = pace.take(INSIDE, now)
        assert at is not None
        waits.append(at - now)
        now = at
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_looks_at_one_address_take_turns_and_too_many_are_sent_away() -> None:
    pace = LoginPace(1.0, 2.5)
    pace.failed(INSIDE, 0.0)
    assert [pace.take(INSIDE, 0.0) for _ in range(4)] == [1.0, 2.0, None, None]
    assert pace.take(OUTSIDE, 0.0) == 0.0


def test_a_quiet_address_starts_afresh() -> None:
    pace = LoginPace(1.0, 8.0)
    pace.failed(INSIDE, 0.0)
    assert pace.take(INSIDE, FORGET_S + 0.1) == FORGET_S + 0.1


def test_a_customers_whole_ipv6_network_is_one_address() -> None:
    pace = LoginPace(1.0, 8.0)
    pace.failed(ip_address("2001:db8:0:1::1"), 0.0)
    assert pace.take(ip_address("2001:db8:0:1:ffff::2"), 0.0) == 1.0
    assert pace.take(ip_address("2001:db8:0:2::1"), 0.0) == 0.0


def test_memory_for_guessers_is_bounded() -> None:
    pace = LoginPace(1.0, 8.0)
    for number in range(ADDRESSES_MAX + 5):
        pace.failed(ip_address(number), 0.0)
    assert pace.take(ip_address(0), 0.0) == 0.0
    assert pace.take(ip_address(5), 0.0) == 1.0
