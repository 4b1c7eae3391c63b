"""Operators' programs add credit by an account's name, once for each key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import Rejected
from gateway.model import Account
from gateway.store.postgres import Database
from gateway.store.treasury import Treasury

MakeAccount = Callable[..., Awaitable[Account]]


async def test_a_deposit_is_made_once_for_its_key_however_many_ask(
    database: Database, make_account: MakeAccount
) -> None:
    await make_account("shop", credit_micros=0)
    treasury = Treasury(database)
    made = await asyncio.gather(
        *(
            treasury.deposit("shop", 5_000_000, reason="invoice", author="Ann", key="i-7")
            for _ in range(6)
        )
    )
    assert {each.available for each in made} == {"5"}
    assert sorted(each.replayed for each in made) == [False] + [True] * 5
    listed = (await treasury.list_deposits("shop", 10)).deposits
    assert [(d.amount, d.reason, d.author, d.key) for d in listed] == [
        ("5", "invoice", "Ann", "i-7")
    ]


async def test_a_key_that_stands_for_another_amount_is_refused(
    database: Database, make_account: MakeAccount
) -> None:
    await make_account("shop", credit_micros=0)
    treasury = Treasury(database)
    await treasury.deposit("shop", 5, reason="a", author="", key="k")
    with pytest.raises(Rejected) as caught:
        await treasury.deposit("shop", 6, reason="a", author="", key="k")
    assert (caught.value.code, caught.value.status) == ("key_conflict", 409)


async def test_nobody_gets_nothing(database: Database) -> None:
    treasury = Treasury(database)
    for asked in (
        treasury.deposit("nobody", 5, reason="a", author="", key=None),
        treasury.deposit("no\0body", 5, reason="a", author="", key=None),
        treasury.list_deposits("nobody", 1),
    ):
        with pytest.raises(Rejected) as caught:
            await asked
        assert (caught.value.code, caught.value.field) == ("account_unknown", "name")
