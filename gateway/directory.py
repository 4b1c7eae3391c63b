"""What the hot path has to know of accounts: read now and then, and when one is let in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from gateway.config import Plan
from gateway.metrics import Metrics
from gateway.model import Account, AccountId
from gateway.store.ceilings import AccountCeilings, fetch_ceilings
from gateway.store.postgres import Database


class Directory:
    """Who wants to be told at an endpoint of their own, who pays for what was delivered alone, what
    each account's money is called, and which accounts have ceilings."""

    def __init__(self, database: Database, metrics: Metrics, plans: Iterable[Plan] = ()) -> None:
        self._database = database
        self._metrics = metrics
        self.plans = tuple(plans)
        """The settings'; what changes here is seen after the next refresh."""
        self._paying_on_delivery: set[int] = set()
        self._hooked: set[int] = set()
        self._currencies: dict[int, str] = {}
        self._noted: list[Account] = []
        """Since the refresh that runs, or the last one, began: it may not have seen them."""
        self._ceilings: Mapping[AccountId, AccountCeilings] = {}
        self._tell_ceilings: Callable[[Mapping[AccountId, AccountCeilings]], None] | None = None

    def tell_ceilings(self, tell: Callable[[Mapping[AccountId, AccountCeilings]], None]) -> None:
        """Tell somebody the ceilings of all accounts that have some, now and when they change."""
        self._tell_ceilings = tell
        tell(self._ceilings)

    def wants_notice(self, account_id: AccountId) -> bool:
        return account_id in self._hooked

    def pays_on_delivery(self, account_id: AccountId) -> bool:
        return account_id in self._paying_on_delivery

    def note(self, account: Account) -> None:
        """Know an account as it was just read: its first message must not be sooner than that."""
        self._noted.append(account)
        self._know(account.id, account.currency, bool(account.webhook_url), self._bill_of(account))

    def _bill_of(self, account: Account) -> str:
        by_plan = (plan.bill for plan in self.plans if plan.name == account.plan)
        return account.bill or next(by_plan, "")

    def _know(self, account_id: int, currency: str, hooked: bool, bill: str) -> None:
        self._currencies[account_id] = currency
        for ids, belongs in (
            (self._hooked, hooked),
            (self._paying_on_delivery, bill == "delivered"),
        ):
            if belongs:
                ids.add(account_id)
            else:
                ids.discard(account_id)

    async def refresh(self) -> None:
        self._noted.clear()
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                "SELECT id, currency, plan, bill, webhook_url <> '' AS hooked FROM accounts"
            )
        by_plan = {plan.name: plan.bill for plan in self.plans}
        for row in rows:
            bill = row["bill"] or by_plan.get(row["plan"], "")
            self._know(row["id"], row["currency"], row["hooked"], bill)
        noted, self._noted = self._noted, []
        for account in noted:
            self.note(account)
        ceilings = await fetch_ceilings(self._database)
        if ceilings != self._ceilings:
            self._ceilings = ceilings
            if self._tell_ceilings is not None:
                self._tell_ceilings(ceilings)

    def count_moves(self, move: str, amounts: Iterable[tuple[AccountId, int]]) -> None:
        """Count micros of one kind of move by one commit, added up by currency."""
        sums: defaultdict[AccountId, int] = defaultdict(int)
        for account_id, micros in amounts:
            sums[account_id] += micros
        for account_id, micros in sums.items():
            currency = self._currencies.get(account_id, "unknown")
            self._metrics.credit_moved(currency, **{move: micros})
