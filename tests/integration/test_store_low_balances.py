"""An account is told of its low balance once a crossing, whoever looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from gateway.errors import Rejected
from gateway.model import Account
from gateway.store import accounts
from gateway.store.audit import audit
from gateway.store.low_balances import (
    Crossed,
    count_low_balances,
    fetch_low_balance,
    set_low_balance,
    tell_low_balances,
)
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
HOOK = "https://shop.example/hook"


async def spend(database: Database, account: Account, micros: int) -> None:
    await accounts.deposit(database, account.id, -micros, reason="test", author="test")


async def look(database: Database) -> list[tuple[str, bool]]:
    return [(each.account, each.low) for each in await tell_low_balances(database, time.time())]


@pytest.fixture
async def shop(database: Database, make_account: MakeAccount) -> Account:
    account = await make_account("shop", credit_micros=1_000)
    await accounts.update_account(database, account.id, webhook_url=HOOK)
    await set_low_balance(database, account.id, 500)
    return account


async def test_a_crossing_is_told_once_and_again_after_a_rise(
    database: Database, shop: Account
) -> None:
    assert await look(database) == []
    await spend(database, shop, 500)
    assert await look(database) == [], "at the threshold is not below it"
    await spend(database, shop, 1)
    assert await look(database) == [("shop", True)]
    await spend(database, shop, 100)
    assert await look(database) == []
    assert await count_low_balances(database) == 1
    assert await fetch_low_balance(database, shop.id) == (500, True)
    await spend(database, shop, -101)
    assert await look(database) == [("shop", False)]
    await spend(database, shop, 1)
    assert await look(database) == [("shop", True)]
    bodies = [row["body"] for row in await database.pool.fetch("SELECT body FROM outbox")]
    assert len(bodies) == 2
    assert (await audit(database, time.time())).findings == []


async def test_the_event_says_what_is_left(database: Database, shop: Account) -> None:
    await spend(database, shop, 900)
    (crossed,) = await tell_low_balances(database, 1_000.5)
    assert crossed == Crossed(shop.id, "shop", "credits", True, 100, 500)
    told = msgspec.json.decode(await database.pool.fetchval("SELECT body FROM outbox"))
    assert told == {
        "id": f"low-balance-{shop.id}-1000500",
        "type": "account.low_balance",
        "account": "shop",
        "available": "0.0001",
        "threshold": "0.0005",
        "currency": "credits",
        "at": 1_000.5,
    }


async def test_two_nodes_tell_it_once(database: Database, shop: Account) -> None:
    await spend(database, shop, 900)
    looks = await asyncio.gather(*(look(database) for _ in range(4)))
    assert sorted(map(len, looks)) == [0, 0, 0, 1]
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 1


async def test_who_has_no_endpoint_is_counted_and_sent_nothing(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account("quiet", credit_micros=10)
    await set_low_balance(database, account.id, 11)
    assert await look(database) == [("quiet", True)]
    assert await database.pool.fetchval("SELECT count(*) FROM outbox") == 0


async def test_a_threshold_that_moves_is_a_crossing_and_one_that_is_gone_is_none(
    database: Database, shop: Account
) -> None:
    await set_low_balance(database, shop.id, 2_000)
    assert await look(database) == [("shop", True)]
    await set_low_balance(database, shop.id, 100)
    assert await look(database) == [("shop", False)]
    await set_low_balance(database, shop.id, None)
    await spend(database, shop, 1_000)
    assert await look(database) == []
    assert await fetch_low_balance(database, shop.id) is None
    with pytest.raises(Rejected):
        await set_low_balance(database, shop.id, 10**18)
