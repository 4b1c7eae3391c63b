"""Accounts' ceilings as operators set them and a running gateway reads them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from gateway.ceilings import Ceiling
from gateway.directory import Directory
from gateway.errors import Rejected
from gateway.metrics import Metrics
from gateway.model import Account, AccountId
from gateway.store.ceilings import AccountCeilings, fetch_ceilings, save_ceilings
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]


async def test_what_is_not_named_stays_as_it_is(
    database: Database, make_account: MakeAccount
) -> None:
    shop = await make_account("shop")
    first = await save_ceilings(database, shop.id, segments_per_s=2.5)
    assert first == AccountCeilings(segments_per_s=2.5)
    assert first.leaving == Ceiling(2.5, 1)
    second = await save_ceilings(database, shop.id, segments_burst=7, recipient_per_hour=0)
    assert second == AccountCeilings(segments_per_s=2.5, segments_burst=7, recipient_per_hour=0)
    third = await save_ceilings(
        database, shop.id, segments_per_s=0, recipient_per_minute=3, recipient_per_hour=-1
    )
    assert third == AccountCeilings(segments_burst=7, recipient_per_minute=3)
    assert third.leaving is None
    assert await fetch_ceilings(database) == {shop.id: third}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("segments_per_s", -1.0),
        ("segments_per_s", float("nan")),
        ("segments_per_s", float("inf")),
        ("segments_burst", 0),
        ("recipient_per_minute", -2),
        ("recipient_per_hour", 10_001),
    ],
)
async def test_a_ceiling_out_of_range_is_refused_by_its_name(
    database: Database, make_account: MakeAccount, field: str, value: Any
) -> None:
    shop = await make_account("shop")
    with pytest.raises(Rejected) as caught:
        await save_ceilings(database, shop.id, **{field: value})
    assert (caught.value.code, caught.value.field) == ("out_of_range", field)
    assert await fetch_ceilings(database) == {}


async def test_an_account_that_is_not_there_gets_none(database: Database) -> None:
    with pytest.raises(Rejected) as caught:
        await save_ceilings(database, AccountId(404), segments_per_s=1.0)
    assert caught.value.code == "account_unknown"


async def test_the_directory_tells_of_each_change_once(
    database: Database, make_account: MakeAccount
) -> None:
    shop = await make_account("shop")
    told: list[Mapping[AccountId, AccountCeilings]] = []
    directory = Directory(database, Metrics())
    await directory.refresh()
    directory.tell_ceilings(told.append)
    assert told == [{}]
    changed = await save_ceilings(database, shop.id, segments_per_s=1.0)
    await directory.refresh()
    await directory.refresh()
    assert told == [{}, {shop.id: changed}]
