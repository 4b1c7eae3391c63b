"""One run: everything starts, lives through its misfortunes, comes to its end, and is compared."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.ledger.books import Books
from bench.ledger.checks import (
    Check,
    check_audit,
    check_statement,
    expected_refunds,
    fetch_happened,
)
from bench.ledger.customers import Customers
from bench.ledger.setting import LATE_S, RECEIPT_TIMEOUT_S
from bench.ledger.treasury import Treasury, make_accounts, wait_until_settled
from bench.ledger.world import World
from gateway.store.accounts import list_accounts
from gateway.store.embedded import start_embedded
from gateway.store.postgres import Database
from gateway.store.statements import fetch_statement
from gateway.store.usage import DIMENSIONS

SENDERS: Final = 12
SETTLE_S: Final = 300.0
SWEEP_S: Final = 65.0
"""After its timeout a receipt is given up by a sweep within so long."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    messages: int = 240_000
    seed: int = 1
    gateway_kills: int = 10
    database_kills: int = 5
    silent: bool = True
    """Whether some receipts never come, or past their time; that takes minutes to wait for."""


@dataclass(slots=True)
class Result:
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    audit: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[Check]:
        return [check for check in self.checks if not check.holds]


async def run(options: Options, say: Say = lambda text: None) -> Result:
    """Live through it and compare; raises RuntimeError or TimeoutError when it can't end."""
    with _folder() as folder:
        world = World(folder, options.seed, silent=options.silent)
        try:
            return await _run(world, options, say)
        finally:
            await world.close()


async def _run(world: World, options: Options, say: Say) -> Result:
    books, result = Books(), Result()
    await world.start()
    # As the gateway's own commands do: the server is shared with whoever asks for it.
    server = await asyncio.to_thread(start_embedded, world.data_folder)
    try:
        database = await Database.open(server.url, 4)
        try:
            await _live(world, books, database, options, result, say)
            await world.stop_gateway()
            say("everything has come to its end; comparing")
            await _compare(world, books, database, result)
        finally:
            await database.close()
    finally:
        await asyncio.to_thread(server.stop)
    return result


async def _live(
    world: World,
    books: Books,
    database: Database,
    options: Options,
    result: Result,
    say: Say,
) -> None:
    ids, keys = await make_accounts(database, books)
    chance = Random(options.seed)
    treasury = Treasury(database, books, ids, Random(options.seed + 1))
    customers = Customers(world, books, keys, chance, options.messages)
    started = time.monotonic()
    others = [
        asyncio.create_task(treasury.top_up()),
        asyncio.create_task(treasury.watch()),
    ]
    kills = asyncio.create_task(_misfortune(world, books, options, say))
    try:
        await customers.send_all(SENDERS)
        result.figures["sending_s"] = round(time.monotonic() - started, 1)
        await kills
        await customers.cancel_rest()
        say(f"sent in {result.figures['sending_s']} s; waiting for the last receipts")
        if options.silent:
            await asyncio.sleep(RECEIPT_TIMEOUT_S + SWEEP_S)
        await wait_until_settled(database, SETTLE_S, books.accepted)
        if options.silent:
            await asyncio.sleep(LATE_S)
    finally:
        for task in (*others, kills):
            task.cancel()
        await asyncio.gather(*others, kills, return_exceptions=True)
        await customers.close()
    result.checks.append(Check("accounts seen below their floor", 0, treasury.below_floor))
    result.figures |= {
        "accepted": len(books.accepted),
        "rejected": dict(books.refused),
        "balances_seen": treasury.looks,
    } | dict(books.happened)


async def _misfortune(world: World, books: Books, options: Options, say: Say) -> None:
    """Kill by the plan, spread over what is sent."""
    chance = Random(options.seed + 2)
    plan = ["gateway"] * options.gateway_kills + ["database"] * options.database_kills
    chance.shuffle(plan)
    at = sorted(chance.uniform(0.05, 0.95) * options.messages for _ in plan)
    for whom, count in zip(plan, at, strict=True):
        await books.reached(int(count))
        say(f"{len(books.accepted):,} accepted: killing the {whom}")
        if whom == "gateway":
            await world.kill_gateway()
        else:
            world.kill_database()
            await asyncio.sleep(2.0)
        books.happened[f"{whom} kills"] += 1


async def _compare(world: World, books: Books, database: Database, result: Result) -> None:
    result.figures |= await fetch_happened(database)
    result.audit = await world.run("audit", good=(0, 1))
    result.checks += check_audit(books, result.audit, await expected_refunds(database))
    accounts = {s.account.name: s.account for s in await list_accounts(database)}
    today = datetime.now(UTC).date()
    for audited in result.audit["report"]["accounts"]:
        account = accounts[audited["account"]]
        # From yesterday on, should midnight have passed meanwhile.
        statements = {
            by: await fetch_statement(database, account, today - timedelta(days=1), today, by)
            for by in DIMENSIONS
        }
        result.checks += check_statement(books, audited, statements)


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gwl"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
