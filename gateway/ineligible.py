"""Counts messages that were refused for their number, and writes the counts now and then.

What is not written yet is lost with the process: these are figures about customers' lists, and
nothing is promised by them.
"""

from __future__ import annotations

import asyncio
import datetime
import time
from collections import Counter

from gateway.errors import StoreUnavailable
from gateway.logs import get_logger
from gateway.model import AccountId
from gateway.store.ineligible import Key, add_ineligible, forget_ineligible
from gateway.store.postgres import Database

log = get_logger("ineligible")

WRITE_S = 5.0
DAYS_MAX = 400
"""A year, and the month to compare it with."""
COUNTS_MAX = 10_000
"""Different counts that wait to be written; what would be one more goes without its country."""


class IneligibleTally:
    """What was refused since it was last written."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[Key] = Counter()

    def note(self, account_id: AccountId, reason: str, country: str) -> None:
        """Count a refusal."""
        today = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
        key = (today, account_id, country, reason)
        if len(self._counts) >= COUNTS_MAX and key not in self._counts:
            key = (today, account_id, "", reason)
        self._counts[key] += 1

    async def write(self) -> None:
        """Write what was counted; raises StoreUnavailable and keeps it then."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            await add_ineligible(self._database, counts)
        except BaseException:
            self._counts.update(counts)
            raise

    async def run(self) -> None:
        """Write every few seconds, and forget what is old every day, until cancelled."""
        forgotten: datetime.date | None = None
        while True:
            await asyncio.sleep(WRITE_S)
            today = datetime.datetime.fromtimestamp(time.time(), datetime.UTC).date()
            try:
                await self.write()
                if today != forgotten:
                    oldest = today - datetime.timedelta(days=DAYS_MAX)
                    await forget_ineligible(self._database, oldest)
                    forgotten = today
            except StoreUnavailable as error:
                log.warning("ineligible_not_written", error=str(error))
