"""The terms of all accounts that may bind, in memory, a few seconds behind the store.

So a bind waits for no query, and customers bind and submit by what was last known while the
database is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.config import Smpp
from gateway.errors import StoreUnavailable
from gateway.logs import get_logger
from gateway.model import Account, AccountId
from gateway.store.postgres import Database
from gateway.store.upstream_accounts import TermsReader
from gateway.upstream.terms import Terms

REFRESH_S = 3.0
"""How long a changed password, network or account takes to be known."""

log = get_logger("upstream")


class Roster:
    """Terms by system_id and by account; `run` keeps them fresh."""

    def __init__(
        self,
        database: Database,
        settings: Smpp,
        on_account: Callable[[Account], None] = lambda account: None,
    ) -> None:
        """`on_account` hears of each account whose terms are new or changed."""
        self._on_account = on_account
        self._reader = TermsReader(
            database, binds_max=settings.binds_max, window_size=settings.window_size
        )
        self._by_system_id: dict[str, Terms] = {}
        self._by_account: dict[AccountId, Terms] = {}
        self._on_change: Callable[[], None] = lambda: None

    def join(self, on_change: Callable[[], None]) -> None:
        """Have `on_change` called when any account's terms are not what they were."""
        self._on_change = on_change

    def of_system_id(self, system_id: str) -> Terms | None:
        return self._by_system_id.get(system_id)

    def of_account(self, account_id: AccountId) -> Terms | None:
        return self._by_account.get(account_id)

    def with_ceiling(self) -> list[AccountId]:
        """Return the accounts of which only so many messages may wait."""
        return [account_id for account_id, each in self._by_account.items() if each.queue_max]

    async def refresh(self) -> None:
        """Read all terms; raises StoreUnavailable."""
        by_account = await self._reader.fetch()
        if by_account == self._by_account:
            return
        for account_id, terms in by_account.items():
            if terms != self._by_account.get(account_id):
                self._on_account(terms.account)
        self._by_account = by_account
        self._by_system_id = {terms.system_id: terms for terms in by_account.values()}
        self._on_change()

    async def run(self) -> None:
        """Refresh now and then, until cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                await self.refresh()
            except StoreUnavailable as error:
                log.warning("roster_stale", error=str(error))
            except Exception:
                # A row that can't be read must not end everybody's access.
                log.exception("roster_unread")
