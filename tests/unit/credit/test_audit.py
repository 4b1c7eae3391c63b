"""The audit finds every drift and nothing else."""

from __future__ import annotations

import random
from collections import Counter

import msgspec
import pytest

from gateway.credit.audit import (
    Disagreement,
    MessageTotals,
    RowTotals,
    StoredBalance,
    verdict,
)
from gateway.credit.ledger import apply_event, apply_refund, reserve
from gateway.lifecycle import EventKind
from gateway.model import AccountId, MessageId, Micros

SHOP = AccountId(1)

BALANCE = StoredBalance(
    account_id=SHOP,
    available_micros=Micros(700),
    deposited_micros=Micros(1_000),
    posted_micros=Micros(200),
    floor_micros=Micros(0),
)
TOTALS = RowTotals(
    account_id=SHOP,
    deposited_micros=Micros(1_000),
    priced_micros=Micros(350),
    posted_micros=Micros(200),
    voided_micros=Micros(50),
    open_micros=Micros(100),
)
MESSAGE = MessageTotals(
    account_id=SHOP,
    message_id=MessageId(9),
    price_micros=Micros(30),
    posted_micros=Micros(20),
    voided_micros=Micros(10),
    closed=True,
)


def test_books_that_agree_have_no_disagreement() -> None:
    assert verdict([BALANCE], [TOTALS], [MESSAGE]) == []
    assert verdict([], []) == []


@pytest.mark.parametrize(
    ("field", "found"),
    [
        ("deposited_micros", {"deposited", "reserved"}),
        ("posted_micros", {"posted", "reserved"}),
        ("available_micros", {"available", "reserved"}),
    ],
)
@pytest.mark.parametrize("drift", [1, -1])
def test_a_stored_amount_that_drifted_by_one_micro_unit_is_found(
    field: str, found: set[str], drift: int
) -> None:
    drifted = msgspec.structs.replace(BALANCE, **{field: getattr(BALANCE, field) + drift})
    told = verdict([drifted], [TOTALS])
    assert {d.what for d in told} == found
    assert {d.account_id for d in told} == {SHOP}


@pytest.mark.parametrize(
    "field",
    ["deposited_micros", "priced_micros", "posted_micros", "voided_micros", "open_micros"],
)
@pytest.mark.parametrize("drift", [1, -1])
def test_a_row_that_is_missing_or_doubled_is_found(field: str, drift: int) -> None:
    drifted = msgspec.structs.replace(TOTALS, **{field: getattr(TOTALS, field) + drift})
    assert verdict([BALANCE], [drifted]) != []


def test_what_was_refunded_is_available_again_and_not_spent() -> None:
    refunded = {"refunded_micros": Micros(60)}
    balance = msgspec.structs.replace(BALANCE, available_micros=Micros(760), **refunded)
    totals = msgspec.structs.replace(TOTALS, **refunded)
    assert verdict([balance], [totals]) == []
    told = verdict([balance], [TOTALS])
    assert {d.what for d in told} == {"refunded", "available"}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"refunded_micros": Micros(21)}, "refunded, at most"),
        ({"segments_refunded_wrongly": 1}, "segments refunded wrongly"),
    ],
)
def test_a_refund_of_what_was_not_posted_is_found(changes: dict[str, int], what: str) -> None:
    (told,) = verdict([], [], [msgspec.structs.replace(MESSAGE, **changes)])
    assert told.what == f"message 9: {what}"


def test_a_disagreement_says_what_is_stored_and_what_the_rows_say() -> None:
    told = verdict([msgspec.structs.replace(BALANCE, available_micros=Micros(701))], [TOTALS])
    assert told == [
        Disagreement(SHOP, "available", 701, 700),
        Disagreement(SHOP, "reserved", 99, 100),
    ]


def test_credit_below_its_floor_is_found_though_everything_adds_up() -> None:
    balance = msgspec.structs.replace(BALANCE, floor_micros=Micros(701))
    assert verdict([balance], [TOTALS]) == [
        Disagreement(SHOP, "available, at least the floor", 700, 701)
    ]
    postpaid = msgspec.structs.replace(BALANCE, floor_micros=Micros(-5_000))
    assert verdict([postpaid], [TOTALS]) == []


