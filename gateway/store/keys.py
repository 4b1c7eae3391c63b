"""Accounts' keys: made, rotated, revoked, listed.

Keys are random and shown once; the store has only their hash (`key_hash.py`). Not here: looking
keys up for the API (`keyring.py`).
"""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from gateway.errors import Rejected
from gateway.model import AccountId
from gateway.scopes import ALL, read_networks, write_scopes
from gateway.store.accounts import check_note, new_secret, unknown_account
from gateway.store.key_hash import hash_key
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

KEY_PREFIX_CHARS = 8
_KEY_PREFIX_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"

_INSERT_KEY = query("insert_key")
_LOCK_KEY = query("lock_key")
_EXPIRE_KEY = query("expire_key")
_REVOKE_KEY = query("revoke_key")
_FETCH_KEYS = query("fetch_keys")


class NewKey(msgspec.Struct, frozen=True):
    """A key in the only moment in which it can be read."""

    plaintext: str
    prefix: str


class Rotated(msgspec.Struct, frozen=True):
    """A new key, and when the one that it replaces ends."""

    made: NewKey
    old_until: datetime.datetime


class KeyInfo(msgspec.Struct, frozen=True):
    prefix: str
    label: str
    created_at: datetime.datetime
    expires_at: datetime.datetime | None
    revoked_at: datetime.datetime | None
    scopes: list[str]
    networks: list[str]
    """Where it may come from; empty: from anywhere."""


@unavailable_as_503()
async def create_key(
    database: Database,
    account_id: AccountId,
    label: str = "",
    expires_at: datetime.datetime | None = None,
    *,
    scopes: int = ALL,
    networks: Sequence[str] = (),
) -> NewKey:
    """Make a key for the account and return it, the only time that anybody sees it.

    `scopes` and `networks` (addresses and CIDR; none: anywhere) as in `gateway/scopes.py`. Raises
    Rejected for what is out of range and for an unknown account.
    """
    check_note("label", label)
    texts = [str(network) for network in read_networks(networks)]
    try:
        async with database.acquire() as connection:
            return await _insert_key(
                connection, account_id, label, expires_at, write_scopes(scopes), texts
            )
    except asyncpg.ForeignKeyViolationError:
        raise unknown_account() from None


@unavailable_as_503()
async def rotate_key(
    database: Database,
    account_id: AccountId,
    prefix: str,
    *,
    old_until: datetime.datetime,
    expires_at: datetime.datetime | None = None,
) -> Rotated:
    """Make a key that may do what an old one may, and let the old one end at `old_until`.

    Both live until then. Raises Rejected when the account has no such living key, and when the
    old one was to end by itself but `expires_at` of the new one is not said.
    """
    async with database.acquire() as connection, connection.transaction():
        old = await connection.fetchrow(_LOCK_KEY, account_id, prefix)
        if old is None:
            raise Rejected("key_unknown", "there is no such living key", field="key", status=404)
        if old["expires_at"] is not None and expires_at is None:
            raise Rejected(
                "expiry_missing", "the old key was to end by itself: say when the new one does"
            )
        made = await _insert_key(
            connection, account_id, old["label"], expires_at, old["scopes"], old["networks"]
        )
        ends_at = await connection.fetchval(_EXPIRE_KEY, account_id, prefix, old_until)
    return Rotated(made, ends_at)


async def _insert_key(
    connection: AnyConnection,
    account_id: AccountId,
    label: str,
    expires_at: datetime.datetime | None,
    scopes: Sequence[str],
    networks: Sequence[str],
) -> NewKey:
    prefix = "".join(secrets.choice(_KEY_PREFIX_ALPHABET) for _ in range(KEY_PREFIX_CHARS))
    plaintext = f"gw_{prefix}_{new_secret()}"
    await connection.execute(
        _INSERT_KEY,
        *(hash_key(plaintext), account_id, prefix, label, expires_at, scopes, networks),
    )
    return NewKey(plaintext, prefix)


async def revoke_key(database: Database, account_id: AccountId, prefix: str) -> bool:
    """End a key by its prefix; False when the account has no such living key."""
    async with database.acquire() as connection:
        return await connection.execute(_REVOKE_KEY, account_id, prefix) != "UPDATE 0"


async def list_keys(database: Database, account_id: AccountId) -> list[KeyInfo]:
    """Return what is known of the account's keys, oldest first; never the keys themselves."""
    async with database.acquire() as connection:
        return [KeyInfo(*row) for row in await connection.fetch(_FETCH_KEYS, account_id)]
