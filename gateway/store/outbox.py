"""The events that wait for customers' endpoints, as the outcome writer left them.

Not here: sending them and deciding when to try again (`gateway/hooks/`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from gateway.model import AccountId
from gateway.outcomes import Notice
from gateway.store.message_views import format_time
from gateway.store.postgres import PLAN_EACH_TIME, Database, unavailable_as_503
from gateway.store.queries import query
from gateway.views import DeadEventView, DeadPage, DeadSearch, OutboxEvent, ReplayedView

if TYPE_CHECKING:
    from gateway.store.postgres import Row

ERROR_CHARS_MAX = 500

_CLAIM_DUE = query("claim_due")
_RECORD_DELIVERED = query("record_delivered")
_RECORD_FAILED = query("record_failed")
_BRING_FORWARD = query("bring_notices_forward")
_COUNT_WAITING = query("count_waiting")
_PUT_NOTICES = query("put_notices")
_FETCH_DEAD = query("fetch_dead_events")
_REPLAY_DEAD = query("replay_dead_events")

ID_END = 2**63 - 1
BROUGHT_FORWARD_MAX = 10_000
"""Events a statement, so that no transaction is long."""
REPLAYED_MAX = 10_000
"""Events that one call brings back: a transaction of some hundred milliseconds."""


class OutboxDepth(msgspec.Struct, frozen=True):
    waiting: int
    dead: int
    oldest_at: float | None
    """When the oldest waiting event happened."""


class PostgresOutbox:
    """Hands out due events under a lease and records what became of them.

    At least once: an event whose outcome was not recorded before its lease ended is handed out
    again. Several nodes may claim at once; none gets what another holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @unavailable_as_503()
    async def claim_due(self, now: float, limit: int, lease_s: float) -> list[OutboxEvent]:
        """Return the `limit` lowest ids among the events due at `now`, leased for `lease_s`."""
        async with self._database.acquire() as connection, connection.transaction():
            # How many are due changes everything about how to find them.
            await connection.execute(PLAN_EACH_TIME)
            rows = await connection.fetch(_CLAIM_DUE, now, limit, now + lease_s)
            unaddressed = [row["id"] for row in rows if not (row["url"] or row["webhook_url"])]
            if unaddressed:
                await connection.execute(_RECORD_DELIVERED, unaddressed)
        return [_event_of(row) for row in rows if row["url"] or row["webhook_url"]]

    @unavailable_as_503()
    async def record_delivered(self, ids: Sequence[int]) -> None:
        """Forget events that their endpoint took."""
        async with self._database.acquire() as connection:
            await connection.execute(_RECORD_DELIVERED, ids)

    @unavailable_as_503()
    async def record_failed(self, failures: Sequence[tuple[int, float | None, str]]) -> None:
        """Note (id, when to try again, why it failed); None for never gives the event up."""
        async with self._database.acquire() as connection:
            await connection.execute(
                _RECORD_FAILED,
                [event_id for event_id, _, _ in failures],
                [next_at for _, next_at, _ in failures],
                [_storable(error) for _, _, error in failures],
            )

    @unavailable_as_503()
    async def bring_forward(self, now: float, seconds: float) -> int:
        """Make due so much sooner whatever is not due at `now`; return how many events that was.

        What is leased stays so for as long as it was to be, by a clock that was set back.
        """
        count = last_id = 0
        while True:
            async with self._database.acquire() as connection, connection.transaction():
                await connection.execute(PLAN_EACH_TIME)
                rows = await connection.fetch(
                    _BRING_FORWARD, now, seconds, last_id, BROUGHT_FORWARD_MAX
                )
            count += len(rows)
            if len(rows) < BROUGHT_FORWARD_MAX:
                return count
            last_id = max(row["id"] for row in rows)

    @unavailable_as_503()
    async def put(self, notices: Sequence[Notice]) -> None:
        """Have something delivered that no event of a message causes."""
        async with self._database.acquire() as connection:
            await connection.execute(
                _PUT_NOTICES,
                [notice.account_id for notice in notices],
                [notice.message_id for notice in notices],
                [notice.url for notice in notices],
                [notice.body for notice in notices],
                [notice.created_at for notice in notices],
            )

    @unavailable_as_503()
    async def search_dead(self, account_id: AccountId, search: DeadSearch) -> DeadPage:
        """Return a page of an account's events that were given up, newest first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(
                _FETCH_DEAD,
                account_id,
                ID_END if search.before is None else search.before,
                search.happened_from,
                search.happened_until,
                search.limit,
            )
        next_cursor = str(rows[-1]["id"]) if len(rows) == search.limit else ""
        return DeadPage(events=[_dead_view(row) for row in rows], next_cursor=next_cursor)

    @unavailable_as_503()
    async def replay(
        self,
        account_id: AccountId,
        now: float,
        *,
        ids: Sequence[int] | None = None,
        since: float | None = None,
    ) -> ReplayedView:
        """Make events that were given up due again, for as long as new ones are tried.

        Those with these ids, or that happened at `since` or later, or all. At most REPLAYED_MAX,
        the oldest first.
        """
        async with self._database.acquire() as connection:
            done = await connection.execute(_REPLAY_DEAD, account_id, now, ids, since, REPLAYED_MAX)
        replayed = int(done.rsplit(" ", 1)[1])
        return ReplayedView(replayed=replayed, more=replayed == REPLAYED_MAX)

    @unavailable_as_503()
    async def fetch_depth(self) -> OutboxDepth:
        """Count what waits and what was given up, for the metrics."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(_COUNT_WAITING)
        assert row is not None
        return OutboxDepth(row["waiting"], row["dead"], row["oldest"])


def _event_of(row: Row) -> OutboxEvent:
    return OutboxEvent(
        id=row["id"],
        account_id=AccountId(row["account_id"]),
        url=row["url"] or row["webhook_url"],
        secret=row["webhook_secret"],
        old_secret=row["old_secret"],
        single=bool(row["url"]),
        body=row["body"].encode(),
        created_at=row["created_at"],
        attempts=row["attempts"],
    )


def _dead_view(row: Row) -> DeadEventView:
    return DeadEventView(
        id=str(row["id"]),
        message_id=str(row["message_id"]),
        url=row["url"],
        happened_at=format_time(row["created_at"]),
        attempts=row["attempts"],
        error=row["error"],
        event=row["body"],
    )


def _storable(error: str) -> str:
    """Cut and clean what an endpoint may have written into our error message."""
    return error[:ERROR_CHARS_MAX].encode("utf-8", "replace").decode().replace("\0", "")
