"""The node's books: what accounts used is counted up behind, and volumes are kept for tiers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

from gateway.config import Messages
from gateway.credit.prices import PriceBook
from gateway.credit.volumes import MonthVolumes, month_of
from gateway.model import Message
from gateway.periodic import repeat
from gateway.store.postgres import Database
from gateway.store.usage import Counter, fetch_volumes, forget_usage

COUNT_S = 60.0
FORGET_S = 3_600.0


class Bookkeeper:
    def __init__(
        self,
        database: Database,
        settings: Messages,
        volumes: MonthVolumes,
        prices: Callable[[], PriceBook | None],
        *,
        lag_s: float,
    ) -> None:
        """`lag_s`: how long a message may take from its acceptance to its commit."""
        self._database = database
        self._settings = settings
        self._volumes = volumes
        self._prices = prices
        self._counter = Counter(database, lag_s=lag_s)

    async def start(self) -> None:
        """Learn what has been used this month, before anything is priced by it."""
        await self._learn_volumes()

    async def run(self) -> None:
        """Do every duty at its interval, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(repeat("usage", COUNT_S, self._count_usage))
            group.create_task(repeat("usage_retention", FORGET_S, self._forget_usage))

    def stored(self, messages: Iterable[Message]) -> None:
        """Count messages that were just committed."""
        prices = self._prices()
        if prices is None or not prices.tiered:
            return
        for message in messages:
            self._volumes.add(message.account_id, message.segments, int(message.accepted_at))

    async def _count_usage(self) -> None:
        await self._counter.count_up(time.time())
        await self._learn_volumes()

    async def _learn_volumes(self) -> None:
        prices = self._prices()
        if prices is None or not prices.tiered:
            return
        month = month_of(int(time.time()))
        counts = await fetch_volumes(self._database, date(*month, 1))
        self._volumes.learn(month, counts)

    async def _forget_usage(self) -> None:
        today = datetime.fromtimestamp(time.time(), UTC).date()
        await forget_usage(self._database, today - timedelta(days=self._settings.statement_days))
