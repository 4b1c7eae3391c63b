"""The comparison finds what does not add up, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from bench.ledger.books import Books, Told
from bench.ledger.checks import check_audit, check_statement
from gateway.views import Statement, StatementLine


@pytest.fixture
def books() -> Books:
    books = Books()
    books.deposit("shop", 1_000_000)
    books.accept("1", Told("shop", 60_000, 2, "GB", ""))
    books.accept("2", Told("shop", 30_000, 1, "FR", "x"))
    return books


def account(**changes: Any) -> dict[str, Any]:
    return {
        "account": "shop",
        "messages": 2,
        "open_messages": 0,
        "deposited_micros": 1_000_000,
        "posted_micros": 60_000,
        "voided_micros": 30_000,
        "refunded_micros": 10_000,
        "reserved_micros": 0,
        "available_micros": 950_000,
    } | changes


def wrong(books: Books, refunds: int = 10_000, **changes: Any) -> set[str]:
    audited = {"report": {"findings": [], "accounts": [account(**changes)]}}
    return {c.name for c in check_audit(books, audited, {"shop": refunds}) if not c.holds}


def test_books_that_agree_hold(books: Books) -> None:
    assert wrong(books) == set()


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"messages": 3}, {"shop: messages"}),
        ({"deposited_micros": 1}, {"shop: deposited"}),
        ({"available_micros": 950_001}, {"shop: available"}),
        ({"posted_micros": 60_001}, {"shop: posted or voided"}),
        ({"reserved_micros": 1, "open_messages": 1}, {"shop: reserved", "shop: open messages"}),
        ({"refunded_micros": 0}, {"shop: refunded", "shop: available"}),
    ],
)
def test_a_micro_unit_too_much_is_named(
    books: Books, changes: dict[str, int], found: set[str]
) -> None:
    assert wrong(books, **changes) == found


def line(key: str, messages: int, segments: int, price: str) -> StatementLine:
    return StatementLine(
        key=key,
        messages=messages,
        segments=segments,
        price=price,
        voided="0.03",
        refunded="0.01",
        net="0",
    )


def stated(*lines: StatementLine) -> dict[str, Statement]:
    return {
        "country": Statement(
            account="shop",
            currency="EUR",
            first="2026-01-01",
            last="2026-01-31",
            by="country",
            lines=list(lines),
            complete=True,
            total=line("", 2, 3, "0.09"),
            deposited="1",
            withdrawn="0",
        )
    }


def test_a_statement_has_the_lines_that_customers_know(books: Books) -> None:
    good = stated(line("FR", 1, 1, "0.03"), line("GB", 1, 2, "0.06"))
    assert all(c.holds for c in check_statement(books, account(), good))
    shifted = stated(line("FR", 2, 3, "0.09"))
    bad = [c.name for c in check_statement(books, account(), shifted) if not c.holds]
    assert bad == ["shop by country: lines"]
