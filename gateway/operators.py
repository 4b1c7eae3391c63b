"""Keeps the operators in memory as the database has them."""

from __future__ import annotations

import asyncio

from gateway.errors import StoreUnavailable
from gateway.logs import get_logger
from gateway.routing.operators import NO_OPERATORS, OperatorBook, Operators
from gateway.store.operators import OperatorStore, Versions

log = get_logger("operators")

WATCH_S = 5.0
"""How long an import takes to be seen, beside the time of reading it."""


class OperatorKeeper:
    """Looks now and then whether somebody imported a table, and reads it then."""

    def __init__(self, store: OperatorStore) -> None:
        self.book = OperatorBook()
        self._store = store
        self._versions = Versions()

    async def refresh(self) -> None:
        """Read what has changed; raises StoreUnavailable."""
        # Read before the tables, so that what changes in between is seen the next time.
        versions = await self._store.fetch_versions()
        if versions == self._versions:
            return
        table = self.book.table
        if versions.prefixes != self._versions.prefixes:
            table = Operators(await self._store.fetch_prefixes(), table.ported)
        if versions.ported != self._versions.ported:
            table = table.with_ported(await self._store.fetch_ported())
        self.book.table = table or NO_OPERATORS
        self._versions = versions
        if table:
            log.info("operators_read", prefixes=len(table), ported=len(table.ported))

    async def watch(self) -> None:
        """Keep up with what is imported, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("operators_not_refreshed", error=str(error))
