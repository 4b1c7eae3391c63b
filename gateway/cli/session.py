"""What commands work on: the settings and, for as long as a command runs, the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.output import waiting
from gateway.config import Config
from gateway.config_file import parse_config, read_tree, resolve_secrets
from gateway.errors import ConfigError, Rejected
from gateway.store import accounts
from gateway.store.accounts import Standing
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.embedded_start import join_embedded
from gateway.store.migrate import fetch_pending, migrate
from gateway.store.plan import Plan, make_plan
from gateway.store.postgres import Database
from gateway.store.schema import load_migrations

T = TypeVar("T")

DEFAULT_FILE = Path("gateway.toml")
CONNECTIONS = 4


class Session:
    """One run of the command."""

    def __init__(self) -> None:
        self.named_file: Path | None = None
        """What `--config` names."""
        self.debug = False

    @property
    def config_file(self) -> Path | None:
        """The file that is read: the one named, or gateway.toml if there is one here."""
        if self.named_file is not None:
            return self.named_file
        return DEFAULT_FILE if DEFAULT_FILE.exists() else None

    @cached_property
    def tree(self) -> dict[str, Any] | None:
        """What the file says, as it is written; None without a file."""
        file = self.config_file
        return None if file is None else read_tree(file)

    @cached_property
    def parsed(self) -> Config:
        """The settings with references to secrets in the place of secrets, which need not be
        known where a command runs."""
        return Config() if self.tree is None else parse_config(self.tree)

    @cached_property
    def config(self) -> Config:
        return resolve_secrets(self.parsed)

    def run(self, work: Callable[[Database], Coroutine[Any, Any, T]], *, create: bool = False) -> T:
        """Do `work` on the database and return what it returns.

        Without a URL the gateway's own server is used, and started for as long as this takes if
        it does not run. Only with `create` is it made anew: an audit in the wrong folder must
        not find an empty database in order.
        """

        async def run() -> T:
            async with self._database(create=create) as database:
                return await work(database)

        return asyncio.run(run())

    def migrate(self) -> list[str]:
        """Bring the schema up to date, making the gateway's own database if that is the one;
        return what was applied."""

        async def run() -> list[str]:
            async with self._server(create=True) as (url, _):
                return await migrate(url)

        return asyncio.run(run())

    def plan_migration(self) -> Plan:
        """Return what `migrate` would do. Nothing is changed and no database is made."""

        async def run() -> Plan:
            async with self._server(create=False) as (url, _):
                return await make_plan(url)

        return asyncio.run(run())

    @property
    def has_database(self) -> bool:
        return bool(self.parsed.database_url) or self._cluster.exists()

    @property
    def _cluster(self) -> Path:
        return Path(self.parsed.node.data_dir) / "postgresql"

    @asynccontextmanager
    async def _database(self, *, create: bool) -> AsyncIterator[Database]:
        async with self._server(create=create) as (url, ours):
            if ours and self.parsed.node.migrate_at_start:
                await migrate(url)
            database = await Database.open(url, CONNECTIONS)
            try:
                await _check_schema(database)
                yield database
            finally:
                await database.close()

    @asynccontextmanager
    async def _server(self, *, create: bool) -> AsyncIterator[tuple[str, bool]]:
        """Yield the database's URL, and whether the server behind it is the gateway's own."""
        url = self.parsed.database_url
        if url:
            yield url, False
            return
        if not create and not self.has_database:
            raise ConfigError(
                "node.data_dir",
                f"there is no database in {self.parsed.node.data_dir} yet; begin with `gateway"
                " serve` or `gateway migrate`, or name the settings with --config",
            )
        server = await self._start()
        try:
            yield server.url, True
        finally:
            await asyncio.to_thread(server.stop)

    async def _start(self) -> EmbeddedPostgres:
        with waiting("Starting the gateway's own PostgreSQL …"):
            return await join_embedded(Path(self.parsed.node.data_dir))


pass_session = click.make_pass_decorator(Session, ensure=True)


async def wait_until(is_done: Callable[[], Awaitable[bool]], wait_s: float, look_s: float) -> None:
    """Ask every `look_s` whether the gateway has done it, for at most `wait_s`."""
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if await is_done():
            return
        await asyncio.sleep(look_s)


async def get_account(database: Database, name: str) -> Standing:
    """Return the account of this name; raises Rejected when there is none."""
    standing = await accounts.find_account(database, name)
    if standing is None:
        raise Rejected("account_unknown", f"there is no account {name!r}", field="", status=404)
    return standing


async def _check_schema(database: Database) -> None:
    known = load_migrations()
    async with database.acquire() as connection:
        pending = await fetch_pending(connection, known)
    if pending:
        done = len(known) - len(pending)
        state = f"at migration {done} of {len(known)}" if done else "empty"
        raise ConfigError("", f"the database is {state}: run `gateway migrate` first")
