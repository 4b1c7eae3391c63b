"""How many deliveries wait in the store and since when, for the gauges.

Told apart by whether any receiver of their account is bound: what waits for somebody who is there
is a fault to look into, what waits for somebody who is away is theirs to fetch. Of several nodes
each shows what it carries, and one of them what nobody does: a sum over nodes is right.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial

from gateway.errors import StoreUnavailable
from gateway.logs import get_logger
from gateway.metrics import UpstreamMetrics
from gateway.model import AccountId
from gateway.store.postgres import Database
from gateway.store.upstream_reader import Waiting, measure_deliveries

MEASURE_S = 15.0
REST = 50.0
"""A measurement is followed by this many times its own duration, so that counting millions of
deliveries takes at most a fiftieth of one core of the database."""

log = get_logger("upstream")


class DeliveryDepth:
    """What was last measured."""

    def __init__(
        self,
        database: Database,
        has_receiver: Callable[[AccountId], bool],
        metrics: UpstreamMetrics,
        shown: Callable[[], bool] = lambda: True,
    ) -> None:
        """`shown`: whether it is this node that shows what waits for nobody who is there."""
        self._database = database
        self._has_receiver = has_receiver
        self._shown = shown
        self._measured: Sequence[Waiting] = ()
        for word, bound in (("bound", True), ("none", False)):
            metrics.watch_waiting(
                word,
                waiting=partial(self._count, bound),
                oldest_age_s=partial(self._oldest_age_s, bound),
            )

    async def run(self) -> None:
        """Measure now and then, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                self._measured = await measure_deliveries(self._database)
            except StoreUnavailable as error:
                log.warning("deliveries_unmeasured", error=str(error))
            except Exception:
                # What is only looked at must not end what it looks at.
                log.exception("deliveries_unmeasured")
            await asyncio.sleep(max(MEASURE_S, REST * (loop.time() - began)))

    def _count(self, bound: bool) -> float:
        return float(sum(each.count for each in self._of(bound)))

    def _oldest_age_s(self, bound: bool) -> float:
        oldest_at = min((each.oldest_at for each in self._of(bound)), default=None)
        return 0.0 if oldest_at is None else max(0.0, time.time() - oldest_at)

    def _of(self, bound: bool) -> list[Waiting]:
        if bound:
            return [each for each in self._measured if self._has_receiver(each.account_id)]
        if not self._shown():
            return []
        return [
            each
            for each in self._measured
            if not (each.carried or self._has_receiver(each.account_id))
        ]
