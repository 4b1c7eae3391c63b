"""Accounts' ceilings: what operators change while the gateway runs.

Not here: what they hold back (`gateway/ceilings.py`) or refuse (`throttle/recipients.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict, Unpack

import asyncpg
import msgspec

from gateway.ceilings import Ceiling
from gateway.errors import Rejected
from gateway.model import AccountId
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query
from gateway.throttle.recipients import PerRecipient

if TYPE_CHECKING:
    from gateway.store.postgres import Row

RATE_PER_S_MAX = 1_000_000
BURST_MAX = 1_000_000
PER_RECIPIENT_MAX = 10_000

_SAVE = query("save_account_ceilings")
_FETCH = query("fetch_account_ceilings")


class CeilingSettings(TypedDict, total=False):
    """What can be set; what is left out stays as it is."""

    segments_per_s: float
    segments_burst: int
    recipient_per_minute: int
    """-1: as the settings say."""
    recipient_per_hour: int


class AccountCeilings(msgspec.Struct, frozen=True, kw_only=True):
    """One account's ceilings; 0: none."""

    segments_per_s: float = 0.0
    """Segments a second that leave, over all carriers."""
    segments_burst: int = 1
    """Segments above that rate that any one second may see."""
    recipient_per_minute: int = -1
    """Messages to one number; -1: as the settings say, like the next."""
    recipient_per_hour: int = -1

    @property
    def leaving(self) -> Ceiling | None:
        """The ceiling for what leaves, where there is one."""
        if not self.segments_per_s:
            return None
        return Ceiling(self.segments_per_s, self.segments_burst)

    @property
    def per_recipient(self) -> PerRecipient:
        return PerRecipient(self.recipient_per_minute, self.recipient_per_hour)


@unavailable_as_503()
async def save_ceilings(
    database: Database, account_id: AccountId, **settings: Unpack[CeilingSettings]
) -> AccountCeilings:
    """Change the ceilings that are given, and return all; a running gateway has them seconds later.

    Raises Rejected for an unknown account and a value out of range.
    """
    _check(settings)
    try:
        async with database.acquire() as connection:
            (row,) = await connection.fetch(
                _SAVE,
                account_id,
                settings.get("segments_per_s"),
                settings.get("segments_burst"),
                settings.get("recipient_per_minute"),
                settings.get("recipient_per_hour"),
            )
    except asyncpg.ForeignKeyViolationError:
        raise Rejected(
            "account_unknown", "there is no such account", field="account", status=404
        ) from None
    return _ceilings_of(row)


async def fetch_ceilings(database: Database) -> Mapping[AccountId, AccountCeilings]:
    """Return the ceilings of all accounts that have some."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_FETCH)
    return {AccountId(row["account_id"]): _ceilings_of(row) for row in rows}


def _ceilings_of(row: Row) -> AccountCeilings:
    return AccountCeilings(
        segments_per_s=row["segments_per_s"],
        segments_burst=row["segments_burst"],
        recipient_per_minute=_or_default(row["recipient_per_minute"]),
        recipient_per_hour=_or_default(row["recipient_per_hour"]),
    )


def _or_default(written: int | None) -> int:
    return -1 if written is None else written


def _check(settings: CeilingSettings) -> None:
    # Written so that NaN fails too.
    if not 0 <= settings.get("segments_per_s", 0) <= RATE_PER_S_MAX:
        raise _out_of_range("segments_per_s", f"0 (none) to {RATE_PER_S_MAX:,}")
    if not 1 <= settings.get("segments_burst", 1) <= BURST_MAX:
        raise _out_of_range("segments_burst", f"1 to {BURST_MAX:,}")
    per_recipient = f"-1 (as the settings say), 0 (none) to {PER_RECIPIENT_MAX:,}"
    if not -1 <= settings.get("recipient_per_minute", 0) <= PER_RECIPIENT_MAX:
        raise _out_of_range("recipient_per_minute", per_recipient)
    if not -1 <= settings.get("recipient_per_hour", 0) <= PER_RECIPIENT_MAX:
        raise _out_of_range("recipient_per_hour", per_recipient)


def _out_of_range(field: str, allowed: str) -> Rejected:
    return Rejected("out_of_range", f"must be {allowed}", field=field)
