"""Whose a number is, however a carrier writes it."""

from __future__ import annotations

import pytest

from gateway.inbound.numbers import NOBODY, OwnedNumber, Owners, plain_number
from gateway.model import AccountId, CarrierId

ALPHA, BETA = CarrierId(1), CarrierId(2)
SHOP, BANK = AccountId(7), AccountId(8)


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        ("4915112345678", "4915112345678"),
        ("+4915112345678", "4915112345678"),
        ("004915112345678", "4915112345678"),
        (" +4915112345678 ", "4915112345678"),
        ("40404", "40404"),
        ("+40404", "40404"),
        ("00404", "00404"),  # a short code of its own
        ("015112345678", "015112345678"),  # national, as this carrier writes it
        ("Shop", "Shop"),
        ("+Shop", "+Shop"),
        ("", ""),
        ("+", "+"),
        ("١٢٣٤", "١٢٣٤"),
        ("9" * 100, "9" * 64),
    ],
)
def test_a_number_has_one_form(written: str, plain: str) -> None:
    assert plain_number(written) == plain
    assert plain_number(plain) == plain


def test_a_number_is_its_owners_at_every_carrier() -> None:
    owners = Owners([OwnedNumber("40404", SHOP)])
    assert owners.find(ALPHA, "40404") == owners.find(BETA, "40404") == SHOP


def test_a_carriers_own_entry_counts_first() -> None:
    owners = Owners([OwnedNumber("40404", SHOP), OwnedNumber("40404", BANK, ALPHA)])
    assert owners.find(ALPHA, "40404") == BANK
    assert owners.find(BETA, "40404") == SHOP


def test_a_number_owned_at_one_carrier_is_nobodys_elsewhere() -> None:
    owners = Owners([OwnedNumber("40404", BANK, ALPHA)])
    assert owners.find(BETA, "40404") == NOBODY


def test_what_is_not_there_is_nobodys() -> None:
    assert Owners().find(ALPHA, "40404") == NOBODY
    assert Owners([OwnedNumber("40404", SHOP)]).find(ALPHA, "4040") == NOBODY


def test_a_keyword_owns_nothing_yet() -> None:
    owners = Owners([OwnedNumber("40404", SHOP, keyword="WIN"), OwnedNumber("40404", BANK)])
    assert owners.find(ALPHA, "40404") == BANK
    assert Owners([OwnedNumber("40404", SHOP, keyword="WIN")]).find(ALPHA, "40404") == NOBODY
