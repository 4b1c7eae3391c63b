"""Which waiting messages are in memory, and which wait in the database alone.

Every carrier and lane has a shelf of bounded size. While there is room, messages come to it
straight from their commit. When it is full, later ones stay in the database, and the shelf is
refilled from there in the order of ids; so the order within an account holds, a backlog of any
size costs the same memory, and one carrier's backlog does not keep another's messages out.

Not here: the query (`store/backlog.py`), what becomes of a message in memory (`dispatch.py`).
"""

from __future__ import annotations

from gateway.model import CarrierId, Lane, Message


class Shelf:
    """One carrier's lane: what of it is held in memory, and from where the rest is read."""

    __slots__ = ("carrier_id", "cursor", "held", "held_max", "lane", "loading", "missed", "spilled")

    def __init__(self, carrier_id: CarrierId, lane: Lane, held_max: int) -> None:
        self.carrier_id = carrier_id
        self.lane = lane
        self.held_max = held_max
        self.held = 0
        self.cursor = 0
        """Every message up to this id has been in memory."""
        self.spilled = False
        """Whether messages past the cursor wait in the database."""
        self.loading = False
        self.missed = False
        """Whether messages were left in the database since the last read began."""

    def admits(self, message: Message) -> bool:
        """Say whether a message just committed comes into memory; note it if it stays out."""
        if self.spilled and message.id > self.cursor:
            self.missed = True
            return False
        if self.held >= self.held_max and message.id > self.cursor:
            self.spilled = self.missed = True
            return False
        return True

    def put(self, message_id: int) -> None:
        self.held += 1
        if message_id > self.cursor:
            self.cursor = message_id

    @property
    def wants_refill(self) -> bool:
        return self.spilled and not self.loading and self.held * 2 <= self.held_max

    @property
    def room(self) -> int:
        return max(0, self.held_max - self.held)

    def begin_refill(self) -> None:
        self.loading = True
        self.missed = False

    def end_refill(self, last_id: int, complete: bool) -> None:
        """Note what was read: up to `last_id`, and whether that was all there is."""
        self.loading = False
        self.cursor = max(self.cursor, last_id)
        if complete and not self.missed:
            self.spilled = False
