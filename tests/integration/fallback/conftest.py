"""The two writers beside a database, and what the tests of fallbacks say of a message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from gateway.fallback.terms import ALL_TRIGGERS, EmailContent, EmailFallback, Trigger
from gateway.ids import IdGenerator
from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.message import Message
from gateway.model import Account, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.outcomes import Event
from gateway.record import replace
from gateway.store.commit_line import CommitLine
from gateway.store.fallbacks import FallbackStore
from gateway.store.intake_writer import Entry, EntryFate, IntakeWriter
from gateway.store.outcome_writer import OutcomeWriter
from gateway.store.postgres import Database, connect_single

CONTENT = EmailContent("We could not reach {{ to }}", "{{ text }} ({{ reason }})")


class Store:
    """Messages go in, events happen to them, as in the gateway."""

    def __init__(self, url: str, database: Database) -> None:
        self.database = database
        self.fallbacks = FallbackStore(database)
        self._ids = IdGenerator(9)
        self._lines = [CommitLine(partial(connect_single, url, n), n) for n in ("in", "out")]
        self._intake = IntakeWriter(
            self._lines[0], lambda messages: None, waiting_max=100_000, timeout_s=10.0
        )
        self._outcomes = OutcomeWriter(self._lines[1], lambda *_: None, waiting_max=100_000)
        self._tasks = [
            asyncio.create_task(self._intake.run()),
            asyncio.create_task(self._outcomes.run()),
        ]

    async def close(self) -> None:
        self._intake.stop()
        self._outcomes.stop()
        await asyncio.gather(*self._tasks)
        for line in self._lines:
            await line.close()

    def message(self, account: Account, **fields: Any) -> Message:
        now = time.time()
        plain = Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender="Shop",
            recipient="447400000001",
            country="GB",
            text="Your code is 1234",
            encoding=Encoding.GSM7,
            segments=1,
            lane=Lane.OTP,
            price_micros=Micros(7_500),
            routes=(CarrierId(1),),
            expires_at=now + 3_600,
        )
        return replace(plain, **fields)

    def entry(
        self,
        account: Account,
        *,
        to: str = "anna@example.com",
        on: Trigger = ALL_TRIGGERS,
        after_s: float | None = None,
        content: EmailContent = CONTENT,
        key: str = "",
        **fields: Any,
    ) -> Entry:
        message = self.message(account, **fields)
        due_at = None if after_s is None else message.accepted_at + after_s
        fallback = EmailFallback(account.id, message.id, to, content, on, due_at)
        return Entry(message, key, b"h" if key else b"", fallback)

    async def put(self, *entries: Entry) -> list[EntryFate]:
        return await self._intake.commit(entries)

    async def put_one(self, account: Account, **fields: Any) -> MessageId:
        entry = self.entry(account, **fields)
        await self.put(entry)
        return entry.message.id

    async def happen(
        self,
        account: Account,
        message_id: MessageId,
        kind: EventKind,
        status: Status | None = None,
        **fields: Any,
    ) -> None:
        after = status or SEGMENT_AFTER[kind]
        event = Event(
            message_id, account.id, time.time(), kind, 1, after, after, kind is EventKind.SUBMITTED
        )
        self._outcomes.record(replace(event, **fields))
        await self._outcomes.flush()

    async def receipt(self, account: Account, message_id: MessageId, status: Status) -> None:
        await self.happen(account, message_id, EventKind.RECEIPT, status, error="001")

    async def row(self, message_id: MessageId) -> Any:
        return await self.database.pool.fetchrow(
            "SELECT * FROM email_fallbacks WHERE message_id = $1", message_id
        )

    async def count(self, table: str) -> int:
        found: int = await self.database.pool.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        return found


@pytest.fixture
async def store(database_url: str, database: Database) -> AsyncIterator[Store]:
    store = Store(database_url, database)
    yield store
    await store.close()
