"""Commits as a quiet gateway makes them, beside what is measured, and the longest of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench.growth.goals import Figure
from gateway.ids import id_at
from gateway.store.postgres import connect_single

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

COMMIT_MAX_MS: Final = 500.0
"""Who waits for a lock waits less than that, and a disk that is told of freed gigabytes can be busy
for a tenth of a second."""
COMMITS_PER_S: Final = 200
AHEAD_S: Final = 2 * 86_400.0
_COMMIT: Final = """
WITH message AS (
    INSERT INTO messages (account_id, id, carrier_id, lane, routes, sender, recipient, country,
                          body, encoding, segments, price_micros, expires_at)
    VALUES (1, $1, 1, 1, '{1}', 'Bench', '447400100001', 'GB', 'Hello', 0, 1, 100, $2)
)
INSERT INTO events (account_id, message_id, at, kind, segment, segment_status, status, closes,
                    posted_micros, voided_micros)
VALUES (1, $1, $2, 1, 1, 3, 3, true, 100, 0)"""


@dataclass(slots=True)
class Commits:
    """Messages with an event, each in a commit of its own, COMMITS_PER_S a second."""

    connection: Connection
    next_id: int
    took_s: list[float] = field(default_factory=list)

    async def run(self) -> None:
        due_s = time.monotonic()
        while True:
            # The time that one is late counts: whoever wanted to commit then has waited.
            await self.connection.execute(_COMMIT, self.next_id, time.time())
            self.next_id += 1
            self.took_s.append(time.monotonic() - due_s)
            due_s += 1 / COMMITS_PER_S
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    def tell(self, meanwhile: str) -> Figure:
        what = f"longest of {COMMITS_PER_S} commits a second while {meanwhile}"
        return Figure(what, max(self.took_s, default=0.0) * 1_000, "ms", COMMIT_MAX_MS)


@asynccontextmanager
async def commits_go_on(database_url: str) -> AsyncIterator[Commits]:
    """Have commits go on, with ids of a day that is still to come and is not touched."""
    connection = await connect_single(database_url, "commits")
    commits = Commits(connection, id_at(time.time() + AHEAD_S))
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(commits.run())
            yield commits
            running.cancel()
    finally:
        await connection.close()
