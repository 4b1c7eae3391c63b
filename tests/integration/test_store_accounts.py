from __future__ import annotations

import asyncio
import datetime
import re
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import Rejected
from gateway.model import Account, AccountId
from gateway.store.accounts import (
    Deposited,
    create_account,
    deposit,
    fetch_account,
    find_account,
    list_accounts,
    update_account,
)
from gateway.store.key_hash import hash_key
from gateway.store.keys import create_key, list_keys, revoke_key
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
NOBODY = AccountId(404)


async def add(
    database: Database, account: Account, amount_micros: int, key: str | None = None
) -> Deposited:
    return await deposit(database, account.id, amount_micros, reason="test", author="test", key=key)


# ── accounts ────────────────────────────────────────────────────────────────────────────────


async def test_a_new_account_is_found_with_its_settings_and_no_money(database: Database) -> None:
    made = await create_account(
        database,
        "Shop & Söhne",
        "EUR",
        default_sender="Shop",
        segments_max=3,
        submit_per_s=12.5,
        floor_micros=-5_000_000,
        webhook_url="https://shop.example/hook",
    )
    assert made.webhook_secret
    standing = await find_account(database, "Shop & Söhne")
    assert standing is not None
    assert standing.account == made
    assert (standing.available_micros, standing.deposited_micros) == (0, 0)
    assert (standing.posted_micros, standing.reserved_micros) == (0, 0)
    assert standing == await fetch_account(database, made.id)


async def test_a_name_is_taken_once(database: Database) -> None:
    await create_account(database, "shop")
    with pytest.raises(Rejected) as raised:
        await create_account(database, "shop")
    assert (raised.value.code, raised.value.status) == ("account_exists", 409)


async def test_accounts_are_listed_in_the_order_of_their_making(database: Database) -> None:
    for name in ("b", "a", "c"):
        await create_account(database, name)
    assert [s.account.name for s in await list_accounts(database)] == ["b", "a", "c"]


@pytest.mark.parametrize("name", ["", " shop", "shop ", "a\x00b", "a\nb", "x" * 65, "\ud800"])
async def test_a_name_that_nobody_could_read_is_refused(database: Database, name: str) -> None:
    with pytest.raises(Rejected) as raised:
        await create_account(database, name)
    assert (raised.value.field, raised.value.status) == ("name", 422)
    assert await list_accounts(database) == []


async def test_settings_out_of_range_are_refused_by_name(database: Database) -> None:
    account = await create_account(database, "shop")
    with pytest.raises(Rejected, match="1 to 255"):
        await update_account(database, account.id, segments_max=256)
    with pytest.raises(Rejected, match="1 to 255"):
        await create_account(database, "other", segments_max=0)
    with pytest.raises(Rejected) as raised:
        await update_account(database, account.id, submit_per_s=float("nan"))
    assert raised.value.field == "submit_per_s"
    with pytest.raises(Rejected) as raised:
        await update_account(database, account.id, webhook_url="ftp://shop.example")
    assert raised.value.field == "webhook_url"


async def test_only_what_is_given_is_changed(database: Database) -> None:
    account = await create_account(database, "shop", default_sender="Shop", segments_max=3)
    changed = await update_account(database, account.id, segments_max=5, active=False)
    assert changed.account.default_sender == "Shop"
    assert (changed.account.segments_max, changed.account.active) == (5, False)
    assert changed.account.webhook_secret == account.webhook_secret


async def test_an_unknown_account_can_not_be_changed(database: Database) -> None:
    with pytest.raises(Rejected) as raised:
        await update_account(database, NOBODY, active=False)
    assert raised.value.status == 404
    assert await find_account(database, "nobody") is None
    assert await fetch_account(database, NOBODY) is None


async def test_a_floor_above_what_is_available_is_refused_and_nothing_changes(
    database: Database,
) -> None:
    account = await create_account(database, "shop")
    await add(database, account, 5_000_000)
    with pytest.raises(Rejected) as raised:
        await update_account(database, account.id, floor_micros=5_000_001, segments_max=7)
    assert (raised.value.code, raised.value.status) == ("below_floor", 409)
    standing = await fetch_account(database, account.id)
    assert standing is not None
    assert (standing.account.floor_micros, standing.account.segments_max) == (0, 10)
    changed = await update_account(database, account.id, floor_micros=5_000_000)
    assert changed.account.floor_micros == 5_000_000


# ── keys ────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_shown_once_and_stored_as_its_hash(database: Database) -> None:
    account = await create_account(database, "shop")
    key = await create_key(database, account.id, "website")
    assert re.fullmatch(r"gw_[a-z0-9]{8}_[A-Za-z0-9_-]{43}", key.plaintext)
    assert key.plaintext.startswith(f"gw_{key.prefix}_")
    async with database.acquire() as connection:
        rows = await connection.fetch("SELECT * FROM api_keys")
    assert [row["hash"] for row in rows] == [hash_key(key.plaintext)]
    assert key.plaintext[12:] not in repr([tuple(row) for row in rows])


async def test_keys_are_listed_by_prefix_for_their_account_alone(database: Database) -> None:
    shop, bank = await create_account(database, "shop"), await create_account(database, "bank")
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    first = await create_key(database, shop.id, "website", tomorrow)
    second = await create_key(database, shop.id)
    await create_key(database, bank.id)
    listed = await list_keys(database, shop.id)
    assert [k.prefix for k in listed] == [first.prefix, second.prefix]
    assert (listed[0].label, listed[0].expires_at, listed[0].revoked_at) == (
        "website",
        tomorrow,
        None,
    )


