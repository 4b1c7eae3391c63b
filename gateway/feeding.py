"""Brings messages from the store into memory: at the start, when a shelf has room, when due.

Not here: what memory holds and how much (`shelves.py`, `dispatch.py`), the queries
(`store/backlog.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from gateway.dispatch import Dispatcher
from gateway.errors import StoreUnavailable
from gateway.ids import id_at
from gateway.jobs import Job
from gateway.logs import get_logger
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Lane
from gateway.ownership import Ownership
from gateway.shelves import Progress, Shelf
from gateway.store.arrivals import fetch_arrivals, forget_arrivals
from gateway.store.backlog import AT_ONCE_MAX, Backlog

log = get_logger("feeding")

START_PAGE_MAX = 2_000
"""Messages a query at a start: 20 ms of PostgreSQL's time, 2 MB of memory."""
PAGE_MAX = 2_000
"""The same later on. Every wait within a page lasts a turn of a busy loop, 10 ms and more: pages
of 400 bring 10,000 messages a second then, fewer than carriers take."""
PAGES_MAX = 5
"""Of each shelf, one after another, before anything else is looked after."""
DUE_PAGE_MAX = 400
DUE_AHEAD_S = 30.0
"""Scheduled messages are in memory so long before their time."""
DUE_HELD_MAX = 5_000
"""Of those that are due at one time, so many at once; the rest follows as these leave."""
CHECK_S = 0.25
OVERFLOW_CHECK_S = 0.02
"""The same while messages wait in the database alone: the half of a share that is left when more
is read may leave within less than a tenth of a second, if many carriers share the memory."""
DUE_CHECK_S = 5.0
MARKS_S = 10.0
ARRIVALS_CHECK_S = 5.0
"""How late a lost notification of arrivals is made up for."""
ANNOUNCED_S = 1.0
"""Longer than a message is decided on before it waits for its commit."""
MARK_MARGIN_S = 600.0
"""A mark stays this far behind the present: a slow commit may still bring an older id."""

Marks = Mapping[tuple[CarrierId, Lane], int]


class MarkStore(Protocol):
    """Where a start begins to look for open messages, kept over restarts."""

    async def load_queue_marks(self) -> Marks: ...

    async def save_queue_marks(
        self, marks: Marks, claim: tuple[int, int] | None = None
    ) -> None: ...


