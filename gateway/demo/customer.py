"""An account that can send at once: with credit and a fresh key, on whatever database it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.credit.prices import MICROS_PER_UNIT
from gateway.model import AccountId
from gateway.store.accounts import create_account, deposit, find_account
from gateway.store.keys import create_key, list_keys, revoke_key
from gateway.store.postgres import Database

KEY_LABEL = "simulated carriers"
KEY_LIFE = timedelta(days=7)
"""A key that was printed on a screen must not open the account for ever."""


async def provide_account(url: str, name: str, currency: str, credit_units: int) -> str:
    """Return a new key of the account; make it, and bring its credit up, as far as needed.

    Keys that were given out here before end. Raises StoreUnavailable or Rejected.
    """
    database = await Database.open(url, connections=1)
    try:
        standing = await find_account(database, name)
        if standing is not None:
            account_id, available = standing.account.id, standing.available_micros
        else:
            account = await create_account(database, name, currency, default_sender="Demo")
            account_id, available = account.id, 0
        missing = credit_units * MICROS_PER_UNIT - available
        if missing > 0:
            await deposit(
                database, account_id, missing, reason="simulated carriers", author="gateway"
            )
        await _end_old_keys(database, account_id)
        key = await create_key(
            database, account_id, KEY_LABEL, expires_at=datetime.now(UTC) + KEY_LIFE
        )
        return key.plaintext
    finally:
        await database.close()


async def _end_old_keys(database: Database, account_id: AccountId) -> None:
    for key in await list_keys(database, account_id):
        if key.label == KEY_LABEL and key.revoked_at is None:
            await revoke_key(database, account_id, key.prefix)
