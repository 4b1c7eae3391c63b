"""What the HTTP API asks of the gateway; `gateway/app.py` passes in what answers.

Every method may raise `Rejected` (answered with its status, code and field) and
`StoreUnavailable` (answered 503 with Retry-After).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import Account, AccountId, MessageId, SendRequest
from gateway.personal import ErasureList, ErasureStatus, ExportList
from gateway.reports import IneligibleReport
from gateway.views import (
    Balance,
    CarrierView,
    DeadPage,
    DeadSearch,
    DepositList,
    DepositMade,
    InboundPage,
    InboundSearch,
    MessageView,
    Page,
    Quote,
    ReplayedView,
    Search,
    Statement,
)

Done = Callable[[Accepted | Exception], None]
"""Told of a message that is committed, or why it is not. Must not raise."""


class Submissions(Protocol):
    """Taking messages in, and taking them back."""

    async def submit(
        self, account: Account, request: SendRequest, idempotency_key: str = ""
    ) -> Accepted:
        """Return once the message is committed."""
        ...

    def submit_soon(
        self, account: Account, request: SendRequest, idempotency_key: str, done: Done
    ) -> None:
        """As `submit`, without anything to await: `done` is called once, with what it would return
        or raise. Raises what is known at once, and then `done` is not called."""
        ...

    async def submit_batch(
        self, account: Account, requests: Sequence[SendRequest], idempotency_key: str = ""
    ) -> list[Accepted | Rejected]:
        """Return one result a request, in order, once the good ones are committed together."""
        ...

    async def quote(self, account: Account, requests: Sequence[SendRequest]) -> Quote: ...

    async def cancel(self, account: Account, message_id: MessageId) -> MessageView:
        """Withdraw a message that has not begun to leave; 404 unknown, 409 too late."""
        ...


class Treasury(Protocol):
    """Operators' side of accounts' money."""

    async def deposit(
        self, name: str, amount_micros: int, *, reason: str, author: str, key: str | None
    ) -> DepositMade:
        """Add credit to an account, or take it back; once only for each key."""
        ...

    async def list_deposits(self, name: str, limit: int) -> DepositList: ...


class PersonalData(Protocol):
    """What is known of a person's number. `written` is the number as people write it."""

    async def request_erasure(
        self, written: str, account: str | None, *, reason: str, author: str, cancel: bool
    ) -> ErasureStatus:
        """Have it erased, of one account or of all; it is done by somebody else, later."""
        ...

    async def fetch_erasure(self, erasure_id: int) -> ErasureStatus: ...

    async def list_erasures(self, limit: int, written: str | None = None) -> ErasureList:
        """Return the latest, of one number if it is said."""
        ...

    async def begin_export(
        self, written: str, account: str | None, *, reason: str, author: str
    ) -> AsyncIterator[Mapping[str, Any]]:
        """Record who asks and why, and return what is kept, row by row; may be left unread."""
        ...

    async def list_exports(self, limit: int, written: str | None = None) -> ExportList:
        """Return the latest, of one number if it is said."""
        ...


class Reading(Protocol):
    async def fetch_message(
        self, account_id: AccountId, message_id: MessageId
    ) -> MessageView | None: ...

    async def search_messages(self, account_id: AccountId, search: Search) -> Page:
        """Return a page, newest first; `next_cursor` is the decimal id below which the next page
        begins, "" on the last. The API makes it opaque, and passes it back as `search.before`."""
        ...

    async def search_inbound(self, account_id: AccountId, search: InboundSearch) -> InboundPage:
        """Return a page of what phones sent to the account's numbers; as `search_messages`."""
        ...

    async def fetch_balance(self, account: Account) -> Balance: ...

    async def fetch_statement(
        self, account: Account, first: date, last: date, by: str
    ) -> Statement:
        """Return what was used from one day to another, both included, by `by`."""
        ...

    async def fetch_ineligible(
        self, account: Account, first: date, last: date, by: str
    ) -> IneligibleReport:
        """Return how many messages were refused for their number; days as for the statement."""
        ...


class DeadEvents(Protocol):
    """Webhook events that were given up."""

    async def search_dead(self, account_id: AccountId, search: DeadSearch) -> DeadPage:
        """Return a page of the account's, newest first; the cursor as in `search_messages`."""
        ...

    async def replay(
        self,
        account_id: AccountId,
        now: float,
        *,
        ids: Sequence[int] | None = None,
        since: float | None = None,
    ) -> ReplayedView:
        """Make them due again: those with these ids, or since a time, or all."""
        ...


class Keys(Protocol):
    def recall(self, key: str) -> Account | None:
        """Return the account of a key that was checked lately, without waiting."""
        ...

    async def authenticate(self, key: str) -> Account | None:
        """Look the key up; None when it is unknown, revoked or expired."""
        ...


class Condition(Protocol):
    """What `/readyz` and the operators' pages tell."""

    def problems(self) -> list[str]:
        """Return why this node can't do its work now; empty when it can."""
        ...

    def carriers(self) -> list[CarrierView]: ...
