"""The secrets that sign an account's webhooks: a new one beside the old, and the end of the old."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.errors import Rejected
from gateway.model import AccountId
from gateway.store.accounts import new_secret
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import Row

OVERLAP_MAX_S = 90 * 86_400.0

_ROTATE = query("rotate_webhook_secret")
_END_ROTATION = query("end_webhook_rotation")
_FETCH = query("fetch_webhook")


class WebhookStanding(msgspec.Struct, frozen=True, kw_only=True):
    """An account's webhook as operators see it."""

    url: str
    secret: str
    old_until: float
    """Until when the secret before signs too; 0 or in the past when it does not."""
    dead: int
    """Events that were given up."""


@unavailable_as_503()
async def fetch_webhook(database: Database, account_id: AccountId) -> WebhookStanding:
    """Return how an account's webhook stands."""
    async with database.acquire() as connection:
        row: Row | None = await connection.fetchrow(_FETCH, account_id)
    assert row is not None, "accounts are never deleted"
    return WebhookStanding(
        url=row["webhook_url"],
        secret=row["webhook_secret"],
        old_until=row["webhook_old_until"],
        dead=row["dead"],
    )


@unavailable_as_503()
async def rotate_secret(
    database: Database, account_id: AccountId, now: float, overlap_s: float, *, force: bool = False
) -> WebhookStanding:
    """Make a new secret; calls are signed with it and, for `overlap_s`, with the present one too.

    Raises Rejected while an earlier rotation still overlaps, unless `force`d: then the oldest of
    the three is dropped.
    """
    if not 0 <= overlap_s <= OVERLAP_MAX_S:
        raise Rejected("out_of_range", "must be 0 to 90 days", field="overlap")
    async with database.acquire() as connection:
        done = await connection.execute(
            _ROTATE, account_id, new_secret(), now + overlap_s, force, now
        )
    if done == "UPDATE 0":
        raise Rejected(
            "rotation_under_way",
            "two secrets sign already; end that rotation first, or force this one",
            status=409,
        )
    return await fetch_webhook(database, account_id)


@unavailable_as_503()
async def end_rotation(database: Database, account_id: AccountId, now: float) -> bool:
    """Sign with the newest secret alone from now on; False when that is so already."""
    async with database.acquire() as connection:
        return await connection.execute(_END_ROTATION, account_id, now) != "UPDATE 0"
