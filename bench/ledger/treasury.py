"""Our own look into the gateway's database: accounts are made, topped up and watched."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable
from random import Random
from typing import Final

from bench.ledger.books import Books
from bench.ledger.customers import draw_amount
from bench.ledger.setting import ACCOUNTS
from gateway.credit.prices import parse_micros
from gateway.errors import GatewayError, Rejected
from gateway.model import AccountId
from gateway.store.accounts import create_account, deposit
from gateway.store.keys import create_key
from gateway.store.postgres import Database

Keys = dict[str, str]
TOP_UP_S: Final = 0.5
WATCH_S: Final = 0.1

_UNSETTLED = """
SELECT m.id, m.country, m.send_at IS NOT NULL AS scheduled,
       (SELECT max(e.status) FROM events e
        WHERE e.account_id = m.account_id AND e.message_id = m.id) AS status
FROM messages m
WHERE m.id = ANY($1) AND NOT EXISTS (
    SELECT FROM events e
    WHERE e.account_id = m.account_id AND e.message_id = m.id AND e.status >= 10)
LIMIT 10
"""


async def make_accounts(database: Database, books: Books) -> tuple[dict[str, AccountId], Keys]:
    """Make every account with its first credit and a key; return ids and keys by name."""
    ids, keys = {}, {}
    for plan in ACCOUNTS:
        made = await create_account(database, plan.name, plan.currency, **plan.settings)
        ids[plan.name] = made.id
        keys[plan.name] = (await create_key(database, made.id)).plaintext
        micros = parse_micros(plan.credit)
        if micros:
            await deposit(database, made.id, micros, reason="first credit", author="bench.ledger")
            books.deposit(plan.name, micros)
    return ids, keys


class Treasury:
    def __init__(
        self, database: Database, books: Books, ids: dict[str, AccountId], chance: Random
    ) -> None:
        self._database = database
        self._books = books
        self._ids = ids
        self._chance = chance
        self.below_floor = 0
        """How often an account was seen below its floor."""
        self.looks = 0

    async def top_up(self) -> None:
        """Give credit and take it back, each up to three times by one key, until cancelled."""
        names = [account.name for account in ACCOUNTS if account.topped_up]
        number = 0
        while True:
            await asyncio.sleep(TOP_UP_S)
            number += 1
            name, amount = self._chance.choice(names), draw_amount(self._chance)
            micros = parse_micros(amount, signed=True)
            times = self._chance.choice((1, 1, 2, 3))
            done = [await self._deposit(name, micros, f"key-{number}") for _ in range(times)]
            if any(done):
                self._books.deposit(name, micros)

    async def watch(self) -> None:
        """Look at all balances again and again, until cancelled."""
        while True:
            with contextlib.suppress(GatewayError, OSError):
                async with self._database.acquire() as connection:
                    self.below_floor += await connection.fetchval(
                        "SELECT count(*) FROM balances WHERE available_micros < floor_micros"
                    )
                self.looks += 1
            await asyncio.sleep(WATCH_S)

    async def _deposit(self, name: str, micros: int, key: str) -> bool:
        """Do one, however often it takes to be sure; False when it would pass the floor."""
        while True:
            try:
                await deposit(
                    self._database,
                    self._ids[name],
                    micros,
                    reason="a turn of the run",
                    author="bench.ledger",
                    key=key,
                )
            except Rejected:
                self._books.happened["corrections refused"] += 1
                return False
            except (GatewayError, OSError):
                self._books.happened["deposits asked again"] += 1
                await asyncio.sleep(0.2)
            else:
                self._books.happened["deposits"] += 1
                return True


async def wait_until_settled(database: Database, timeout_s: float, messages: Iterable[str]) -> None:
    """Return when every message has come to its end; raises TimeoutError, naming some that have
    not."""
    ids = [int(message) for message in messages]
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(GatewayError, OSError):
            async with database.acquire() as connection:
                rows = await connection.fetch(_UNSETTLED, ids, timeout=60)
            if not rows:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"never ended: {[tuple(row) for row in rows]}")
        await asyncio.sleep(1.0)