def test_a_negative_reservation_is_found_though_everything_adds_up() -> None:
    balance = msgspec.structs.replace(BALANCE, posted_micros=Micros(301))
    totals = msgspec.structs.replace(TOTALS, posted_micros=Micros(301), open_micros=Micros(-1))
    assert verdict([balance], [totals]) == [Disagreement(SHOP, "reserved, at least", -1, 0)]


def test_an_account_without_rows_has_to_be_empty() -> None:
    told = verdict([BALANCE], [])
    assert {d.what for d in told} == {"deposited", "posted", "available", "reserved"}
    empty = StoredBalance(
        account_id=SHOP,
        available_micros=Micros(0),
        deposited_micros=Micros(0),
        posted_micros=Micros(0),
        floor_micros=Micros(0),
    )
    assert verdict([empty], []) == []


def test_rows_without_an_account_are_found() -> None:
    told = verdict([], [TOTALS])
    assert "accounts without a balance" in {d.what for d in told}
    assert Disagreement(SHOP, "posted", 0, 200) in told


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"posted_micros": 21}, ("message 9: posted and voided", 31, 30)),
        ({"voided_micros": 9}, ("message 9: posted and voided", 29, 30)),
        (
            {"voided_micros": 11, "closed": False},
            ("message 9: posted and voided, at most", 31, 30),
        ),
        ({"segments_closed_twice": 2}, ("message 9: segments closed twice", 2, 0)),
    ],
)
def test_a_message_that_does_not_close_exactly_once_is_found(
    change: dict[str, int], found: tuple[str, int, int]
) -> None:
    message = msgspec.structs.replace(MESSAGE, **change)
    assert verdict([], [], [message]) == [Disagreement(SHOP, *found)]


def test_an_open_message_may_have_money_left() -> None:
    message = msgspec.structs.replace(MESSAGE, posted_micros=Micros(0), closed=False)
    assert verdict([], [], [message]) == []


def _live(rng: random.Random, number: int, book: Counter[str]) -> MessageTotals:
    """Run one message through its events, moving its account's book as the store would."""
    segments = rng.randint(1, 5)
    reservation = reserve(Micros(rng.randrange(50) * segments), segments)
    book["deposited"] += reservation.price_micros
    book["priced"] += reservation.price_micros
    for _ in range(rng.randrange(12)):
        segment = rng.randint(1, segments)
        if rng.random() < 0.1:
            reservation, move = apply_refund(reservation, segment)
        else:
            reservation, move = apply_event(reservation, segment, rng.choice([*EventKind]))
        book["available"] += move.voided_micros + move.refunded_micros
        book["deposited"] += move.refunded_micros
        book["posted"] += move.posted_micros
        book["voided"] += move.voided_micros
    if not reservation.closed:
        book["open"] += reservation.reserved_micros
    return MessageTotals(
        account_id=SHOP,
        message_id=MessageId(number),
        price_micros=reservation.price_micros,
        posted_micros=reservation.posted_micros,
        voided_micros=reservation.voided_micros,
        closed=reservation.closed,
    )


def test_books_kept_by_the_ledger_always_agree() -> None:
    rng = random.Random(7)
    balances, totals, messages = [], [], []
    for account in range(20):
        book: Counter[str] = Counter()
        messages += [_live(rng, number, book) for number in range(200)]
        account_id = AccountId(account)
        balances.append(
            StoredBalance(
                account_id=account_id,
                available_micros=Micros(book["available"]),
                deposited_micros=Micros(book["deposited"]),
                posted_micros=Micros(book["posted"]),
                floor_micros=Micros(0),
            )
        )
        totals.append(
            RowTotals(
                account_id=account_id,
                deposited_micros=Micros(book["deposited"]),
                priced_micros=Micros(book["priced"]),
                posted_micros=Micros(book["posted"]),
                voided_micros=Micros(book["voided"]),
                open_micros=Micros(book["open"]),
            )
        )
    assert verdict(balances, totals, messages) == []
