"""How many emails are due and not sent, for the gauges."""

from __future__ import annotations

import time

from gateway.metrics import EmailMetrics
from gateway.store.fallbacks import DueDepth, FallbackStore


class EmailDepth:
    """The last answer of the store, however long ago."""

    def __init__(self, store: FallbackStore, metrics: EmailMetrics) -> None:
        self._store = store
        self._depth = DueDepth(0, None)
        metrics.watch(due=lambda: float(self._depth.due), oldest_age_s=self._age_s)

    async def measure(self) -> None:
        """Ask the store; raises StoreUnavailable."""
        self._depth = await self._store.fetch_depth(time.time())

    def _age_s(self) -> float:
        oldest = self._depth.oldest_at
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)
