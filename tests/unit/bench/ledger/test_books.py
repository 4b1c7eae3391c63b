"""Customers' books count what they were told, once."""

from __future__ import annotations

import pytest

from bench.ledger.books import Books, Sums, Told, told_of

ONE = Told("shop", 30_000, 2, "GB", "spring")


def test_an_acceptance_that_is_told_again_counts_once() -> None:
    books = Books()
    books.accept("1", ONE)
    books.accept("1", ONE)
    assert books.by_account() == {"shop": Sums(1, 2, 30_000)}
    assert books.contradictions == []


def test_an_answer_that_says_something_else_later_is_kept() -> None:
    books = Books()
    books.accept("1", ONE)
    books.accept("1", Told("shop", 30_001, 2, "GB", "spring"))
    assert len(books.contradictions) == 1
    assert books.by_account()["shop"].priced == 30_000


def test_sums_go_by_account_country_and_tag() -> None:
    books = Books()
    books.accept("1", ONE)
    books.accept("2", Told("shop", 5, 1, "GB", ""))
    books.accept("3", Told("bank", 7, 1, "FR", ""))
    assert books.by_account()["shop"] == Sums(2, 3, 30_005)
    assert books.by("shop", "country") == {"GB": Sums(2, 3, 30_005)}
    assert books.by("shop", "tag") == {"spring": Sums(1, 2, 30_000), "": Sums(1, 1, 5)}


def test_an_acceptance_is_read_exactly() -> None:
    assert told_of("shop", "GB", "", {"price": "0.033333", "segments": 1}).price_micros == 33_333
    with pytest.raises(AssertionError):
        told_of("shop", "GB", "", {"price": "1", "segments": "1"})
