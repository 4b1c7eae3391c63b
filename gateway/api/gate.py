"""Who may ask, and how often: keys, failed logins, each account's own rate."""

from __future__ import annotations

import math
from collections.abc import Callable

from gateway.api.heads import Fields, bearer_key
from gateway.api.logins import FailedLogins, LoginRefusal, News
from gateway.api.ports import Keys
from gateway.errors import Rejected
from gateway.logs import get_logger
from gateway.model import Account, AccountId
from gateway.scopes import admits, write_scopes
from gateway.throttle.bucket import TokenBucket, Wait

log = get_logger("api")

WORKED_MAX = 20_000
"""Keys remembered as working, by Python's salted hash: a set of numbers, 2 MB at most."""
BUCKETS_MAX = 10_000
"""Accounts whose rate is kept, some 3 MB; emptied beyond it, which grants each a burst at most."""

NO_WAIT_S = 0.001
"""Sent away for less than this is nobody: Retry-After knows whole seconds only, and sums of
fractions come out some 1e-13 s late."""


class Gate:
    """Lets requests in, each as the account that pays for it."""

    def __init__(
        self,
        keys: Keys,
        login_failures_per_min: int,
        now: Callable[[], float],
        on_refused: Callable[[LoginRefusal], None] = lambda reason: None,
    ) -> None:
        """`on_refused` hears of every request that is not let in."""
        self._keys = keys
        self._on_refused = on_refused
        self._news = News()
        self._failed = FailedLogins(login_failures_per_min)
        self._now = now
        self._worked: set[int] = set()
        self._buckets: dict[AccountId, tuple[float, TokenBucket]] = {}

    async def admit(self, fields: Fields, address: str, scope: int) -> Account:
        """Return the account of the request's key, which may do what `scope` says.

        Raises Rejected: 401 in one and the same way whatever is wrong with the key, 403 for an
        account that is switched off, an address that the key may not come from, and a scope that
        it lacks, 429 for an address that sent too many wrong keys.
        """
        account = self.admit_known(fields, address, scope)
        if account is not None:
            return account
        key = bearer_key(fields)
        assert key is not None, "admit_known refuses without one"
        return self._permit(await self._look_up(key, address), address, scope)

    async def admit_named(self, name: str, key: str, address: str, scope: int) -> Account:
        """As `admit`, for a key that came as the password beside an account's name."""
        if not key:
            raise self._unauthorized(LoginRefusal.NO_KEY, address)
        account = self._keys.recall(key)
        if account is None:
            account = await self._look_up(key, address)
        if account.name != name:
            self._failed.count(address, self._now())
            raise self._unauthorized(LoginRefusal.KEY, address)
        return self._permit(account, address, scope)

    def admit_known(self, fields: Fields, address: str, scope: int) -> Account | None:
        """As `admit`, for a key that was checked lately; None when it has to be looked up."""
        key = bearer_key(fields)
        if key is None:
            raise self._unauthorized(LoginRefusal.NO_KEY, address)
        account = self._keys.recall(key)
        return None if account is None else self._permit(account, address, scope)

    def take(self, account: Account, count: int) -> None:
        """Count messages against the account's own rate; raises Rejected (429) above it.

        A batch is taken as a whole: one larger than a second's worth is let in when nothing is
        owed, and the account waits it off afterwards.
        """
        if not account.submit_per_s:
            return
        bucket, now = self._bucket_of(account), self._now()
        taken = bucket.take(count, now)
        if isinstance(taken, Wait) and taken.until - now < NO_WAIT_S:
            taken = bucket.take(count, taken.until)
        if isinstance(taken, Wait):
            raise Rejected(
                "rate_exceeded",
                f"this account submits at most {account.submit_per_s:g} messages a second",
                status=429,
                retry_after_s=taken.until - now,
            )

    def _bucket_of(self, account: Account) -> TokenBucket:
        rate, bucket = self._buckets.get(account.id, (0.0, None))
        if bucket is None or rate != account.submit_per_s:
            if len(self._buckets) >= BUCKETS_MAX:
                self._buckets.clear()
            burst = max(1, math.ceil(account.submit_per_s))
            bucket = TokenBucket(account.submit_per_s, burst)
            self._buckets[account.id] = (account.submit_per_s, bucket)
        return bucket

    async def _look_up(self, key: str, address: str) -> Account:
        # The limit keeps guesses away from the store. A key that worked here before is no guess,
        # so that a neighbour behind the same address can't lock out a client that works.
        mark = hash(key)
        if mark not in self._worked:
            self._refuse_guesses(address)
        account = await self._keys.authenticate(key)
        if account is None:
            self._worked.discard(mark)
            self._failed.count(address, self._now())
            raise self._unauthorized(LoginRefusal.KEY, address)
        if len(self._worked) >= WORKED_MAX:
            self._worked.clear()
        self._worked.add(mark)
        return account

    def _refuse_guesses(self, address: str) -> None:
        wait_s = self._failed.wait_s(address, self._now())
        if wait_s:
            self._note(LoginRefusal.SLOWED, address)
            raise Rejected(
                "too_many_failed_logins",
                "too many wrong keys came from this address; wait before the next",
                status=429,
                retry_after_s=wait_s,
            )

    def _permit(self, account: Account, address: str, scope: int) -> Account:
        if not account.active:
            self._note(LoginRefusal.INACTIVE, address, account.name)
            raise Rejected("account_inactive", "this account is switched off", status=403)
        if account.networks and not admits(account.networks, address):
            self._note(LoginRefusal.ADDRESS, address, account.name)
            raise Rejected("address_not_allowed", "this key may not come from there", status=403)
        if not account.scopes & scope:
            self._note(LoginRefusal.SCOPE, address, account.name)
            (missing,) = write_scopes(scope)
            raise Rejected("scope_missing", f"this key lacks the scope {missing}", status=403)
        return account

    def _unauthorized(self, reason: LoginRefusal, address: str) -> Rejected:
        self._note(reason, address)
        return Rejected("unauthorized", "send a valid key as Authorization: Bearer KEY", status=401)

    def _note(self, reason: LoginRefusal, address: str, account: str = "") -> None:
        """Count a refusal, and log it where that is news; `account` is whose key it is."""
        self._on_refused(reason)
        if self._news.is_news(reason, address, self._now()):
            log.warning("login_refused", reason=reason, address=address, account=account)
