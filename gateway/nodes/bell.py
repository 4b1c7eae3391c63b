"""Wakes whoever has a duty, at another node, when there is something for it to do.

Without it the duty's own look finds that, a second later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.nodes.place import Place
from gateway.periodic import attempt
from gateway.store.postgres import Database

CHANNEL: Final = "gateway_duties"
"""Tells the lease of a duty that there is something for."""
GATHER_S: Final = 0.1
"""What is rung for within this time is told at once."""


class Bell:
    """One node's; `run` lasts as long as the node."""

    def __init__(self, database: Database, place: Place) -> None:
        self._database = database
        self._place = place
        self._wakes: dict[str, Callable[[], None]] = {}
        self._rung: set[str] = set()
        self._changed = asyncio.Event()
        place.hear(CHANNEL, self._hear)

    def join(self, duty: str, wake: Callable[[], None]) -> None:
        """Have `wake` called when another node rings for a duty."""
        self._wakes[duty] = wake

    def ring(self, duty: str) -> None:
        """Have whoever has a duty look, if that is another node."""
        if not self._place.alone:
            self._rung.add(duty)
            self._changed.set()

    async def run(self) -> None:
        """Tell other nodes, until cancelled."""
        while True:
            await self._changed.wait()
            await asyncio.sleep(GATHER_S)
            self._changed.clear()
            await attempt("bell", self._tell)

    async def _tell(self) -> None:
        rung, self._rung = self._rung, set()
        async with self._database.acquire() as connection:
            for duty in sorted(rung):
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, duty)

    def _hear(self, duty: str) -> None:
        if duty in self._wakes:
            self._wakes[duty]()
