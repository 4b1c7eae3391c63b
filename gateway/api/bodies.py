"""How much of requests' bodies is in memory at once, of all connections together.

Pure. Each body has its own limit; this one is for many of them, which a single client may begin.
"""

from __future__ import annotations

from typing import Final

from gateway.api.asgi import Event, Receive
from gateway.errors import Rejected

BODIES_BYTES_MAX: Final = 256 * 1024 * 1024
"""Fifty of the largest batches, while a thousand connections may come with one each."""
STRANGERS_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of those whose sender stands in them, so that strangers take no room from customers."""
FREE_BYTES: Final = 65_536
"""Of each body that is not counted: what the server has read before anybody asks, and more than a
message needs. So nobody's large bodies keep small ones out."""


class Bodies:
    """The room that bodies share; it has no end of its own, requests give back what they took."""

    def __init__(self, bytes_max: int = BODIES_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self.held = 0
        """Octets that are in memory beyond each body's free ones."""

    def take(self, size: int) -> None:
        """Take room; raises Rejected (503) where there is none."""
        if self.held + size > self._bytes_max:
            raise Rejected(
                "bodies_full",
                "too many large requests arrive at once",
                status=503,
                retry_after_s=1.0,
            )
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


class CountedBody:
    """One request's body, counted as it arrives."""

    __slots__ = ("_bodies", "_receive", "_size", "taken")

    def __init__(self, bodies: Bodies, receive: Receive) -> None:
        self._bodies = bodies
        self._receive = receive
        self._size = 0
        self.taken = 0

    async def receive(self) -> Event:
        """Receive as ASGI does; raises Rejected (503) for what there is no room for."""
        event = await self._receive()
        if body := event.get("body"):
            self._size += len(body)
            more = self._size - FREE_BYTES - self.taken
            if more > 0:
                self._bodies.take(more)
                self.taken += more
        return event

    def close(self) -> None:
        """Give the room back, once nobody has the body any more."""
        self._bodies.give_back(self.taken)
        self.taken = 0
