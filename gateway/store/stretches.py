"""What nodes know of their clocks, kept over restarts (`gateway/passed.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.passed import Stretch
from gateway.store.postgres import Database, unavailable_as_503
from gateway.store.queries import query

_LOAD = query("load_clock_stretches")
_SAVE = query("save_clock_stretches")


class StretchStore:
    """One node's rows, and at a start those of the node that ran last: time in which any of them
    ran has passed, and their clocks agree."""

    def __init__(self, database: Database, node: int) -> None:
        self._database = database
        self._node = node

    @unavailable_as_503()
    async def load(self) -> tuple[float, list[Stretch]]:
        """Return what the odometer showed last, and the stretches in order; none at first."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(_LOAD)
        stretches = [Stretch(row["begun_s"], row["seen_s"], row["ahead_s"]) for row in rows]
        return max((row["noted_s"] for row in rows), default=0.0), stretches

    @unavailable_as_503()
    async def save(self, noted_s: float, stretches: Sequence[Stretch]) -> None:
        """Keep what the odometer shows, and all stretches that it still knows."""
        async with self._database.acquire() as connection:
            await connection.execute(
                _SAVE,
                self._node,
                [stretch.begun_s for stretch in stretches],
                [stretch.seen_s for stretch in stretches],
                [stretch.ahead_s for stretch in stretches],
                noted_s,
            )
