"""Accounts' SMPP settings in a real database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta, timezone
from ipaddress import ip_network
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.errors import Rejected
from gateway.model import Account, AccountId, Lane
from gateway.store.accounts import update_account
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import (
    TermsReader,
    find_smpp_account,
    parse_zone,
    remove_smpp_account,
    save_smpp_account,
)
from gateway.store.upstream_reader import fetch_deliveries
from gateway.text.style import DefaultAlphabet
from gateway.upstream.ids import IdForm
from gateway.upstream.passwords import check_password
from gateway.upstream.terms import Terms

MakeAccount = Callable[..., Awaitable[Account]]


async def terms_of(database: Database) -> list[Terms]:
    reader = TermsReader(database, binds_max=4, window_size=100)
    return list((await reader.fetch()).values())


async def test_a_new_access_has_the_defaults(database: Database, make_account: MakeAccount) -> None:
    account = await make_account()
    shown = await save_smpp_account(database, account.id, system_id="shop", password="secret")
    assert (shown.account, shown.system_id, shown.binds_max) == ("shop", "shop", 0)
    assert await find_smpp_account(database, account.id) == shown
    [terms] = await terms_of(database)
    assert (terms.account.id, terms.binds_max, terms.window_size) == (account.id, 4, 100)
    assert (terms.networks, terms.lane) == ((), Lane.TRANSACTIONAL)
    assert check_password("secret", terms.password_hash)


async def test_every_setting_is_kept(database: Database, make_account: MakeAccount) -> None:
    account = await make_account()
    await save_smpp_account(
        database,
        account.id,
        system_id="shop",
        password="secret",
        networks=["192.0.2.0/24", "2001:db8::1"],
        binds_max=2,
        window_size=10,
        rate_per_s=12.5,
        queue_max=1_000,
        id_form="hex",
        time_zone="Europe/Berlin",
        alphabet="latin-1",
        ia5_alphabet="gsm7",
        lane="marketing",
    )
    [terms] = await terms_of(database)
    assert terms.networks == (ip_network("192.0.2.0/24"), ip_network("2001:db8::1"))
    assert (terms.binds_max, terms.window_size) == (2, 10)
    assert (terms.rate_per_s, terms.queue_max) == (12.5, 1_000)
    assert (terms.id_form, terms.alphabet) == (IdForm.HEX, DefaultAlphabet.LATIN1)
    assert terms.ia5_alphabet is DefaultAlphabet.GSM7
    assert (terms.zone, terms.lane) == (ZoneInfo("Europe/Berlin"), Lane.MARKETING)


async def test_a_change_leaves_the_rest_as_it_was(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    before = await save_smpp_account(
        database, account.id, system_id="shop", password="secret", binds_max=2, id_form="hex"
    )
    after = await save_smpp_account(database, account.id, window_size=7)
    assert (after.binds_max, after.id_form, after.window_size) == (2, "hex", 7)
    assert after.system_id == before.system_id
    again = await save_smpp_account(database, account.id, binds_max=0)
    assert again.binds_max == 0
    [terms] = await terms_of(database)
    assert (terms.binds_max, terms.window_size) == (4, 7)
    assert check_password("secret", terms.password_hash)


async def test_an_account_changes_its_system_id_and_password(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    await save_smpp_account(database, account.id, system_id="shop", password="secret")
    await save_smpp_account(database, account.id, system_id="store", password="other")
    [terms] = await terms_of(database)
    assert terms.system_id == "store"
    assert check_password("other", terms.password_hash)


async def test_the_accounts_own_rate_holds_where_smpp_has_none(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    await update_account(database, account.id, submit_per_s=3.0)
    await save_smpp_account(database, account.id, system_id="shop", password="secret")
    [terms] = await terms_of(database)
    assert terms.rate_per_s == 3.0


async def test_a_system_id_is_one_accounts_alone(
    database: Database, make_account: MakeAccount
) -> None:
    first, second = await make_account("first"), await make_account("second")
    await save_smpp_account(database, first.id, system_id="shop", password="secret")
    with pytest.raises(Rejected) as raised:
        await save_smpp_account(database, second.id, system_id="shop", password="secret")
    assert (raised.value.code, raised.value.status) == ("system_id_taken", 409)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"system_id": "shop"}, "password"),
        ({"password": "secret"}, "system_id"),
        ({"binds_max": 2}, "system_id"),
    ],
)
async def test_credentials_are_needed_at_first(
    database: Database, make_account: MakeAccount, settings: Any, field: str
) -> None:
    account = await make_account()
    with pytest.raises(Rejected) as raised:
        await save_smpp_account(database, account.id, **settings)
    assert (raised.value.code, raised.value.field) == ("credentials_missing", field)


async def test_an_account_that_does_not_exist_gets_no_access(database: Database) -> None:
    with pytest.raises(Rejected, match="no such account"):
        await save_smpp_account(database, AccountId(99), system_id="shop", password="secret")


@pytest.mark.parametrize(
    "settings",
    [
        {"system_id": ""},
        {"system_id": "x" * 16},
        {"system_id": "schön"},
        {"password": ""},
        {"password": "x" * 65},
        {"password": "schön"},
        {"networks": ["192.0.2.1/24"]},
        {"networks": ["somewhere"]},
        {"networks": ["192.0.2.0/24"] * 65},
        {"binds_max": -1},
        {"window_size": 10_001},
        {"rate_per_s": float("nan")},
        {"queue_max": -1},
        {"id_form": "octal"},
        {"time_zone": "Mars/Olympus"},
        {"time_zone": "+25:00"},
        {"time_zone": "../../etc/passwd"},
        {"alphabet": "ebcdic"},
        {"lane": "express"},
    ],
)
async def test_values_out_of_range_are_refused_by_name(
    database: Database, make_account: MakeAccount, settings: Any
) -> None:
    account = await make_account()
    with pytest.raises(Rejected) as raised:
        await save_smpp_account(database, account.id, **settings)
    assert raised.value.field == next(iter(settings))
    assert await find_smpp_account(database, account.id) is None


async def test_what_is_removed_is_gone_with_what_waited_for_it(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    assert not await remove_smpp_account(database, account.id)
    await save_smpp_account(database, account.id, system_id="shop", password="secret")
    async with database.acquire() as connection:
        await connection.execute("INSERT INTO deliveries VALUES ($1, 1, 1, '', 0)", account.id)
    assert await remove_smpp_account(database, account.id)
    assert await terms_of(database) == []
    assert await fetch_deliveries(database, account.id, 0, 10) == []


async def test_terms_are_made_anew_only_where_something_has_changed(
    database: Database, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    await save_smpp_account(database, shop.id, system_id="shop", password="secret")
    await save_smpp_account(database, bank.id, system_id="bank", password="secret")
    reader = TermsReader(database, binds_max=4, window_size=100)
    before = await reader.fetch()
    await update_account(database, bank.id, segments_max=7)
    after = await reader.fetch()
    assert after[shop.id] is before[shop.id]
    assert after[bank.id].account.segments_max == 7
    await remove_smpp_account(database, shop.id)
    assert list(await reader.fetch()) == [bank.id]


def test_zones_are_names_and_offsets() -> None:
    assert parse_zone("-03:30") == timezone(-timedelta(hours=3, minutes=30))
    assert parse_zone("utc") is not None
    assert parse_zone("Asia/Kolkata") == ZoneInfo("Asia/Kolkata")
    assert parse_zone("") is None


async def test_passwords_are_hashed_beside_the_loop(
    database: Database, make_account: MakeAccount
) -> None:
    account = await make_account()
    saving = asyncio.create_task(
        save_smpp_account(database, account.id, system_id="shop", password="secret")
    )
    turns = 0
    while not saving.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 20  # a hash of 50 ms on the loop itself would leave a handful
    await saving
