"""What the hot path knows of accounts, from the moment at which it may need it."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.config import Plan
from gateway.directory import Directory
from gateway.metrics import Metrics
from gateway.store import keys
from gateway.store.keyring import KeyRing
from gateway.store.postgres import Database


async def test_an_account_is_known_with_the_first_use_of_its_key(
    database: Database, make_account: Any
) -> None:
    directory = Directory(database, Metrics(), [Plan(name="fair", bill="delivered")])
    await directory.refresh()
    shop = await make_account("shop")
    await database.pool.execute(
        "UPDATE accounts SET webhook_url = 'https://shop.example/', plan = 'fair' WHERE id = $1",
        shop.id,
    )
    key = (await keys.create_key(database, shop.id)).plaintext
    assert not directory.wants_notice(shop.id)
    account = await KeyRing(database, on_account=directory.note).authenticate(key)
    assert account is not None
    assert directory.wants_notice(shop.id)
    assert directory.pays_on_delivery(shop.id)
    await directory.refresh()
    assert directory.wants_notice(shop.id)


async def test_what_changed_is_known_after_the_next_refresh(
    database: Database, make_account: Any
) -> None:
    directory = Directory(database, Metrics())
    shop = await make_account("shop")
    directory.note(msgspec.structs.replace(shop, webhook_url="https://shop.example/"))
    assert directory.wants_notice(shop.id)
    await directory.refresh()
    assert not directory.wants_notice(shop.id)