class Feeder:
    """Owns every read of open messages."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        backlog: Backlog,
        marks: MarkStore,
        after: Callable[[float], float] = lambda seconds: time.time(),
        *,
        nothing_announces: Callable[[], bool] = lambda: False,
        on_arrived: Callable[[], None] = lambda: None,
        claim: tuple[int, int] | None = None,
    ) -> None:
        """`after` is `Clock.after`; `nothing_announces` says that `take` will be told of nothing
        that there is by now, `on_arrived` hears that other nodes' messages have come in. `claim` is
        this node's number and epoch; None: it shares with nobody."""
        self._after = after
        self._dispatcher = dispatcher
        self._ownership = Ownership(dispatcher)
        self._backlog = backlog
        self._marks = marks
        self._nothing_announces = nothing_announces
        self._on_arrived = on_arrived
        self._claim = claim
        self._marking = asyncio.Lock()
        """While marks are computed and stored: what comes below them meanwhile would be lost."""
        self._loading = asyncio.Lock()
        self._arrived = asyncio.Event()
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
            if send_at is None or self._comes_now(message, send_at, wall):
                at_once.append(message)
        self._dispatcher.accept(at_once, now, wall)
        self._dispatcher.announced(self._announced)

    def _comes_now(self, message: Message, send_at: float, wall: float) -> bool:
        """Say whether a scheduled message comes into memory, as no later read would bring it or its
        hour is near."""
        return (
            (send_at, message.id) <= self._due_cursor
            # The read under way may have begun before the commit and will move the cursor.
            or send_at <= self._reading_to
            or (send_at <= wall + DUE_AHEAD_S and len(self._dispatcher) < DUE_HELD_MAX)
        )

    async def begin(self) -> None:
        """Learn where to begin; carriers' messages are read as each is adopted."""
        self._announced = await self._backlog.fetch_last_id()
        self._dispatcher.announced(self._announced)

    async def recover(self) -> int:
        """Read the backlog of all carriers that are here; return how many messages came in."""
        await self.begin()
        await self._read(self._carriers_here(), await self._marks.load_queue_marks())
        return len(self._dispatcher)

    async def adopt(self, carrier_id: CarrierId, begins_at: float) -> None:
        """Begin to have a carrier's messages, and read its backlog as far as memory goes; to be
        called again if it raises StoreUnavailable.

        What waits past that is counted by `run`: a million rows take seconds, in which the node
        can serve and has enough to send.
        """
        marks = await self._marks.load_queue_marks()
        if not self._ownership.has(carrier_id):
            self._ownership.adopt(carrier_id, asyncio.get_running_loop().time(), begins_at)
        await self._read({carrier_id}, marks)
        self.look_for_arrivals()

    async def give_away(self, carrier_id: CarrierId) -> None:
        """Forget a carrier's messages, and return once nothing is stored of its queues any more."""
        self._ownership.give_away(carrier_id, asyncio.get_running_loop().time())
        async with self._marking:
            pass

    def _carriers_here(self) -> set[CarrierId]:
        known = {carrier_id for carrier_id, _ in self._dispatcher.shelves}
        return known - self._dispatcher.foreign.carriers

    async def _read(self, carriers: set[CarrierId], marks: Marks) -> None:
        shelves = [s for (c, _), s in self._dispatcher.shelves.items() if c in carriers]
        for shelf in shelves:
            open_from = marks.get((shelf.carrier_id, shelf.lane), 0)
            shelf.cursor = max(shelf.cursor, open_from - 1)
        for shelf in shelves:
            await self._start(shelf)
        async with self._loading:
            self._due_cursor = (0.0, 0)  # hours that are past for others may come for these
        await self._load_due()

    async def run(self) -> None:
        """Keep memory fed, until cancelled."""
        loop = asyncio.get_running_loop()
        due_at = 0.0
        while True:
            overflow = self._dispatcher.shelves.overflow
            await asyncio.sleep(OVERFLOW_CHECK_S if overflow else CHECK_S)
            try:
                self._note_announced()
                await self._count_behind()
                for _ in range(PAGES_MAX):
                    shelves = self._dispatcher.shelves.wanting()
                    for shelf in shelves:
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

    def _note_announced(self) -> None:
        if self._nothing_announces():
            self._announced = max(self._announced, id_at(time.time() - ANNOUNCED_S))
            self._dispatcher.announced(self._announced)

    def _is_current(self, shelf: Shelf) -> bool:
        """Say whether a shelf is still in use: its carrier has not gone, or come anew."""
        return self._dispatcher.shelves.get((shelf.carrier_id, shelf.lane)) is shelf

    async def _start(self, shelf: Shelf) -> None:
        """Read a shelf's backlog as far as there is room."""
        shelf.unread = True
        while shelf.unread and shelf.room and self._is_current(shelf):
            at_most = min(START_PAGE_MAX, shelf.room)
            shelf.begin_refill(at_most)
            self._dispatcher.begin_refill()
            try:
                page = await self._backlog.fetch_shelf(
                    shelf.carrier_id, shelf.lane, shelf.cursor, at_most
                )
                if self._is_current(shelf):
                    self._restore(page.jobs)
                    shelf.end_start(Progress(page.last[1], page.complete))
            finally:
                self._dispatcher.end_refill()
        if shelf.unread and self._is_current(shelf):
            self._uncounted.append(shelf)

    async def _count_behind(self) -> None:
        """Learn whose messages wait past what a start has read; they are read from then on."""
        while self._uncounted:
            shelf = self._uncounted[0]
            if not self._is_current(shelf):
                self._uncounted.pop(0)
                continue
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
            await self._restore_gently(shelf, jobs)
        finally:
            shelf.end_refill(read)
            self._dispatcher.end_refill()

    async def _restore_gently(self, shelf: Shelf, jobs: Sequence[Job]) -> None:
        """Restore what was read for a shelf, and have the loop turn in between."""
        for begin in range(0, len(jobs), AT_ONCE_MAX):
            if begin:
                await asyncio.sleep(0)
            if not self._is_current(shelf):
                return
            some = jobs[begin : begin + AT_ONCE_MAX]
            self._restore(some)
            shelf.brought(len(some))

    def _restore(self, jobs: Sequence[Job]) -> None:
        self._dispatcher.restore(jobs, asyncio.get_running_loop().time(), time.time())

    async def _load_due(self) -> None:
        """Bring in what is due soon, page by page, as long as memory has room for it."""
        async with self._loading:
            while len(self._dispatcher) < self._dispatcher.held_max + DUE_HELD_MAX:
                if await self._load_due_page():
                    return

    async def _load_due_page(self) -> bool:
        """Bring in the next page; return whether it was the last one for now."""
        turns = self._dispatcher.foreign.turns
        self._dispatcher.begin_refill()
        self._reading_to = time.time() + DUE_AHEAD_S
        try:
            page = await self._backlog.fetch_due(
                self._carriers_here(), self._due_cursor, self._reading_to, DUE_PAGE_MAX
            )
            if turns != self._dispatcher.foreign.turns:
                return False  # it was read for other carriers
            self._restore(page.jobs)
            self._due_cursor = page.last
        finally:
            self._reading_to = 0.0
            self._dispatcher.end_refill()
        return page.complete

    # ── what other nodes have committed ──────────────────────────────────────────────────────

    def look_for_arrivals(self) -> None:
        """Look whether other nodes have committed messages for carriers that are here."""
        self._arrived.set()

    async def hear_arrivals(self) -> None:
        """Take in what other nodes commit for carriers that are here, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ARRIVALS_CHECK_S):
                    await self._arrived.wait()
            self._arrived.clear()
            try:
                while self._has_room and await self._take_arrivals():
                    pass
            except StoreUnavailable as error:
                log.warning("arrivals_unread", error=str(error))
                await asyncio.sleep(1.0)
                self._arrived.set()

    @property
    def _has_room(self) -> bool:
        return len(self._dispatcher) < self._dispatcher.held_max + DUE_HELD_MAX

    async def _take_arrivals(self) -> bool:
        """Take in the earliest arrivals; return whether there may be more.

        They are forgotten only once they are in memory, or known to its shelves.
        """
        here = self._carriers_here()
        arrivals = await fetch_arrivals(self._backlog.database, here)
        if not arrivals.ids:
            return False
        async with self._marking:
            began = self._dispatcher.foreign.departures
            self._dispatcher.begin_refill()
            try:
                jobs = await self._backlog.fetch_open(arrivals.account_ids, arrivals.message_ids)
                self._arrive(jobs, began)
            finally:
                self._dispatcher.end_refill()
            await forget_arrivals(
                self._backlog.database,
                arrivals.ids,
                [job.message for job in jobs],
                self._claim,
            )
        return True

    def _arrive(self, jobs: Sequence[Job], began: int) -> None:
        wall = time.time()
        now = asyncio.get_running_loop().time()
        coming = [
            job
            for job in jobs
            if job.message.send_at is None
            or self._comes_now(job.message, job.message.send_at, wall)
        ]
        self._ownership.arrive(coming, began, now, wall)
        self._on_arrived()

    # ── marks ────────────────────────────────────────────────────────────────────────────────

    async def _save_marks(self) -> None:
        """Store how far each queue is done, so that the next start need not look there."""
        async with self._marking:
            await self._marks.save_queue_marks(self._find_marks(), self._claim)

    def _find_marks(self) -> dict[tuple[CarrierId, Lane], int]:
        oldest = self._dispatcher.open_from()
        # What nobody was told of yet may be in the store as well, however old its id.
        margin_at = self._after(MARK_MARGIN_S) - MARK_MARGIN_S
        newest = min(id_at(margin_at), self._announced + 1)
        marks = {}
        for key, shelf in self._dispatcher.shelves.items():
            if not self._ownership.has(shelf.carrier_id):
                continue
            # What is in memory is open, and so may be what waits in the store alone.
            ceiling = shelf.open_from(newest)
            marks[key] = min(oldest.get(key, ceiling), ceiling)
        return marks
