"""What wakes a task that sleeps until there is something to do.

As `asyncio.Event`, but a message sets it several times and the task wakes once for all of them: to
set it again costs a look.
"""

from __future__ import annotations

import asyncio


class Latch:
    """Made and used in one event loop; one task waits for it."""

    __slots__ = ("_event", "_is_set")

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._is_set = False

    def set(self) -> None:
        """Wake who waits, or who waits next."""
        if not self._is_set:
            self._is_set = True
            self._event.set()

    def reset(self) -> None:
        """Let `wait` wait for the next `set`."""
        self._is_set = False
        self._event.clear()

    async def wait(self) -> None:
        """Return once it was set since it was reset."""
        await self._event.wait()
