"""The node's books: what accounts used is counted up behind, volumes are kept for tiers, and who
runs out of credit is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

from gateway.clock import Clock
from gateway.config import Messages
from gateway.credit.prices import PriceBook
from gateway.credit.volumes import MonthVolumes, month_of
from gateway.logs import get_logger
from gateway.message import Message
from gateway.metrics import Metrics
from gateway.nodes.duties import BOOKS, Owns, owns_all, repeat_while_owned
from gateway.periodic import repeat
from gateway.store.low_balances import count_low_balances, tell_low_balances
from gateway.store.postgres import Database
from gateway.store.usage import Counter, fetch_volumes, forget_usage

log = get_logger("books")

LOW_BALANCES_S = 2.0
COUNT_S = 60.0
FORGET_S = 3_600.0


class Bookkeeper:
    def __init__(
        self,
        database: Database,
        settings: Messages,
        volumes: MonthVolumes,
        prices: Callable[[], PriceBook | None],
        metrics: Metrics,
        *,
        wake_hooks: Callable[[], None],
        lag_s: float,
        clock: Clock,
        owns: Owns = owns_all,
    ) -> None:
        """`lag_s`: how long a message may take from its acceptance to its commit."""
        self._lag_s = lag_s
        self._clock = clock
        self._database = database
        self._settings = settings
        self._volumes = volumes
        self._prices = prices
        self._metrics = metrics
        self._wake_hooks = wake_hooks
        self._owns = owns
        self._counter = Counter(database, lag_s=lag_s)
        self._low: int | None = None
        metrics.watch_low_balances(self._count_low)

    async def start(self) -> None:
        """Learn what has been used this month, before anything is priced by it."""
        await self._learn_volumes()

    async def run(self) -> None:
        """Do every duty at its interval, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("volumes", COUNT_S, self._learn_volumes))
            for name, every_s, duty in (
                ("low_balances", LOW_BALANCES_S, self._tell_low_balances),
                ("usage", COUNT_S, self._count_usage),
                ("usage_retention", FORGET_S, self._forget_usage),
            ):
                repeated = repeat_while_owned(self._owns, BOOKS, name, every_s, duty)
                group.create_task(repeated, name=name)

    def stored(self, messages: Iterable[Message]) -> None:
        """Count messages that were just committed."""
        prices = self._prices()
        if prices is None or not prices.tiered:
            return
        for message in messages:
            self._volumes.add(message.account_id, message.segments, int(message.accepted_at))

    async def _count_usage(self) -> None:
        await self._counter.count_up(self._clock.after(self._lag_s), self._clock.believed())

    async def _learn_volumes(self) -> None:
        prices = self._prices()
        if prices is None or not prices.tiered:
            return
        month = month_of(int(time.time()))
        counts = await fetch_volumes(self._database, date(*month, 1))
        self._volumes.learn(month, counts)

    async def _tell_low_balances(self) -> None:
        crossed = await tell_low_balances(self._database, time.time())
        fallen = [each for each in crossed if each.low]
        for each in fallen:
            log.warning("balance_low", account=each.account)
        if fallen:
            self._metrics.balances_fell_low(len(fallen))
            self._wake_hooks()
        if crossed or self._low is None:
            self._low = await count_low_balances(self._database)

    def _count_low(self) -> float:
        return float(self._low or 0) if self._owns(BOOKS) else 0.0

    async def _forget_usage(self) -> None:
        today = datetime.fromtimestamp(self._clock.believed(), UTC).date()
        await forget_usage(self._database, today - timedelta(days=self._settings.statement_days))
