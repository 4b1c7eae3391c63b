"""Hears of new settings and of drained carriers, and says how the node is.

A notification wakes it; it also looks by itself, for the one that got lost with its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from gateway.config_file import parse_config, resolve_secrets
from gateway.errors import ConfigError, StoreUnavailable
from gateway.live.settings import Live
from gateway.logs import get_logger
from gateway.metrics import SettingsMetrics
from gateway.nodes.sight import SEEN_S, Sight
from gateway.store.carriers import fetch_carriers
from gateway.store.postgres import Database, is_unavailable
from gateway.store.schema import name_code
from gateway.store.settings import (
    CHANNEL,
    Applied,
    NodeReport,
    beat_node,
    begin_node,
    end_node,
    fetch_nodes,
    fetch_settings,
    refuse_settings,
)
from gateway.views import CarrierView

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection, Connection

log = get_logger("live")

LOOK_S = 2.0
"""How late a lost notification is made up for, and how often the node says that it runs."""
SOON_S = 0.25
"""The same while something is under way: somebody may be waiting to hear how far it is."""
RETRY_S = 1.0
END_S = 2.0


class Watch:
    """One node's ear and voice; `run` lasts as long as the node."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        database: Database,
        live: Live,
        view: Callable[[], list[CarrierView]],
        metrics: SettingsMetrics,
        *,
        node: int,
        version: int | None,
        sight: Sight | None = None,
        alone: Callable[[], bool] = lambda: True,
        more: Callable[[NodeReport], NodeReport] = lambda report: report,
    ) -> None:
        """`version` is of the settings that the node has; None: it follows no others. `sight` is
        told what other nodes say of themselves, unless this one is `alone`; `more` adds to its own
        report what they need to know."""
        self._connect = connect
        self._database = database
        self._live = live
        self._view = view
        self._metrics = metrics
        self._node = node
        self._sight = sight
        self._alone = alone
        self._more = more
        self._follows = version is not None
        self._version = version or 0
        self.pages = ""
        """Where the node alone says how it is; as in its report."""
        self._passed_over = 0
        """The version of another release that this one can't use."""
        self._woken = asyncio.Event()
        self._applying: asyncio.Task[None] | None = None
        metrics.watch(lambda: float(self._version))

    async def run(self) -> None:
        """Listen and look, until cancelled."""
        try:
            while True:
                try:
                    await self._listen()
                except Exception as error:
                    if not (is_unavailable(error) or isinstance(error, StoreUnavailable)):
                        raise
                    log.warning("settings_unwatched", error=str(error))
                await asyncio.sleep(RETRY_S)
        finally:
            if self._applying is not None:
                self._applying.cancel()

    async def _listen(self) -> None:
        connection = await self._connect()
        try:
            await connection.add_listener(CHANNEL, lambda *_: self._woken.set())
            await begin_node(connection, self._node, self._version)
            while True:
                self._woken.clear()
                await self._look(connection)
                pause_s = SOON_S if self._live.carriers.under_way else LOOK_S
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._woken.wait()
        except asyncio.CancelledError:
            await self._say_goodbye(connection)
            raise
        finally:
            connection.terminate()

    async def _say_goodbye(self, connection: AnyConnection) -> None:
        with suppress(Exception):  # it is known to be gone soon enough without
            async with asyncio.timeout(END_S):
                await end_node(connection, self._node)

    async def _look(self, connection: AnyConnection) -> None:
        drained = {
            carrier.id: str(carrier.drain)
            for carrier in await fetch_carriers(connection)
            if carrier.drain is not None
        }
        self._live.carriers.drain(drained)
        if self._sight is not None:
            seen = [] if self._alone() else await fetch_nodes(connection, SEEN_S)
            self._sight.see([each for each in seen if each.node != self._node])
        held = await beat_node(connection, self._node, self._version, self._report())
        if held is None:  # somebody has cleared the table
            await begin_node(connection, self._node, self._version)
        elif (
            self._follows
            and held not in (self._version, self._passed_over)
            and self._applying is None
        ):
            self._applying = asyncio.create_task(self._apply(), name="apply settings")
            self._applying.add_done_callback(self._applied)

    def _report(self) -> NodeReport:
        report = NodeReport(
            carriers=self._view(),
            under_way=self._live.carriers.under_way,
            at_start=self._live.waiting,
            follows=self._follows,
            pages=self.pages,
        )
        return report if self._alone() else self._more(report)

    def _applied(self, applying: asyncio.Task[None]) -> None:
        self._applying = None
        self._woken.set()  # say so at once, and look for a newer version
        if not applying.cancelled() and (error := applying.exception()) is not None:
            log.warning("settings_not_applied", error=str(error))

    async def _apply(self) -> None:
        """Make the version that holds so, or refuse it."""
        applied: Applied | None = await fetch_settings(self._database)
        if applied is None or applied.version == self._version:
            return
        try:
            config = await asyncio.to_thread(parse_config, applied.tree)
            await self._live.apply(resolve_secrets(config))
        except StoreUnavailable:
            raise
        except Exception as error:
            reason = str(error)
            if isinstance(error, ConfigError) and applied.written_by not in (None, name_code()):
                # What this release does not know may be right: while one follows another, the
                # nodes of each go on with what they can use.
                self._passed_over = applied.version
                log.warning(
                    "settings_of_another_release",
                    version=applied.version,
                    written_by=applied.written_by,
                    reason=reason,
                )
                return
            if not isinstance(error, ConfigError):
                log.exception("settings_failed", version=applied.version)
                reason = f"ended by an error of its own: {type(error).__name__}: {error}"
            log.error("settings_refused", version=applied.version, reason=reason)
            self._metrics.refused()
            await refuse_settings(self._database, applied.version, reason)
            return
        self._version = applied.version
        self._metrics.applied()
        log.info(
            "settings_applied",
            version=applied.version,
            author=applied.author,
            source=applied.source,
        )
