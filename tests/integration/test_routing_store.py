"""Operators and counts of refused numbers in a real database."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gateway.errors import ConfigError
from gateway.ineligible import COUNTS_MAX, IneligibleTally
from gateway.model import Account, AccountId
from gateway.operators import OperatorKeeper
from gateway.routing.operator_files import Ported
from gateway.routing.operators import Found, Operator
from gateway.store import operators
from gateway.store.ineligible import (
    add_ineligible,
    fetch_ineligible,
    forget_ineligible,
    sum_ineligible,
)
from gateway.store.operators import Imported, OperatorStore
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]

TELEKOM = Operator("262", "01", "Telekom", "DE")
VODAFONE = Operator("262", "02", "Vodafone", "DE")


def ported(*rows: tuple[str, str]) -> list[Ported]:
    return [Ported(number, code) for number, code in rows]


async def test_a_table_of_prefixes_takes_the_place_of_the_one_before(database: Database) -> None:
    keeper = OperatorKeeper(OperatorStore(database))
    await keeper.refresh()
    assert not keeper.book.table
    await operators.import_prefixes(database, {"49171": TELEKOM, "49172": VODAFONE})
    await keeper.refresh()
    assert keeper.book.table.find("491713920010") == Found(TELEKOM, "49171")
    await operators.import_prefixes(database, {"49172": TELEKOM})
    await keeper.refresh()
    assert keeper.book.code("491713920010") == ""
    assert keeper.book.code("491723920010") == "26201"


async def test_ported_numbers_are_added_moved_and_taken_back(database: Database) -> None:
    keeper = OperatorKeeper(OperatorStore(database))
    first = ported(("491713920010", "26202"), ("12025550111", "310410"), ("491713920011", "26203"))
    assert await operators.import_ported(database, first, replace=False) == Imported(3, 0, 3)
    await keeper.refresh()
    assert keeper.book.code("12025550111") == "310410"
    second = ported(("491713920010", ""), ("491713920011", "26201"), ("12025550111", "310410"))
    assert await operators.import_ported(database, second, replace=False) == Imported(1, 1, 2)
    await keeper.refresh()
    assert [keeper.book.code(f"49171392001{n}") for n in (0, 1)] == ["", "26201"]
    third = ported(("447400123456", "23410"), ("491713920011", "26201"))
    assert await operators.import_ported(database, third, replace=True) == Imported(1, 1, 2)
    await keeper.refresh()
    assert keeper.book.code("12025550111") == ""
    assert keeper.book.code("447400123456") == "23410"


async def test_the_last_row_of_a_number_counts(database: Database) -> None:
    rows = ported(("491713920010", "26202"), ("491713920010", ""), ("491713920011", ""))
    rows += ported(("491713920011", "26202"))
    assert await operators.import_ported(database, rows, replace=False) == Imported(1, 0, 1)


async def test_an_import_that_fails_changes_nothing(database: Database) -> None:
    await operators.import_ported(database, ported(("491713920010", "26202")), replace=False)
    versions = await OperatorStore(database).fetch_versions()

    def broken() -> Iterator[Ported]:
        yield Ported("491713920011", "26203")
        raise ConfigError("ported.csv:3", "mcc '26' is not three digits")

    with pytest.raises(ConfigError, match="is not three digits"):
        await operators.import_ported(database, broken(), replace=True)
    assert (await OperatorStore(database).fetch_versions()) == versions
    loaded = await OperatorStore(database).fetch_ported()
    assert (len(loaded), loaded.find("491713920010")) == (1, "26202")


async def test_many_ported_numbers_are_read_page_by_page(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operators, "PAGE_NUMBERS", 7)
    first = 491_700_000_000
    rows = [Ported(str(first + 3 * n), f"262{n % 90 + 10}") for n in range(50)]
    await operators.import_ported(database, reversed(rows), replace=False)
    loaded = await OperatorStore(database).fetch_ported()
    assert len(loaded) == 50
    assert all(loaded.find(row.number) == row.code for row in rows)
    assert loaded.find(str(first + 1)) == ""


async def test_what_has_not_changed_is_not_read_again(database: Database) -> None:
    await operators.import_prefixes(database, {"49171": TELEKOM})
    keeper = OperatorKeeper(OperatorStore(database))
    await keeper.refresh()
    table = keeper.book.table
    await keeper.refresh()
    assert keeper.book.table is table
    await operators.import_ported(database, ported(("491713920010", "26202")), replace=False)
    await keeper.refresh()
    assert keeper.book.table is not table
    assert keeper.book.table.find("491713920010") == Found(Operator("262", "02"), "")


async def test_one_number_is_looked_up_as_the_whole_table_would_answer(database: Database) -> None:
    prefixes = {"49": VODAFONE, "49171": TELEKOM, "33": Operator("208", "01", "Orange", "FR")}
    await operators.import_prefixes(database, prefixes)
    await operators.import_ported(database, ported(("491713920010", "20801")), replace=False)
    for number, found in {
        "491713920011": Found(TELEKOM, "49171"),
        "491723920011": Found(VODAFONE, "49"),
        "491713920010": Found(Operator("208", "01", "Orange", "FR"), ""),
        "447400123456": None,
    }.items():
        assert (await operators.fetch_operators_for(database, number)).find(number) == found
    listed = [
        (r.code, r.name, r.prefixes, r.ported) for r in await operators.list_operators(database)
    ]
    assert listed == [
        ("20801", "Orange", 1, 1),
        ("26201", "Telekom", 1, 0),
        ("26202", "Vodafone", 1, 0),
    ]


# ── refused numbers ──────────────────────────────────────────────────────────────────────────


async def test_refusals_are_counted_over_several_writes(
    database: Database, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    tally = IneligibleTally(database)
    for _ in range(2):
        for account in (shop, shop, bank):
            tally.note(account.id, "number_fixed_line", "DE")
        tally.note(shop.id, "number_not_digits", "")
        await tally.write()
    await tally.write()
    today = datetime.datetime.now(datetime.UTC).date()
    days = (today - datetime.timedelta(days=1), today + datetime.timedelta(days=2))
    rows = await fetch_ineligible(database, *days)
    assert [(r.account, r.country, r.reason, r.count) for r in rows] == [
        ("bank", "DE", "number_fixed_line", 2),
        ("shop", "DE", "number_fixed_line", 4),
        ("shop", "", "number_not_digits", 2),
    ]
    assert len(await fetch_ineligible(database, *days, shop.id)) == 2
    assert await fetch_ineligible(database, days[1], days[1]) == []
    await forget_ineligible(database, days[1])
    assert await fetch_ineligible(database, *days) == []


async def test_an_account_is_told_its_own_counts(
    database: Database, make_account: MakeAccount
) -> None:
    shop, bank = await make_account("shop"), await make_account("bank")
    today = datetime.datetime.now(datetime.UTC).date()
    yesterday = today - datetime.timedelta(days=1)
    await add_ineligible(
        database,
        {
            (yesterday, shop.id, "DE", "number_fixed_line"): 5,
            (today, shop.id, "FR", "number_fixed_line"): 2,
            (today, shop.id, "DE", "number_premium_rate"): 4,
            (today, bank.id, "DE", "number_fixed_line"): 90,
        },
    )

    async def told(account: Account, by: str, first: datetime.date) -> list[tuple[str, int]]:
        report = await sum_ineligible(database, account, first, today, by)
        assert report.total == sum(line.count for line in report.lines)
        return [(line.key, line.count) for line in report.lines]

    assert await told(shop, "reason", yesterday) == [
        ("number_fixed_line", 7),
        ("number_premium_rate", 4),
    ]
    assert await told(shop, "country", yesterday) == [("DE", 9), ("FR", 2)]
    assert await told(shop, "day", yesterday) == [(str(yesterday), 5), (str(today), 6)]
    assert await told(shop, "country", today) == [("DE", 4), ("FR", 2)]
    assert await told(bank, "reason", yesterday) == [("number_fixed_line", 90)]


async def test_counts_are_kept_while_the_database_is_away(
    database: Database, make_account: MakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await make_account("shop")
    tally = IneligibleTally(database)
    tally.note(shop.id, "number_fixed_line", "DE")
    async with asyncio.timeout(10):
        await database.pool.execute("ALTER TABLE ineligible RENAME TO elsewhere")
        with pytest.raises(Exception, match="ineligible"):
            await tally.write()
        await database.pool.execute("ALTER TABLE elsewhere RENAME TO ineligible")
    tally.note(shop.id, "number_fixed_line", "DE")
    await tally.write()
    assert await database.pool.fetchval("SELECT sum(count) FROM ineligible") == 2


async def test_more_counts_than_wait_are_told_without_their_country(
    database: Database, make_account: MakeAccount
) -> None:
    shop = await make_account("shop")
    tally = IneligibleTally(database)
    for place in range(COUNTS_MAX + 50):
        tally.note(AccountId(shop.id), f"reason {place // 200}", f"{place % 200}")
    await tally.write()
    row = await database.pool.fetchrow("SELECT count(*), sum(count) FROM ineligible")
    assert row is not None
    assert (row["count"], row["sum"]) == (COUNTS_MAX + 1, COUNTS_MAX + 50)
