"""Email fallbacks as rows: handed out when they are due, and what became of them.

Not here: how they come and fall due (`fallback_statements.py`), when and how they are sent
(`gateway/fallback/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from gateway.fallback.letter import DueEmail
from gateway.fallback.terms import EmailContent, FallbackState, Trigger
from gateway.lifecycle import Status
from gateway.model import AccountId, EmailRequest, MessageId
from gateway.outcomes import Notice
from gateway.store.postgres import PLAN_EACH_TIME, Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Row

_ACCOUNTS_DUE = query("fetch_accounts_with_due_emails")
_CLAIM = query("claim_emails")
_SETTLE = query("settle_emails")
_PUT_OFF = query("put_off_emails")
_BRING_FORWARD = query("bring_emails_forward")
_COUNT_DUE = query("count_due_emails")
_SAVE_RULE = query("save_fallback_rule")


class Orphan(msgspec.Struct, frozen=True):
    """An email that is due, though its message or its content is past its retention."""

    account_id: AccountId
    message_id: MessageId


class SettledEmail(msgspec.Struct, frozen=True):
    """The end of one email."""

    account_id: AccountId
    message_id: MessageId
    state: FallbackState
    reason: Trigger | None
    at: float
    reply: str = ""
    notice: Notice | None = None
    """What its customer's endpoint is told."""


class PutOffEmail(msgspec.Struct, frozen=True):
    """One email that is tried later."""

    account_id: AccountId
    message_id: MessageId
    due_at: float
    failed: bool = False
    """Whether that counts as a try of its own."""
    reason: Trigger | None = None
    reply: str | None = None


class DueDepth(msgspec.Struct, frozen=True):
    due: int
    oldest_at: float | None
    """Since when the one that waits longest has been due."""


class FallbackStore:
    """Hands out due emails under a lease and records what became of them.

    An email whose outcome was not recorded before its lease ended is handed out again. Several
    nodes may claim at once; none gets what another holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last_account = 0

    @unavailable_as_503()
    async def claim_due(
        self, now: float, limit: int, lease_until: float
    ) -> list[DueEmail | Orphan]:
        """Return up to `limit` emails that are due, some of each account, leased until then."""
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(PLAN_EACH_TIME)
            accounts = [row["account_id"] for row in await connection.fetch(_ACCOUNTS_DUE, now)]
            turn = self._take_turn(accounts, limit)
            if not turn:
                return []
            rows = await connection.fetch(_CLAIM, turn, now, limit // len(turn), lease_until)
        return [_due_of(row) for row in rows]

    def _take_turn(self, accounts: Sequence[int], limit: int) -> list[int]:
        """Return whose emails are claimed now: all, or the next ones in a circle."""
        if len(accounts) <= limit:
            return list(accounts)
        later = [account for account in accounts if account > self._last_account]
        turn = [*later, *accounts[: len(accounts) - len(later)]][:limit]
        self._last_account = turn[-1]
        return turn

    @unavailable_as_503()
    async def record(self, settled: Sequence[SettledEmail], put_off: Sequence[PutOffEmail]) -> None:
        """Write what became of emails, and what customers are told of it, in one transaction."""
        notices = [email.notice for email in settled if email.notice is not None]
        async with self._database.acquire() as connection, connection.transaction():
            if settled:
                await connection.execute(
                    _SETTLE,
                    [email.account_id for email in settled],
                    [email.message_id for email in settled],
                    [email.state for email in settled],
                    [_number(email.reason) for email in settled],
                    [email.at for email in settled],
                    [_storable(email.reply) for email in settled],
                    [notice.account_id for notice in notices],
                    [notice.message_id for notice in notices],
                    [notice.url for notice in notices],
                    [notice.body for notice in notices],
                    [notice.created_at for notice in notices],
                )
            if put_off:
                await connection.execute(
                    _PUT_OFF,
                    [email.account_id for email in put_off],
                    [email.message_id for email in put_off],
                    [email.due_at for email in put_off],
                    [email.failed for email in put_off],
                    [_number(email.reason) for email in put_off],
                    [None if e.reply is None else _storable(e.reply) for e in put_off],
                )

    @unavailable_as_503()
    async def bring_forward(self, now: float, seconds: float) -> int:
        """Make due so much sooner what a clock put off that was set back to `now` since; return
        how many emails that was. What waits for a receipt of an earlier message is left alone."""
        async with self._database.acquire() as connection, connection.transaction():
            await connection.execute(PLAN_EACH_TIME)
            done = await connection.execute(_BRING_FORWARD, now, seconds)
        return int(done.rsplit(" ", 1)[1])

    @unavailable_as_503()
    async def fetch_depth(self, now: float) -> DueDepth:
        """Count what is due and not sent, for the metrics."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(_COUNT_DUE, now)
        assert row is not None
        return DueDepth(row["due"], row["oldest"])


@unavailable_as_503()
async def save_rule(database: Database, account_id: AccountId, rule: EmailRequest | None) -> None:
    """Set or take away an account's rule; every node sees it within the key ring's FRESH_S."""
    written = "" if rule is None else msgspec.json.encode(rule).decode()
    async with database.acquire() as connection:
        await connection.execute(_SAVE_RULE, account_id, written)


def read_rule(written: str) -> EmailRequest | None:
    """Return an account's rule from its column."""
    return msgspec.json.decode(written, type=EmailRequest) if written else None


def _due_of(row: Row) -> DueEmail | Orphan:
    account_id, message_id = AccountId(row["account_id"]), MessageId(row["message_id"])
    if row["recipient"] is None or row["subject"] is None:
        return Orphan(account_id, message_id)
    return DueEmail(
        account_id=account_id,
        account=row["name"],
        message_id=message_id,
        address=row["address"],
        content=EmailContent(row["subject"], row["body_text"], row["body_html"], row["reply_to"]),
        triggers=Trigger(row["triggers"]),
        began_at=row["claimed_at"],
        attempts=row["attempts"],
        sender=row["sender"],
        recipient=row["recipient"],
        country=row["country"],
        text=row["body"] or "",
        client_ref=row["client_ref"] or "",
        tag=row["tag"] or "",
        callback_url=row["callback_url"] or "",
        segments=row["segments"],
        status=Status(row["status"]),
        error=row["error"],
        hooked=row["hooked"],
    )


def _number(reason: Trigger | None) -> int | None:
    # A flag can be iterated, and would be taken for an array.
    return None if reason is None else int(reason)


def _storable(reply: str) -> str:
    """Clean what a server may have written into our column."""
    return reply.encode("utf-8", "replace").decode().replace("\0", "")
