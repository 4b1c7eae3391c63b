"""One run: a gateway in this event loop, loaded from outside, counted while each load lasts."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from bench.calls.counting import Calls, Counting
from bench.calls.outside import BATCH, BURST, Mode, Outside
from bench.generator.smpp import Login
from bench.peers.processes import find_free_ports
from gateway.app import Gateway
from gateway.config import Config
from gateway.config_file import build_config
from gateway.store import accounts, keys, upstream_accounts
from gateway.store.embedded import start_embedded
from gateway.store.migrate import migrate
from gateway.store.postgres import Database

MESSAGES: Final[dict[Mode, int]] = {"single": 2_000, "batch": 2_000, "smpp": 2_000}
WARM_UP: Final[dict[Mode, int]] = {"single": BURST, "batch": BATCH, "smpp": BURST}
READY_TIMEOUT_S: Final = 60.0
PASSWORD: Final = "bench123"  # noqa: S105 (of an account that lives for seconds)
WRITERS: Final = ("intake", "outcomes")


@dataclass(frozen=True, slots=True)
class Counted:
    """What some messages of one kind cost."""

    messages: int
    calls: Calls
    statements: Counter[str]
    """By connection: the two writers' and the others'."""

    @property
    def calls_each(self) -> float:
        """Calls of Python functions a message."""
        return self.calls.total / self.messages

    @property
    def builtin_calls_each(self) -> float:
        """Calls of C functions a message."""
        return self.calls.builtin / self.messages

    @property
    def statements_each(self) -> float:
        """SQL statements a message, whoever runs them."""
        return self.statements.total() / self.messages


def count_alone() -> dict[Mode, Counted]:
    """Count each kind of load on a gateway and a PostgreSQL that are made for it and removed."""
    # Short: the path of PostgreSQL's socket must stay below 108 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gwn"))
    folder.chmod(0o755)  # its PostgreSQL may run as another user
    try:
        (folder / "tap").mkdir()
        server = start_embedded(folder / "data")
        try:
            return uvloop.run(count(server.url, folder / "tap"))
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def count(database_url: str, folder: Path) -> dict[Mode, Counted]:
    """Count each kind of load on a gateway of its own.

    The database is migrated when it is not yet. `folder` is empty and its path is short.
    """
    await migrate(database_url)
    with Outside(database_url, folder) as outside:
        (smpp_port,) = find_free_ports(1)
        login = Login(port=smpp_port, system_id="bench", password=PASSWORD)
        key = await _make_account(database_url)
        gateway = Gateway(_build_config(outside, smpp_port))
        ready = asyncio.Event()
        running = asyncio.create_task(gateway.run(ready.set))
        try:
            await asyncio.wait_for(ready.wait(), READY_TIMEOUT_S)
            return {
                mode: await _count(outside, mode, gateway.port, key, login) for mode in MESSAGES
            }
        finally:
            gateway.stop()
            await running


async def _count(outside: Outside, mode: Mode, port: int, key: str, login: Login) -> Counted:
    await outside.run_aside(outside.send(mode, WARM_UP[mode], port, key, login))
    before = Counter(outside.count_statements())
    counting = Counting()
    counting.start()
    try:
        accepted = await outside.run_aside(outside.send(mode, MESSAGES[mode], port, key, login))
    finally:
        calls = counting.stop()
    assert accepted == MESSAGES[mode], f"{mode}: {accepted} messages were accepted"
    statements = Counter(outside.count_statements())
    statements.subtract(before)
    return Counted(accepted, calls, statements)


def _build_config(outside: Outside, smpp_port: int) -> Config:
    carrier = {
        "name": "bench",
        "host": "127.0.0.1",
        "port": outside.carrier_port,
        "system_id": "bench",
        # A burst leaves at once, so that its outcomes are written together.
        "window_size": max(BURST, BATCH),
    }
    return build_config(
        {
            "node": {"database_url": outside.database_url},
            "http": {"port": 0},
            "smpp": {"enabled": True, "port": smpp_port, "window_size": BURST},
            "carrier": [carrier],
            "route": [{"carriers": ["bench"]}],
            "price": [{"price": "0.0001"}],
        }
    )


async def _make_account(database_url: str) -> str:
    """Make an account with credit that may also bind; return its API key."""
    database = await Database.open(database_url, connections=1)
    try:
        account = await accounts.create_account(database, f"bench-{time.time_ns():x}")
        await accounts.deposit(database, account.id, 10**12, reason="bench", author="bench")
        await upstream_accounts.save_smpp_account(
            database, account.id, system_id="bench", password=PASSWORD
        )
        return (await keys.create_key(database, account.id)).plaintext
    finally:
        await database.close()
