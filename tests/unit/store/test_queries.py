from __future__ import annotations

import pytest

from gateway.store.queries import QUERIES, parse_queries, query


def test_blocks_are_split_by_name_and_comments_stay_behind() -> None:
    text = "-- all\n\n-- name: one\n-- why\nSELECT 1\n  -- inner\nFROM x\n-- name: two\nSELECT 2;\n"
    assert parse_queries(text) == {"one": "SELECT 1\nFROM x", "two": "SELECT 2"}


def test_a_name_given_twice_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="one"):
        parse_queries("-- name: one\nSELECT 1\n-- name: one\nSELECT 2\n")


def test_a_name_without_a_query_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="empty"):
        parse_queries("-- name: one\n-- name: two\nSELECT 2\n")


def test_a_query_without_a_name_is_our_mistake() -> None:
    with pytest.raises(AssertionError, match="before the first name"):
        parse_queries("SELECT 1\n")


def test_an_unknown_name_fails_when_it_is_asked_for() -> None:
    with pytest.raises(KeyError):
        query("no_such_query")


def test_no_query_is_two_statements() -> None:
    assert [name for name, sql in QUERIES.items() if ";" in sql] == []
