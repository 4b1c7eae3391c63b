"""Which waiting messages are in memory, and which wait in the database alone.

Every carrier and lane has a shelf of bounded size. While there is room, messages come to it
straight from their commit. When it is full, an account's later messages stay in the database and
are read from there in the order of ids; so the order within an account holds, a backlog of any
size costs the same memory, and one carrier's backlog does not keep another's messages out.

Nor does one account's: a part of each shelf is kept for accounts that have little on it, and
those that are behind are read in equal shares, whoever has the least first. So the turns that
accounts take when messages leave (`throttle/lanes.py`) are not undone by who filled the memory.

Not here: the queries (`store/backlog.py`), what becomes of a message in memory (`dispatch.py`).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.message import Message
from gateway.model import AccountId, CarrierId, Lane
from gateway.record import Record
from gateway.throttle.drain import Drain

KEPT_SHARE: Final = 0.3
"""Of a shelf, what is kept for accounts that have little on it."""
KEPT_EACH_SHARE: Final = KEPT_SHARE / 20
"""Of a shelf, as much of that as one of them gets."""

DRAIN_MEMORY_S: Final = 10.0
"""Longer than a carrier's pause after a complaint, shorter than anybody waits for an answer."""


class Wanted(Record):
    """An account's messages that should be read: so many of those after an id."""

    __slots__ = ("account_id", "after_id", "at_most")

    def __init__(self, account_id: AccountId, after_id: int, at_most: int) -> None:
        self.account_id: Final = account_id
        self.after_id: Final = after_id
        self.at_most: Final = at_most


class Progress(Record):
    """How far a read came: to the last id that it saw, and whether there was no more."""

    __slots__ = ("complete", "last_id")

    def __init__(self, last_id: int, complete: bool) -> None:
        self.last_id: Final = last_id
        self.complete: Final = complete


class _Behind:
    """An account of which some messages wait in the database alone."""

    __slots__ = ("cursor", "stored")

    def __init__(self, cursor: int, stored: int) -> None:
        self.cursor = cursor
        """Every message of it up to this id has been in memory."""
        self.stored = stored
        """How many wait there; after a start, closed ones may be among them until it caught up."""


