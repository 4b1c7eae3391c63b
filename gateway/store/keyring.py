"""The accounts of the keys that were checked lately, so that most requests wait for nothing.

A key's answer is fresh for FRESH_S: that is how long a revocation or a changed account takes to
reach every node. While the database is away an answer stays good for STALE_S, so that reads that
need no database and clear refusals go on; after that nobody is let in unchecked.
"""

from __future__ import annotations

import asyncio
import functools
import hmac
import time
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.errors import StoreUnavailable
from gateway.model import Account
from gateway.record import Record
from gateway.scopes import read_networks, read_scopes
from gateway.store.accounts import account_of
from gateway.store.key_hash import hash_key
from gateway.store.postgres import Database
from gateway.store.queries import query

FRESH_S = 5.0
STALE_S = 60.0
KNOWN_MAX = 20_000
"""Keys remembered, about 1 KB each; more keys than this at work means more look-ups, no harm."""
UNKNOWN_MAX = 20_000
"""Wrong keys remembered, so that a client stuck on one does not reach the database each time."""
KEY_CHARS = 3 + 8 + 1 + 43

_FETCH_ACCOUNT_OF_KEY = query("fetch_account_of_key")


class _Known(Record):
    __slots__ = ("account", "checked_at")

    def __init__(self, account: Account, checked_at: float) -> None:
        self.account: Final = account
        self.checked_at: Final = checked_at


class KeyRing:
    """Answers `gateway.api.ports.Keys`. Keys are remembered by their SHA-256, never themselves.

    The digest is what is compared and looked up, so timing tells a guesser about the digest of a
    guess and nothing about any key.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
        on_account: Callable[[Account], None] = lambda account: None,
    ) -> None:
        """`on_account` hears of each account as it was read."""
        self._database = database
        self._on_account = on_account
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._unknown: dict[bytes, float] = {}
        self._asking: dict[bytes, asyncio.Task[Account | None]] = {}

    def recall(self, key: str) -> Account | None:
        """Return the account of a key that was checked within FRESH_S, without waiting."""
        known = self._known.get(hash_key(key))
        if known is None or self._clock() - known.checked_at >= FRESH_S:
            return None
        return known.account

    async def authenticate(self, key: str) -> Account | None:
        """Look the key up; None when it is unknown, revoked or expired, or its account inactive.

        Raises StoreUnavailable when the database is away and the last answer too old.
        """
        if len(key) != KEY_CHARS or not key.startswith("gw_"):
            return None  # not one of ours: no need to ask
        digest = hash_key(key)
        refused_at = self._unknown.get(digest)
        if refused_at is not None and self._clock() - refused_at < FRESH_S:
            return None
        # Hundreds of connections with one key must not ask hundreds of times when it turns stale.
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.create_task(self._ask(digest))
            asking.add_done_callback(functools.partial(self._asked, digest))
        try:
            # Shielded: the first asker's client may hang up while others still wait.
            return await asyncio.shield(asking)
        except StoreUnavailable:
            known = self._known.get(digest)
            if known is not None and self._clock() - known.checked_at < STALE_S:
                return known.account
            raise

    def _asked(self, digest: bytes, task: asyncio.Task[Account | None]) -> None:
        del self._asking[digest]
        if not task.cancelled():
            task.exception()  # seen, even when every client has hung up meanwhile

    async def _ask(self, digest: bytes) -> Account | None:
        asked_at = self._clock()
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(_FETCH_ACCOUNT_OF_KEY, digest)
        if row is None or not hmac.compare_digest(row["hash"], digest):
            self._known.pop(digest, None)
            self._unknown[digest] = asked_at
            _drop_oldest(self._unknown, UNKNOWN_MAX)
            return None
        account = msgspec.structs.replace(
            account_of(row),
            scopes=read_scopes(row["scopes"]),
            networks=read_networks(row["networks"]),
        )
        self._on_account(account)
        self._unknown.pop(digest, None)
        self._known.pop(digest, None)  # to its end: the dictionary's order is the order of age
        self._known[digest] = _Known(account, asked_at)
        _drop_oldest(self._known, KNOWN_MAX)
        return account


def _drop_oldest(cache: dict[bytes, _Known] | dict[bytes, float], size_max: int) -> None:
    while len(cache) > size_max:
        del cache[next(iter(cache))]
