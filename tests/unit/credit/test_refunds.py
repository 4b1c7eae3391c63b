"""What is given back: by the carrier's table, or because the account pays for delivery alone."""

from __future__ import annotations

import pytest

from gateway.credit.refunds import (
    NOT_BILLED,
    NOT_DELIVERED,
    NotBilled,
    RefundRules,
    plain_error,
)
from gateway.lifecycle import Status
from gateway.model import AccountId, CarrierId

SHOP, PICKY = AccountId(1), AccountId(2)
ALPHA, BETA = CarrierId(1), CarrierId(2)
RULES = RefundRules(
    {BETA: NotBilled(frozenset({Status.REJECTED}), frozenset({"45", "abc"}))},
    lambda account_id: account_id == PICKY,
)
DELIVERED, REJECTED, UNKNOWN = Status.DELIVERED, Status.REJECTED, Status.UNKNOWN
UNDELIVERED, EXPIRED = Status.UNDELIVERED, Status.EXPIRED


@pytest.mark.parametrize(
    ("account_id", "carrier_id", "status", "error", "reason"),
    [
        (SHOP, ALPHA, DELIVERED, "", ""),
        (SHOP, ALPHA, UNDELIVERED, "045", ""),
        (SHOP, BETA, DELIVERED, "000", ""),
        (SHOP, BETA, UNDELIVERED, "046", ""),
        (SHOP, BETA, UNDELIVERED, "045", NOT_BILLED),
        (SHOP, BETA, UNDELIVERED, "45", NOT_BILLED),
        (SHOP, BETA, EXPIRED, "ABC", NOT_BILLED),
        (SHOP, BETA, DELIVERED, "045", NOT_BILLED),
        (SHOP, BETA, REJECTED, "", NOT_BILLED),
        (SHOP, BETA, UNKNOWN, "", ""),
        (PICKY, ALPHA, DELIVERED, "", ""),
        (PICKY, ALPHA, UNDELIVERED, "", NOT_DELIVERED),
        (PICKY, ALPHA, UNKNOWN, "", NOT_DELIVERED),
        (PICKY, BETA, REJECTED, "", NOT_BILLED),
        (PICKY, BETA, EXPIRED, "", NOT_DELIVERED),
    ],
)
def test_a_segment_is_refunded_where_it_was_agreed(
    account_id: AccountId, carrier_id: CarrierId, status: Status, error: str, reason: str
) -> None:
    assert RULES.reason(account_id, carrier_id, status, error) == reason


@pytest.mark.parametrize(
    ("one", "other"), [("045", "45"), ("0A1", "0a1"), ("000", "0"), ("Failed", "failed")]
)
def test_two_ways_of_writing_one_error_are_one(one: str, other: str) -> None:
    assert plain_error(one) == plain_error(other)


@pytest.mark.parametrize(("one", "other"), [("450", "45"), ("0", "1"), ("a", "b")])
def test_two_errors_stay_two(one: str, other: str) -> None:
    assert plain_error(one) != plain_error(other)
