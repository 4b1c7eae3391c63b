"""Brings messages from the store into memory: at the start, when a shelf has room, when due.

Not here: what memory holds and how much (`shelves.py`, `dispatch.py`), the queries
(`store/backlog.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from gateway.dispatch import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.ids import id_at
from gateway.jobs import Job
from gateway.logs import get_logger
from gateway.model import AccountId, CarrierId, Lane, Message
from gateway.shelves import Progress, Shelf
from gateway.store.backlog import Backlog

log = get_logger("feeding")

START_PAGE_MAX = 2_000
"""Messages a query at a start: 20 ms of PostgreSQL's time, 2 MB of memory."""
PAGE_MAX = 400
"""The same later on: the loop is held up for 5 ms, which a one-time password hardly notices."""
PAGES_MAX = 20
"""Of each shelf, one after another, before anything else is looked after: 30,000 a second."""
DUE_AHEAD_S = 30.0
"""Scheduled messages are in memory so long before their time."""
DUE_HELD_MAX = 5_000
"""Of those that are due at one time, so many at once; the rest follows as these leave."""
CHECK_S = 0.25
DUE_CHECK_S = 5.0
MARKS_S = 10.0
MARK_MARGIN_S = 600.0
"""A mark stays this far behind the present: a slow commit may still bring an older id."""

Marks = Mapping[tuple[CarrierId, Lane], int]


class MarkStore(Protocol):
    """Where a start begins to look for open messages, kept over restarts."""

    async def load_queue_marks(self) -> Marks: ...

    async def save_queue_marks(self, marks: Marks) -> None: ...


class Feeder:
    """Owns every read of open messages."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        backlog: Backlog,
        marks: MarkStore,
        after: Callable[[float], float] = lambda seconds: time.time(),
    ) -> None:
        """`after` is `Clock.after`."""
        self._after = after
        self._dispatcher = dispatcher
        self._backlog = backlog
        self._marks = marks
        self._due_cursor: tuple[float, int] = (0.0, 0)
        """Scheduled messages up to this (time, id) are or were in memory."""
        self._reading_to = 0.0
        """Up to which hour a read is looking for them now; 0.0 when none is."""
        self._marked_at = 0.0
        self._uncounted: list[Shelf] = []
        """Those whose backlog is longer than memory, until it is known whose messages it holds."""
        self._announced = 0
        """The newest message that `take` was told of, or that was there at the start."""

    def take(self, messages: Iterable[Message], now: float) -> None:
        """Take what was just committed: to its queue, or back to the store until it is due."""
        wall = time.time()
        at_once = []
        for message in messages:
            self._announced = max(self._announced, message.id)
            send_at = message.send_at
            if (
                send_at is None
                or (send_at, message.id) <= self._due_cursor
                # The read under way may have begun before the commit and will move the cursor.
                or send_at <= self._reading_to
                or (send_at <= wall + DUE_AHEAD_S and len(self._dispatcher) < DUE_HELD_MAX)
            ):
                at_once.append(message)
        self._dispatcher.accept(at_once, now, wall)
        self._dispatcher.announced(self._announced)

    async def recover(self) -> int:
        """Read the backlog as far as memory goes; return how many messages came in.

        What waits past that is counted by `run`: a million rows take seconds, in which the node
        can serve and has enough to send.
        """
        self._announced = await self._backlog.fetch_last_id()
        self._dispatcher.announced(self._announced)
        marks = await self._marks.load_queue_marks()
        for (carrier_id, lane), open_from in marks.items():
            shelf = self._dispatcher.shelves.get((carrier_id, lane))
            if shelf is not None:
                shelf.cursor = max(0, open_from - 1)
        for shelf in self._dispatcher.shelves.values():
            await self._start(shelf)
        await self._load_due()
        return len(self._dispatcher)

    async def run(self) -> None:
        """Keep memory fed, until cancelled."""
        loop = asyncio.get_running_loop()
        due_at = 0.0
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self._count_behind()
                for _ in range(PAGES_MAX):
                    for shelf in (shelves := self._dispatcher.shelves.wanting()):
                        await self._refill(shelf)
                    if not shelves:
                        break
                if loop.time() >= due_at:
                    due_at = loop.time() + DUE_CHECK_S
                    await self._load_due()
                if loop.time() >= self._marked_at + MARKS_S:
                    self._marked_at = loop.time()
                    await self._save_marks()
            except StoreUnavailable as error:
                log.warning("backlog_unread", error=str(error))
                await asyncio.sleep(1.0)

    async def _start(self, shelf: Shelf) -> None:
        """Read a shelf's backlog as far as there is room."""
        shelf.unread = True
        while shelf.unread and shelf.room:
            at_most = min(START_PAGE_MAX, shelf.room)
            shelf.begin_refill(at_most)
            self._dispatcher.begin_refill()
            try:
                page = await self._backlog.fetch_shelf(
                    shelf.carrier_id, shelf.lane, shelf.cursor, at_most
                )
                self._restore(page.jobs)
                shelf.end_start(Progress(page.last[1], page.complete))
            finally:
                self._dispatcher.end_refill()
        if shelf.unread:
            self._uncounted.append(shelf)

    async def _count_behind(self) -> None:
        """Learn whose messages wait past what a start has read; they are read from then on."""
        while self._uncounted:
            shelf = self._uncounted[0]
            waiting = await self._backlog.count_behind(shelf.carrier_id, shelf.lane, shelf.cursor)
            shelf.know_behind(waiting)
            self._uncounted.pop(0)

    async def _refill(self, shelf: Shelf) -> None:
        wanted = shelf.wanted(PAGE_MAX)
        read: Mapping[AccountId, Progress] = {}
        shelf.begin_refill(sum(each.at_most for each in wanted))
        self._dispatcher.begin_refill()
        try:
            jobs, read = await self._backlog.fetch_wanted(shelf.carrier_id, shelf.lane, wanted)
            self._restore(jobs)
        finally:
            shelf.end_refill(read)
            self._dispatcher.end_refill()

    def _restore(self, jobs: Sequence[Job]) -> None:
        self._dispatcher.restore(jobs, asyncio.get_running_loop().time(), time.time())

    async def _load_due(self) -> None:
        """Bring in what is due soon, page by page, as long as memory has room for it."""
        while len(self._dispatcher) < self._dispatcher.held_max + DUE_HELD_MAX:
            self._dispatcher.begin_refill()
            self._reading_to = time.time() + DUE_AHEAD_S
            try:
                page = await self._backlog.fetch_due(self._due_cursor, self._reading_to, PAGE_MAX)
                self._restore(page.jobs)
                self._due_cursor = page.last
            finally:
                self._reading_to = 0.0
                self._dispatcher.end_refill()
            if page.complete:
                return

    async def _save_marks(self) -> None:
        """Store how far each queue is done, so that the next start need not look there."""
        oldest = self._dispatcher.open_from()
        # What nobody was told of yet may be in the store as well, however old its id.
        margin_at = self._after(MARK_MARGIN_S) - MARK_MARGIN_S
        newest = min(id_at(margin_at), self._announced + 1)
        marks = {}
        for key, shelf in self._dispatcher.shelves.items():
            # What is in memory is open, and so may be what waits in the store alone.
            ceiling = shelf.open_from(newest)
            marks[key] = min(oldest.get(key, ceiling), ceiling)
        await self._marks.save_queue_marks(marks)
