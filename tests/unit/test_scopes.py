"""Scopes as words and bits, networks as texts and values."""

from __future__ import annotations

import pytest

from gateway.errors import Rejected
from gateway.scopes import (
    ADMIN,
    ALL,
    NETWORKS_MAX,
    READ,
    SCOPES,
    SEND,
    read_networks,
    read_scopes,
    write_scopes,
)


@pytest.mark.parametrize(
    ("words", "bits"), [([], 0), (["send"], SEND), (["read"], READ), (["read", "send"], ALL)]
)
def test_words_and_bits_say_the_same(words: list[str], bits: int) -> None:
    assert read_scopes(words) == bits
    assert sorted(write_scopes(bits)) == sorted(words)


def test_all_is_every_scope_of_customers_and_each_has_a_bit_of_its_own() -> None:
    assert read_scopes(SCOPES) == sum(SCOPES.values())
    assert read_scopes(SCOPES) == ALL | ADMIN
    assert not ALL & ADMIN, "no key is an operator's unless it was made so"


def test_a_word_that_is_unknown_allows_nothing() -> None:
    assert read_scopes(["sent", "SEND", "root"]) == 0


@pytest.mark.parametrize("text", ["", "shop.example", "192.0.2.0/33", "192.0.2.1/24", "1"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_networks(["192.0.2.0/24", text])
    assert caught.value.field == "networks"


def test_networks_are_bounded() -> None:
    assert len(read_networks(["192.0.2.7"] * NETWORKS_MAX)) == NETWORKS_MAX
    with pytest.raises(Rejected):
        read_networks(["192.0.2.7"] * (NETWORKS_MAX + 1))
