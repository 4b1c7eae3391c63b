"""Margins: what was posted and not refunded, less what carriers charge for it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.lifecycle import EventKind, Status
from gateway.model import Account, MessageId
from gateway.store.margins import MarginLine, fetch_margins
from gateway.store.postgres import Database

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]


async def margins(database: Database, by: str) -> dict[str, MarginLine]:
    today = datetime.now(UTC).date()
    lines = await fetch_margins(database, today - timedelta(days=1), today, by)
    return {line.key: line for line in lines}


@pytest.fixture
async def sent(
    database: Database, make_account: MakeAccount, put_message: PutMessage, put_event: PutEvent
) -> None:
    await database.pool.execute("INSERT INTO carriers (name) VALUES ('alpha'), ('beta')")
    shop, bank = await make_account("shop"), await make_account("bank")

    async def send(account: Account, carrier: int, cost: int | None, **columns: Any) -> MessageId:
        message_id = await put_message(account, **columns)
        await put_event(
            account, message_id, EventKind.SUBMITTED, carrier_id=carrier, cost_micros=cost
        )
        return message_id

    async def refund(account: Account, message_id: MessageId, why: str) -> None:
        await put_event(
            account,
            message_id,
            EventKind.REFUND,
            status=Status.UNDELIVERED,
            error=why,
            refunded_micros=7_500,
        )

    await send(shop, 1, 4_000, country="DE", operator="26201")
    await send(shop, 2, 5_000, country="GB")
    await send(shop, 2, None, country="GB", at=time.time() - 86_400)
    await refund(bank, await send(bank, 1, 4_000, country="DE"), "not delivered")
    await refund(bank, await send(bank, 1, 4_000, country="DE"), "not billed")
    unsent = await put_message(bank)
    await put_event(bank, unsent, EventKind.REFUSED, carrier_id=1)


def line(key: str, segments: int, earned: int, cost: int, uncosted: int = 0) -> MarginLine:
    return MarginLine(key, "credits", segments, earned, cost, uncosted)


@pytest.mark.usefixtures("sent")
async def test_margins_go_by_account_carrier_country_day_and_operator(database: Database) -> None:
    assert await margins(database, "account") == {
        "bank": line("bank", 2, 0, 4_000),
        "shop": line("shop", 3, 22_500, 9_000, 1),
    }
    assert await margins(database, "carrier") == {
        "alpha": line("alpha", 3, 7_500, 8_000),
        "beta": line("beta", 2, 15_000, 5_000, 1),
    }
    by_country = await margins(database, "country")
    assert by_country["DE"].margin_micros == 7_500 - 8_000
    assert set(await margins(database, "operator")) == {"", "26201"}
    assert [each.segments for each in (await margins(database, "day")).values()] == [1, 4]


@pytest.mark.usefixtures("sent")
async def test_days_that_are_not_asked_for_are_not_in_it(database: Database) -> None:
    day = datetime.now(UTC).date() + timedelta(days=5)
    assert await fetch_margins(database, day, day, "account") == []
