"""What the hot path has to know of accounts, a little behind the store."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from gateway.metrics import Metrics
from gateway.model import AccountId
from gateway.store.postgres import Database


class Directory:
    """Who wants to be told at an endpoint of their own, and what each account's money is called."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._metrics = metrics
        self._hooked: frozenset[int] = frozenset()
        self._currencies: dict[int, str] = {}

    def wants_notice(self, account_id: AccountId) -> bool:
        return account_id in self._hooked

    async def refresh(self) -> None:
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT id, currency, webhook_url <> '' AS hooked FROM accounts"
            )
        self._hooked = frozenset(row["id"] for row in rows if row["hooked"])
        self._currencies = {row["id"]: row["currency"] for row in rows}

    def count_moves(self, move: str, amounts: Iterable[tuple[AccountId, int]]) -> None:
        """Count micros `reserved`, `posted` or `voided` by one commit, added up by currency."""
        sums: defaultdict[AccountId, int] = defaultdict(int)
        for account_id, micros in amounts:
            sums[account_id] += micros
        for account_id, micros in sums.items():
            currency = self._currencies.get(account_id, "unknown")
            self._metrics.credit_moved(currency, **{move: micros})
