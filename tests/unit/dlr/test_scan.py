"""Texts of receipts in any shape; through the whole parser they are in `test_parse.py`."""

from __future__ import annotations

import pytest

from gateway.dlr.scan import scan


def test_keys_stand_in_any_order_and_none_is_needed() -> None:
    assert scan("err:27 STAT : failed id:7", has_id=False) == ("7", None, None, "failed", "27", "")
    assert scan("", has_id=False) == ("", None, None, "", "", "")


@pytest.mark.parametrize("has_id", [False, True])
def test_the_first_of_equal_keys_holds(has_id: bool) -> None:
    assert scan("id:1 id:2 err:3 err:4", has_id)[:1] == ("1",)


def test_what_is_quoted_is_looked_into_only_while_nothing_says_of_what_it_is() -> None:
    text = "stat:DELIVRD text:id:7"
    assert scan(text, has_id=True)[0] == ""
    assert scan(text, has_id=False)[0] == "7"


def test_a_carriers_own_word_is_found_without_its_key() -> None:
    assert scan("id:1 NOCREDIT", has_id=False)[3] == ""
    assert scan("id:1 NOCREDIT", has_id=False, own_words={"NOCREDIT"})[3] == "NOCREDIT"
