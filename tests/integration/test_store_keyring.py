from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable
from ipaddress import ip_network

import pytest

from gateway.errors import Rejected, StoreUnavailable
from gateway.model import Account
from gateway.scopes import READ, SEND
from gateway.store import keyring
from gateway.store.accounts import update_account
from gateway.store.keyring import FRESH_S, STALE_S, KeyRing
from gateway.store.keys import create_key, list_keys, revoke_key, rotate_key
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]


class Clock:
    """Monotonic seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


async def count_lookups(database: Database) -> int:
    """Return how often the table of keys was read through its primary key."""
    async with database.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        count = await connection.fetchval(
            "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'api_keys'"
        )
        return int(count)


async def test_a_key_is_checked_once_and_then_recalled_while_fresh(
    database: Database, make_account: MakeAccount
) -> None:
    account, clock = await make_account(), Clock()
    key = await create_key(database, account.id)
    ring = KeyRing(database, clock)
    assert ring.recall(key.plaintext) is None
    assert await ring.authenticate(key.plaintext) == account
    assert ring.recall(key.plaintext) == account
    clock.now += FRESH_S
    assert ring.recall(key.plaintext) is None


async def test_a_revoked_key_is_refused_as_soon_as_it_is_not_fresh(
    database: Database, make_account: MakeAccount
) -> None:
    account, clock = await make_account(), Clock()
    key = await create_key(database, account.id)
    ring = KeyRing(database, clock)
    await ring.authenticate(key.plaintext)
    await revoke_key(database, account.id, key.prefix)
    clock.now += FRESH_S
    assert ring.recall(key.plaintext) is None
    assert await ring.authenticate(key.plaintext) is None
    assert ring.recall(key.plaintext) is None


async def test_an_expired_key_and_an_inactive_account_are_refused(
    database: Database, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=1)
    expired = await create_key(database, shop.id, expires_at=past)
    sleeping = await create_key(database, bank.id)
    await update_account(database, bank.id, active=False)
    ring = KeyRing(database)
    assert await ring.authenticate(expired.plaintext) is None
    assert await ring.authenticate(sleeping.plaintext) is None


async def test_a_changed_account_is_seen_when_its_key_is_checked_again(
    database: Database, make_account: MakeAccount
) -> None:
    account, clock = await make_account(), Clock()
    key = await create_key(database, account.id)
    ring = KeyRing(database, clock)
    await ring.authenticate(key.plaintext)
    await update_account(database, account.id, segments_max=3)
    clock.now += FRESH_S
    changed = await ring.authenticate(key.plaintext)
    assert changed is not None
    assert changed.segments_max == 3


@pytest.mark.parametrize(
    "key", ["", "x", "gw_short", "Bearer", "gw_" + "x" * 53, "xx_aaaaaaaa_" + "x" * 43, "\ud800"]
)
async def test_what_is_no_key_of_ours_never_reaches_the_database(key: str) -> None:
    class Unreachable:
        def acquire(self) -> None:
            raise AssertionError("the database was asked")

    ring = KeyRing(Unreachable())  # type: ignore[arg-type]  # stands for a forbidden database
    assert ring.recall(key) is None
    assert await ring.authenticate(key) is None


async def test_a_wrong_key_is_looked_up_once_in_a_while(
    database: Database, make_account: MakeAccount
) -> None:
    account, clock = await make_account(), Clock()
    key = await create_key(database, account.id)
    wrong = key.plaintext[:-1] + ("A" if key.plaintext[-1] != "A" else "B")
    ring = KeyRing(database, clock)
    before = await count_lookups(database)
    for _ in range(5):
        assert await ring.authenticate(wrong) is None
    assert await count_lookups(database) == before + 1
    clock.now += FRESH_S
    assert await ring.authenticate(wrong) is None
    assert await count_lookups(database) == before + 2


async def test_many_requests_with_one_stale_key_ask_once(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    key = await create_key(database, account.id)
    ring = KeyRing(database)
    before = await count_lookups(database)
    answers = await asyncio.gather(*(ring.authenticate(key.plaintext) for _ in range(50)))
    assert answers == [account] * 50
    assert await count_lookups(database) == before + 1


async def test_a_client_that_hangs_up_does_not_take_the_answer_from_the_others(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    key = await create_key(database, account.id)
    ring = KeyRing(database)
    first = asyncio.create_task(ring.authenticate(key.plaintext))
    second = asyncio.create_task(ring.authenticate(key.plaintext))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == account


async def test_while_the_database_is_away_a_stale_answer_holds_for_a_minute(
    database: Database, make_account: MakeAccount
) -> None:
    account, clock = await make_account(), Clock()
    key = await create_key(database, account.id)
    other = await create_key(database, account.id)
    ring = KeyRing(database, clock)
    await ring.authenticate(key.plaintext)
    await database.close()
    clock.now += STALE_S - 1
    assert await ring.authenticate(key.plaintext) == account
    with pytest.raises(StoreUnavailable):
        await ring.authenticate(other.plaintext)
    clock.now += 1
    with pytest.raises(StoreUnavailable):
        await ring.authenticate(key.plaintext)


async def test_what_is_remembered_is_bounded(
    database: Database, make_account: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyring, "KNOWN_MAX", 2)
    account = await make_account()
    keys = [await create_key(database, account.id) for _ in range(3)]
    ring = KeyRing(database)
    for key in keys:
        await ring.authenticate(key.plaintext)
    assert [ring.recall(key.plaintext) for key in keys] == [None, account, account]


async def test_a_key_brings_its_scopes_and_networks(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    key = await create_key(database, account.id, scopes=READ, networks=["192.0.2.7", "::/0"])
    found = await KeyRing(database).authenticate(key.plaintext)
    assert found is not None
    assert found.scopes == READ
    assert found.networks == (ip_network("192.0.2.7/32"), ip_network("::/0"))


async def test_two_keys_live_while_one_takes_the_other_s_place(
    database: Database, make_account: MakeAccount
) -> None:
    account, now = await make_account(), datetime.datetime.now(datetime.UTC)
    old = await create_key(database, account.id, "web", scopes=SEND, networks=["192.0.2.7"])
    soon = now + datetime.timedelta(seconds=60)
    rotated = await rotate_key(database, account.id, old.prefix, old_until=soon)
    assert rotated.old_until == soon
    ring = KeyRing(database)
    first = await ring.authenticate(old.plaintext)
    second = await ring.authenticate(rotated.made.plaintext)
    assert first == second
    assert second is not None and second.scopes == SEND and second.networks
    # At once: the old one is refused, and the new one stays.
    await rotate_key(database, account.id, rotated.made.prefix, old_until=now)
    assert await KeyRing(database).authenticate(rotated.made.plaintext) is None


async def test_a_rotation_never_prolongs_the_old_key_and_asks_for_the_new_one_s_end(
    database: Database, make_account: MakeAccount
) -> None:
    account, now = await make_account(), datetime.datetime.now(datetime.UTC)
    tomorrow, later = (now + datetime.timedelta(days=days) for days in (1, 90))
    old = await create_key(database, account.id, expires_at=tomorrow)
    with pytest.raises(Rejected, match="say when"):
        await rotate_key(database, account.id, old.prefix, old_until=later)
    assert len(await list_keys(database, account.id)) == 1
    rotated = await rotate_key(database, account.id, old.prefix, old_until=later, expires_at=later)
    assert rotated.old_until == tomorrow


async def test_a_key_that_is_dead_or_another_s_is_not_rotated(
    database: Database, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    now = datetime.datetime.now(datetime.UTC)
    revoked = await create_key(database, shop.id)
    await revoke_key(database, shop.id, revoked.prefix)
    expired = await create_key(database, shop.id, expires_at=now)
    theirs = await create_key(database, bank.id)
    for key in (revoked, expired, theirs):
        with pytest.raises(Rejected) as caught:
            await rotate_key(database, shop.id, key.prefix, old_until=now, expires_at=now)
        assert caught.value.status == 404