async def test_a_key_is_revoked_once_and_by_its_own_account(database: Database) -> None:
    shop, bank = await create_account(database, "shop"), await create_account(database, "bank")
    key = await create_key(database, shop.id)
    assert not await revoke_key(database, bank.id, key.prefix)
    assert await revoke_key(database, shop.id, key.prefix)
    assert not await revoke_key(database, shop.id, key.prefix)
    (listed,) = await list_keys(database, shop.id)
    assert listed.revoked_at is not None


async def test_no_key_is_made_for_an_unknown_account(database: Database) -> None:
    with pytest.raises(Rejected) as raised:
        await create_key(database, NOBODY)
    assert raised.value.status == 404


# ── credit ──────────────────────────────────────────────────────────────────────────────────


async def test_deposits_and_corrections_add_up(database: Database) -> None:
    account = await create_account(database, "shop")
    assert await add(database, account, 10_000_000) == Deposited(10_000_000, replayed=False)
    assert await add(database, account, -4_000_000) == Deposited(6_000_000, replayed=False)
    standing = await fetch_account(database, account.id)
    assert standing is not None
    assert (standing.available_micros, standing.deposited_micros) == (6_000_000, 6_000_000)


async def test_a_deposit_with_a_known_key_is_done_once(database: Database) -> None:
    account = await create_account(database, "shop")
    await add(database, account, 10_000_000, "invoice-7")
    assert await add(database, account, 10_000_000, "invoice-7") == Deposited(10_000_000, True)
    with pytest.raises(Rejected) as raised:
        await add(database, account, 11_000_000, "invoice-7")
    assert (raised.value.code, raised.value.status) == ("key_conflict", 409)
    standing = await fetch_account(database, account.id)
    assert standing is not None
    assert standing.deposited_micros == 10_000_000


async def test_accounts_do_not_share_keys_of_deposits(database: Database) -> None:
    shop, bank = await create_account(database, "shop"), await create_account(database, "bank")
    await add(database, shop, 1_000_000, "invoice-7")
    assert not (await add(database, bank, 2_000_000, "invoice-7")).replayed


async def test_deposits_without_a_key_are_never_taken_for_each_other(database: Database) -> None:
    account = await create_account(database, "shop")
    await add(database, account, 1_000_000)
    assert await add(database, account, 1_000_000) == Deposited(2_000_000, replayed=False)


async def test_a_correction_stops_at_the_floor_and_leaves_no_row(database: Database) -> None:
    account = await create_account(database, "shop", floor_micros=-1_000_000)
    assert (await add(database, account, -1_000_000)).available_micros == -1_000_000
    with pytest.raises(Rejected) as raised:
        await add(database, account, -1, "one-too-many")
    assert raised.value.code == "below_floor"
    async with database.acquire() as connection:
        assert await connection.fetchval("SELECT count(*) FROM deposits") == 1


@pytest.mark.parametrize("amount_micros", [0, 10**15 + 1, -(10**15) - 1])
async def test_an_amount_out_of_range_is_refused(database: Database, amount_micros: int) -> None:
    account = await create_account(database, "shop")
    with pytest.raises(Rejected) as raised:
        await add(database, account, amount_micros)
    assert raised.value.field == "amount"


async def test_a_reason_that_can_not_be_stored_is_refused(database: Database) -> None:
    account = await create_account(database, "shop")
    with pytest.raises(Rejected) as raised:
        await deposit(database, account.id, 1, reason="a\x00b", author="me")
    assert raised.value.field == "reason"


async def test_credit_for_an_unknown_account_is_refused(database: Database) -> None:
    with pytest.raises(Rejected) as raised:
        await deposit(database, NOBODY, 1_000_000, reason="test", author="test")
    assert raised.value.status == 404


async def test_racing_deposits_with_one_key_are_done_once(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account(credit_micros=0)
    results = await asyncio.gather(
        *(add(database, account, 1_000_000, "invoice-7") for _ in range(20))
    )
    assert sorted(r.replayed for r in results) == [False] + [True] * 19
    assert {r.available_micros for r in results} == {1_000_000}


async def test_racing_corrections_never_pass_the_floor(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account(credit_micros=5_000_000)
    results = await asyncio.gather(
        *(add(database, account, -1_000_000) for _ in range(20)), return_exceptions=True
    )
    assert sum(isinstance(r, Deposited) for r in results) == 5
    assert sum(isinstance(r, Rejected) for r in results) == 15
    standing = await fetch_account(database, account.id)
    assert standing is not None
    assert (standing.available_micros, standing.deposited_micros) == (0, 0)


async def test_racing_deposits_lose_nothing(database: Database, make_account: MakeAccount) -> None:
    account = await make_account(credit_micros=0)
    await asyncio.gather(*(add(database, account, n) for n in range(1, 51)))
    standing = await fetch_account(database, account.id)
    assert standing is not None
    assert standing.available_micros == standing.deposited_micros == sum(range(1, 51))


async def test_large_amounts_are_deposited_exactly(database: Database) -> None:
    account = await create_account(database, "large")
    done = await deposit(database, account.id, 123_456_789_012_345, reason="large", author="test")
    assert done.available_micros == 123_456_789_012_345
