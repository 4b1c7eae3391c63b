"""How many emails are due and not sent, for the gauges."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.metrics import EmailMetrics
from gateway.store.fallbacks import DueDepth, FallbackStore


class EmailDepth:
    """The last answer of the store, however long ago."""

    def __init__(
        self, store: FallbackStore, metrics: EmailMetrics, shown: Callable[[], bool] = lambda: True
    ) -> None:
        """`shown`: whether it is this node that shows what all nodes share."""
        self._store = store
        self._shown = shown
        self._depth = DueDepth(0, None)
        metrics.watch(due=self._due, oldest_age_s=self._age_s)

    async def measure(self) -> None:
        """Ask the store; raises StoreUnavailable."""
        self._depth = await self._store.fetch_depth(time.time())

    def _due(self) -> float:
        return float(self._depth.due) if self._shown() else 0.0

    def _age_s(self) -> float:
        oldest = self._depth.oldest_at if self._shown() else None
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)
