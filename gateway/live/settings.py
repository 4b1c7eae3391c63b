"""The settings that a node runs by: those of its start, and others as they are applied.

Not here: hearing that others are applied (`watch.py`), the carriers' part (`carriers.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any

import msgspec

from gateway.carrier_line import Line
from gateway.config import Config
from gateway.config_file import parse_config, resolve_secrets
from gateway.errors import ConfigError, Rejected
from gateway.intake import Intake, Tables
from gateway.live.carriers import LiveCarriers
from gateway.live.difference import compare_settings
from gateway.live.reach import find_losses
from gateway.logs import get_logger
from gateway.model import CarrierId
from gateway.store.accounts import list_accounts
from gateway.store.postgres import Database
from gateway.store.settings import Applied, apply_settings, fetch_settings

log = get_logger("live")

STARTS_TOGETHER_MAX = 10
"""Starts that may be faster with another version of the settings, one after the other."""
AT_START_SOURCE = "start"
"""How a version says that it came in with a node's start, and by no command."""


class Given(msgspec.Struct, frozen=True):
    """The settings file that a node is started with."""

    tree: dict[str, Any] | None
    """As it is read; None without a file."""
    name: str
    author: str


class Live:
    """Passes settings on to everything that goes by them while the node runs."""

    def __init__(
        self,
        config: Config,
        carriers: LiveCarriers,
        intake: Intake,
        register: Callable[[Sequence[str]], Awaitable[Mapping[str, CarrierId]]],
        build_tables: Callable[[Config, Mapping[str, CarrierId]], Awaitable[Tables]],
        *,
        adopt: Callable[[Collection[Line]], Awaitable[None]],
        use: Callable[[Config, Mapping[str, CarrierId]], None],
        reroute: Callable[[], None],
    ) -> None:
        """`register` gives carriers their numbers; `adopt` tells lines how ids were stored before
        them; `use` hears of settings that neither tables nor
        carriers are made of, and must not fail; `reroute` looks again for what had no way."""
        self.config = config
        self.carriers = carriers
        self._at_start = config
        self._intake = intake
        self._register = register
        self._build_tables = build_tables
        self._adopt = adopt
        self._use = use
        self._reroute = reroute
        self.waiting: list[str] = []
        """Keys whose present values wait for the next start."""

    async def apply(self, config: Config) -> None:
        """Make these settings so, but for what waits for a start; raises ConfigError before
        anything is changed."""
        ids = await self._register([carrier.name for carrier in config.carrier])
        tables = await self._build_tables(config, ids)
        plan = self.carriers.plan(config.carrier, ids)
        await self._adopt([each.line for each in (*plan.added, *plan.changed)])
        self.carriers.stop_timeout_s = config.dispatch.stop_timeout_s
        await self.carriers.add(plan.added)
        self._intake.use(config.messages, tables)
        self.carriers.change(plan.changed)
        self.carriers.remove(plan.removed)
        self._use(config, ids)
        self._reroute()
        self.config = config
        changes = await asyncio.to_thread(compare_settings, self._at_start, config)
        self.waiting = [f"{each.where}.{each.key}" for each in changes if each.at_start]


async def begin_settings(database: Database, given: Given, config: Config) -> tuple[Config, int]:
    """Return the settings that a node starts with, secrets in place, and their version.

    A file wins over what was applied, and becomes a version of its own; without one, what was
    applied last holds. Nodes may start together.
    """
    for _ in range(STARTS_TOGETHER_MAX):
        try:
            return await _begin(database, given, config)
        except Rejected as rejected:
            if rejected.code != "settings_changed":
                raise
    return await _begin(database, given, config)


async def _begin(database: Database, given: Given, config: Config) -> tuple[Config, int]:
    """As `begin_settings`; raises Rejected when another node was faster with another version."""
    held: Applied | None = await fetch_settings(database)
    if given.tree is None:
        if held is None:
            return config, 0
        log.info("settings_taken", version=held.version, author=held.author, source=held.source)
        return resolve_secrets(parse_config(held.tree)), held.version
    if held is not None and held.tree == given.tree:
        log.info("settings_as_applied", version=held.version, source=given.name)
        return config, held.version
    version: int = await apply_settings(
        database,
        given.tree,
        base=held.version if held else 0,
        author=given.author,
        source=f"{AT_START_SOURCE} {given.name}",
    )
    await _tell_of_file(database, held, version, given)
    return config, version


async def _tell_of_file(
    database: Database, held: Applied | None, version: int, given: Given
) -> None:
    """Say what the file at the start has changed."""
    if held is None:
        log.info("settings_stored", version=version, source=given.name)
        return
    try:
        before = parse_config(held.tree)
    except ConfigError as error:  # of another version of the gateway
        log.warning("settings_replaced", version=version, instead_of=held.version, why=str(error))
        return
    assert given.tree is not None
    after = parse_config(given.tree)
    by_command = not held.source.startswith(f"{AT_START_SOURCE} ")
    tell = log.warning if by_command else log.info
    tell(
        "settings_file_wins" if by_command else "settings_stored",
        version=version,
        source=given.name,
        instead_of=held.version,
        applied_by=held.author,
        applied_at=held.applied_at.isoformat(timespec="seconds"),
        changes=[str(change) for change in compare_settings(before, after)],
    )
    active = [each.account.name for each in await list_accounts(database) if each.account.active]
    for loss in find_losses(before, after, active):
        log.warning("route_lost", account=loss.account, places=list(loss.places))
