"""Top-ups and corrections by account name, as operators' programs ask for them."""

from __future__ import annotations

from gateway.credit.prices import format_micros
from gateway.errors import Rejected
from gateway.model import Account
from gateway.store.accounts import deposit, find_account, list_deposits
from gateway.store.message_views import format_time
from gateway.store.postgres import Database, unavailable_as_503
from gateway.views import DepositList, DepositMade, DepositView


class Treasury:
    """Answers `gateway.api.ports.Treasury` from the database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def deposit(
        self, name: str, amount_micros: int, *, reason: str, author: str, key: str | None
    ) -> DepositMade:
        """Add credit to an account, or take it back; see `accounts.deposit`."""
        account = await self._find(name)
        done = await deposit(
            self._database, account.id, amount_micros, reason=reason, author=author, key=key
        )
        return DepositMade(
            account=name,
            available=format_micros(done.available_micros),
            currency=account.currency,
            replayed=done.replayed,
        )

    @unavailable_as_503()
    async def list_deposits(self, name: str, limit: int) -> DepositList:
        """Return an account's deposits, newest first; raises Rejected for an unknown one."""
        account = await self._find(name)
        found = await list_deposits(self._database, account.id, limit)
        return DepositList(
            deposits=[
                DepositView(
                    at=format_time(d.created_at.timestamp()),
                    amount=format_micros(d.amount_micros),
                    currency=account.currency,
                    reason=d.reason,
                    author=d.author,
                    key=d.key,
                )
                for d in found
            ]
        )

    @unavailable_as_503()
    async def _find(self, name: str) -> Account:
        # A name comes from a path, where it may be anything; PostgreSQL's text holds no NUL.
        standing = None if "\0" in name else await find_account(self._database, name)
        if standing is None:
            raise Rejected("account_unknown", "there is no such account", field="name", status=404)
        return standing.account
