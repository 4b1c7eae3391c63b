"""Compares passwords: beside the loop, one at a time, and only once while they stay the same.

What passed is remembered by a keyed digest of this process, so that a customer that binds again
and again costs nothing. What failed is not: each guess pays in full, and waits its turn.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor

from gateway.upstream.passwords import NOBODYS_HASH, check_password
from gateway.upstream.terms import Terms

WAITING_MAX = 100
"""Comparisons that wait: 5 s of one core. A flood of guesses is told to come back later."""


class Logins:
    """One thread that compares, and the memory of what passed."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="logins")
        self._key = secrets.token_bytes(32)
        self._passed: dict[str, bytes] = {}
        self._waiting = 0

    def recall(self, terms: Terms, password: str) -> bool:
        """Say whether this very password passed before; False means only that nobody knows."""
        passed = self._passed.get(terms.system_id)
        return passed is not None and hmac.compare_digest(passed, self._digest(terms, password))

    def compare(self, terms: Terms | None, password: str) -> asyncio.Future[bool] | None:
        """Begin to compare, as long for nobody's password (None) as for a customer's.

        Returns None when too many wait already.
        """
        if self._waiting >= WAITING_MAX:
            return None
        self._waiting += 1
        kept = NOBODYS_HASH if terms is None else terms.password_hash
        loop = asyncio.get_running_loop()
        comparing = loop.run_in_executor(self._thread, check_password, password, kept)
        comparing.add_done_callback(self._compared)
        return comparing

    def remember(self, terms: Terms, password: str) -> None:
        """Note that a password has passed. One a system_id is kept: the last."""
        self._passed[terms.system_id] = self._digest(terms, password)

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _compared(self, _: asyncio.Future[bool]) -> None:
        self._waiting -= 1

    def _digest(self, terms: Terms, password: str) -> bytes:
        # What the store keeps goes in, so that a changed password is not recalled.
        said = f"{terms.password_hash}\0{password}".encode("utf-8", "surrogatepass")
        return hmac.new(self._key, said, hashlib.sha256).digest()
