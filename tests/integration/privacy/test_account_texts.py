"""An account's texts go after days of its own; everybody else's stay."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable

import pytest
from click.testing import CliRunner

from gateway.cli.root import cli
from gateway.errors import Rejected
from gateway.ids import id_at
from gateway.lifecycle import EventKind
from gateway.model import Account, MessageId
from gateway.store import account_texts
from gateway.store.account_texts import fetch_text_days, save_text_days
from gateway.store.audit import audit
from gateway.store.maintenance import Maintenance
from gateway.store.postgres import Database
from gateway.store.texts import REWRITING_LOCK

MakeAccount = Callable[..., Awaitable[Account]]
PutMessage = Callable[..., Awaitable[MessageId]]
PutEvent = Callable[..., Awaitable[None]]
FetchTexts = Callable[[], Awaitable[dict[int, str | None]]]

DAY_S = 86_400.0
OLD_S = 4 * DAY_S


@pytest.fixture
async def bank(make_account: MakeAccount, database: Database) -> Account:
    """An account whose texts are kept for two days."""
    bank = await make_account("bank")
    await save_text_days(database, bank.id, 2)
    return bank


async def test_old_texts_of_the_account_are_gone_and_nobody_elses(
    database: Database,
    maintenance: Maintenance,
    bank: Account,
    shop: Account,
    put_message: PutMessage,
    put_event: PutEvent,
    fetch_texts: FetchTexts,
) -> None:
    now, put = time.time(), []
    for account, age_s in ((bank, OLD_S), (bank, DAY_S), (shop, OLD_S)):
        message_id = await put_message(account, at=now - age_s, body="Hello", data=b"x", tag="t")
        await put_event(account, message_id, EventKind.SUBMITTED)
        put.append(message_id)
    old, young, theirs = put
    before = await database.pool.fetchrow("SELECT * FROM messages WHERE id = $1", old)

    assert await maintenance.erase_account_texts(now) == {bank.id: 1}

    after = await database.pool.fetchrow("SELECT * FROM messages WHERE id = $1", old)
    assert before is not None
    assert after is not None
    assert dict(after) == dict(before) | {"body": None, "data": None}
    assert await fetch_texts() == {old: None, young: "Hello", theirs: "Hello"}
    assert (await audit(database, now)).findings == []
    assert await maintenance.erase_account_texts(now) == {}
    assert await maintenance.erase_account_texts(now + 2 * DAY_S) == {bank.id: 1}


async def test_what_is_still_to_be_sent_keeps_its_text_until_it_has_ended(
    database: Database,
    maintenance: Maintenance,
    bank: Account,
    put_message: PutMessage,
    put_event: PutEvent,
    fetch_texts: FetchTexts,
) -> None:
    now = time.time()
    ended, waits, emails = [
        await put_message(bank, at=now - OLD_S, body=body) for body in ("ended", "waits", "emails")
    ]
    for message_id in (ended, emails):
        await put_event(bank, message_id, EventKind.CANCELED)
    await database.pool.execute(
        "INSERT INTO email_fallbacks (account_id, message_id, content_id, address, triggers)"
        " VALUES ($1, $2, 'c', 'a@mail.example', 1)",
        *(bank.id, emails),
    )
    await maintenance.erase_account_texts(now)
    assert await fetch_texts() == {ended: None, waits: "waits", emails: "emails"}

    await put_event(bank, waits, EventKind.CANCELED)
    await database.pool.execute("UPDATE email_fallbacks SET state = 1")
    await maintenance.erase_account_texts(now)
    assert set((await fetch_texts()).values()) == {None}
    assert await database.pool.fetchval("SELECT count(*) FROM needed_texts") == 0


async def test_texts_from_phones_and_of_emails_go_with_them(
    database: Database, maintenance: Maintenance, bank: Account, shop: Account
) -> None:
    now = time.time()
    for account in (bank, shop):
        await _put_beside(database, account, now)
    await maintenance.erase_account_texts(now)
    kept = {
        table: [row[0] for row in await database.pool.fetch(statement)]
        for table, statement in {
            "inbound": "SELECT account_id FROM inbound_messages WHERE body IS NOT NULL",
            "outbox": "SELECT account_id FROM outbox",
            "emails": "SELECT account_id FROM email_contents",
            "parts": "SELECT i.account_id FROM inbound_parts p"
            " JOIN inbound_messages i ON i.id = p.message_id",
        }.items()
    }
    assert kept == {key: [shop.id] for key in kept}


async def _put_beside(database: Database, account: Account, now: float) -> None:
    execute, old = database.pool.execute, now - OLD_S
    message_id = id_at(old) + account.id
    await execute(
        "INSERT INTO inbound_messages (account_id, id, carrier_id, received_at, sender, recipient,"
        " data_coding, esm_class, content, body, encoding, exact)"
        " VALUES ($1, $2, 1, $3, '447400900123', '40404', 0, 0, 'Hi', 'Hi', 'gsm7', true)",
        *(account.id, message_id, old),
    )
    await execute(
        "INSERT INTO inbound_parts (id, message_id, carrier_id, received_at, sender, recipient,"
        " reference, total, sequence, data_coding, esm_class, udh, content)"
        " VALUES ($1, $1, 1, $2, '447400900123', '40404', 1, 1, 1, 0, 0, '', 'Hi')",
        *(message_id, old),
    )
    await execute(
        "INSERT INTO outbox (account_id, message_id, url, body, created_at, next_at, dead)"
        """ VALUES ($1, $2, '', '{"event": "message.received", "text": "Hi"}', $3, $3, true)""",
        *(account.id, message_id, old),
    )
    await execute(
        "INSERT INTO email_contents VALUES ($1, 'c', 'Hello', 'Dear you', '', '', $2)",
        *(account.id, old),
    )


async def test_many_go_in_steps_and_a_run_that_has_an_end(
    maintenance: Maintenance,
    bank: Account,
    put_message: PutMessage,
    put_event: PutEvent,
    monkeypatch: pytest.MonkeyPatch,
    fetch_texts: FetchTexts,
) -> None:
    now = time.time()
    for index in range(7):
        message_id = await put_message(bank, at=now - OLD_S + index, body="Hello")
        if index != 2:
            await put_event(bank, message_id, EventKind.CANCELED)
    monkeypatch.setattr(account_texts, "STEP_ROWS", 2)
    monkeypatch.setattr(account_texts, "RUN_ROWS_MAX", 4)
    assert await maintenance.erase_account_texts(now) == {bank.id: 3}
    assert await maintenance.erase_account_texts(now) == {bank.id: 3}
    assert sorted(map(str, (await fetch_texts()).values())) == ["Hello"] + 6 * ["None"]


async def test_while_a_day_is_written_anew_the_run_is_put_off(
    database: Database, maintenance: Maintenance, bank: Account, put_ended: PutMessage
) -> None:
    now = time.time()
    await put_ended(bank, at=now - OLD_S, body="Hello")
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", REWRITING_LOCK)
        assert await maintenance.erase_account_texts(now) == {}
    assert await maintenance.erase_account_texts(now) == {bank.id: 1}


async def test_fewer_days_reach_further_and_none_end_it(
    database: Database, maintenance: Maintenance, bank: Account, put_ended: PutMessage
) -> None:
    now = time.time()
    await put_ended(bank, at=now - OLD_S, body="Hello")
    await save_text_days(database, bank.id, 9)
    assert await maintenance.erase_account_texts(now) == {}
    await save_text_days(database, bank.id, 0)
    assert await maintenance.erase_account_texts(now) == {}
    await save_text_days(database, bank.id, 3)
    assert await maintenance.erase_account_texts(now) == {bank.id: 1}
    with pytest.raises(Rejected):
        await save_text_days(database, bank.id, -1)


async def test_the_days_are_shown_and_changed_by_command(
    database: Database, database_url: str, bank: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.delenv("GATEWAY_CONFIG", raising=False)

    async def run(*words: str) -> dict[str, object]:
        words = ("account", "texts", "bank", *words, "--json")
        result = await asyncio.to_thread(CliRunner().invoke, cli, words)
        assert result.exit_code == 0, result.output
        shown: dict[str, object] = json.loads(result.stdout)
        return shown

    assert await run() == {"account": "bank", "days": 2, "of_all": 0}
    assert (await run("--days", "5"))["days"] == 5
    assert await fetch_text_days(database, bank.id) == 5
    assert (await run("--days", "0"))["days"] == 0