class Shelf:
    """One carrier's lane: what of it is held in memory, and from where the rest is read."""

    __slots__ = (
        "_behind",
        "_expected",
        "_gone",
        "_held_by",
        "_missed",
        "carrier_id",
        "cursor",
        "drain",
        "held",
        "held_max",
        "lane",
        "loading",
        "stored",
        "unread",
    )

    def __init__(self, carrier_id: CarrierId, lane: Lane, held_max: int) -> None:
        self.carrier_id = carrier_id
        self.lane = lane
        self.held_max = held_max
        self.held = 0
        self._held_by: dict[AccountId, int] = {}
        self.unread = False
        """Whether the node has just begun and past the cursor anybody's messages may wait."""
        self.cursor = 0
        """While it is `unread`: every message up to this id has been in memory."""
        self._behind: dict[AccountId, _Behind] = {}
        self.stored = 0
        """How many messages wait in the database alone."""
        self.loading = False
        self._expected = 0
        """How many messages the read under way may bring."""
        self.drain = Drain(DRAIN_MEMORY_S)
        """How fast its messages leave."""
        self._gone = 0
        """How many have left since that was last noted."""
        self._missed: dict[AccountId, int] = {}
        """The lowest id of each account that was left in the database since the read began."""

    # ── messages ─────────────────────────────────────────────────────────────────────────────

    def admits(self, message: Message) -> bool:
        """Say whether a message just committed comes into memory; note it if it stays out."""
        account_id = message.account_id
        if self.unread:
            if message.id <= self.cursor:
                return True
            self._miss(message)
            return False
        behind = self._behind.get(account_id) if self._behind else None
        if behind is not None:
            if message.id <= behind.cursor:
                return True  # a read has gone past it: nothing else would bring it
            behind.stored += 1
        elif self._has_room_for(account_id):
            return True
        else:
            self._behind[account_id] = _Behind(message.id - 1, 1)
        self.stored += 1
        self._miss(message)
        return False

    def put(self, message: Message) -> None:
        """Count a message that is in memory now."""
        account_id = message.account_id
        self.held += 1
        self._held_by[account_id] = self._held_by.get(account_id, 0) + 1

    def put_read(self, message: Message) -> None:
        """Count a message that was read from the database."""
        self.put(message)
        behind = self._behind.get(message.account_id)
        if behind is not None and behind.stored and message.id > behind.cursor:
            behind.stored -= 1
            self.stored -= 1

    def remove(self, message: Message) -> None:
        """Count a message that is in memory no more."""
        account_id = message.account_id
        self.held -= 1
        self._gone += 1
        left = self._held_by[account_id] - 1
        if left:
            self._held_by[account_id] = left
        else:
            del self._held_by[account_id]

    @property
    def depth(self) -> int:
        """How many messages wait, in memory and in the database."""
        return self.held + self.stored

    def wait_s(self, depth_max: int) -> float:
        """Return in how many seconds less than `depth_max` messages wait here; 0.0: so it is."""
        excess = self.depth - depth_max + 1
        return self.drain.wait_s(excess) if excess > 0 else 0.0

    def note_drain(self, seconds: float) -> None:
        """Note the speed at which messages left within the last `seconds`.

        With nothing waiting it is that at which they came, and says nothing.
        """
        if self.held or self.stored:
            self.drain.passed(self._gone, seconds)
        self._gone = 0

    # ── reads ────────────────────────────────────────────────────────────────────────────────

    @property
    def wants_refill(self) -> bool:
        """Whether an account that is behind has room for half of its share."""
        if self.loading or not self._behind or self.held >= self.held_max:
            return False
        share = self._share
        return any(self._held_by.get(account_id, 0) * 2 <= share for account_id in self._behind)

    @property
    def room(self) -> int:
        """How many messages may be read at a start, before it is known whose wait."""
        return max(0, self._open_max - self.held)

    def wanted(self, at_most: int) -> list[Wanted]:
        """Return what to read next: first of whom the least is in memory, alike of each."""
        count = min(at_most, self.held_max - self.held)
        needy = [
            (self._held_by.get(account_id, 0), behind.cursor, account_id)
            for account_id, behind in self._behind.items()
        ]
        chosen = heapq.nsmallest(max(0, count), needy)
        each = max(1, count // len(chosen)) if chosen else 0
        share = self._share
        return [
            Wanted(account_id, cursor, min(each, max(1, share - held)))
            for held, cursor, account_id in chosen
        ]

    def begin_refill(self, at_most: int) -> None:
        """Note that a read of so many messages begins; there will be room for them."""
        self.loading = True
        self._expected = at_most
        self._missed.clear()

    def brought(self, count: int) -> None:
        """Note that so many messages of the read under way are in memory, or will not come."""
        self._expected -= count

    def end_start(self, read: Progress) -> None:
        """Note how far a read of everybody's messages came, at a start."""
        self.loading, self._expected = False, 0
        self.cursor = max(self.cursor, _before(self._missed.values(), read.last_id))
        if read.complete and not self._missed:
            self.unread = False

    def know_behind(self, waiting: Mapping[AccountId, int]) -> None:
        """Take in whose messages wait past the cursor, and how many, to the end of a start."""
        self.unread = False
        for account_id in {*waiting, *self._missed}:
            behind = _Behind(self.cursor, waiting.get(account_id, 0))
            self._behind[account_id] = behind
            self.stored += behind.stored

    def end_refill(self, read: Mapping[AccountId, Progress]) -> None:
        """Note how far a read of these accounts' messages came; {} when it failed."""
        self.loading, self._expected = False, 0
        for account_id, progress in read.items():
            behind = self._behind[account_id]
            missed = self._missed.get(account_id)
            if progress.complete and missed is None:
                self.stored -= behind.stored
                del self._behind[account_id]
            else:
                last_id = max(behind.cursor, progress.last_id)
                behind.cursor = _before(() if missed is None else (missed,), last_id)

    def open_from(self, newest: int) -> int:
        """Return the lowest id that may be open and not in memory; at most `newest`."""
        lowest = self.cursor if self.unread else newest
        return min((newest, lowest, *(behind.cursor for behind in self._behind.values())))

    # ── shares ───────────────────────────────────────────────────────────────────────────────

    @property
    def _open_max(self) -> int:
        """Up to here anybody's message comes in."""
        return self.held_max - int(self.held_max * KEPT_SHARE)

    @property
    def _share(self) -> int:
        return max(1, self._open_max // max(1, len(self._behind)))

    def _has_room_for(self, account_id: AccountId) -> bool:
        """Say whether a message of an account that is not behind comes in. While others are, only
        as few as are kept for such; and each that is behind keeps room for one."""
        held = self.held + self._expected
        if not self._behind and held < self._open_max:
            return True
        kept_each = max(1, int(self.held_max * KEPT_EACH_SHARE))
        return (
            held + len(self._behind) < self.held_max
            and self._held_by.get(account_id, 0) < kept_each
        )

    def _miss(self, message: Message) -> None:
        missed = self._missed.get(message.account_id, message.id)
        self._missed[message.account_id] = min(missed, message.id)


def _before(missed: Iterable[int], last_id: int) -> int:
    """Return where to read on: what was left out while a read was under way may have a lower id
    than the last one that it saw."""
    return min((last_id, *(each - 1 for each in missed)))


class Shelves(dict[tuple[CarrierId, Lane], Shelf]):
    """All shelves of a node, by carrier and lane."""

    def of(self, message: Message) -> Shelf | None:
        """Return the shelf that counts a message; scheduled ones are read by their hour."""
        if message.send_at is not None:
            return None
        return self.get((message.routes[0], message.lane))

    def make(self, carrier_ids: Iterable[CarrierId], each_max: int) -> None:
        """Have shelves for these carriers too, and give each room for so many."""
        for carrier_id in carrier_ids:
            for lane in Lane:
                self.setdefault((carrier_id, lane), Shelf(carrier_id, lane, 0))
        for shelf in self.values():
            shelf.held_max = each_max

    def begin_anew(self, carrier_id: CarrierId, *, unread: bool) -> None:
        """Forget what a carrier's shelves hold; reads that are under way go to the old ones."""
        for lane in Lane:
            old = self.get((carrier_id, lane))
            if old is not None:
                shelf = self[carrier_id, lane] = Shelf(carrier_id, lane, old.held_max)
                shelf.unread = unread

    def wanting(self) -> list[Shelf]:
        """Return those that have room again and more to read."""
        return [shelf for shelf in self.values() if shelf.wants_refill]

    @property
    def overflow(self) -> bool:
        """Whether of any of them some messages wait in the database alone."""
        return any(shelf.stored for shelf in self.values())

    def note_drain(self, seconds: float) -> None:
        """Note how fast queues have emptied within the last `seconds`."""
        for shelf in self.values():
            shelf.note_drain(seconds)
