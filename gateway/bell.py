"""What wakes a task that has slept until there was something to do.

As `asyncio.Event`, but a message rings several times and the task wakes once for all of them: to
ring again costs a look.
"""

from __future__ import annotations

import asyncio


class Bell:
    """Made and used in one event loop; one task waits for it."""

    __slots__ = ("_event", "_rung")

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._rung = False

    def ring(self) -> None:
        """Wake who waits, or who waits next."""
        if not self._rung:
            self._rung = True
            self._event.set()

    def silence(self) -> None:
        """Let `wait` wait for the next ring."""
        self._rung = False
        self._event.clear()

    async def wait(self) -> None:
        """Return once it has rung since it was silenced."""
        await self._event.wait()
