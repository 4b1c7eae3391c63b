"""Which waiting messages' validity ends next, found without looking at all of them.

Nearly all messages leave long before their validity ends, days from now. So only those that end
within a minute or so stand in a heap, and twice a minute one look at everything brings the next
ones in: a message that comes and goes costs one comparison.

Not here: what ending means (`dispatch.py`); messages that are in the store alone end when they
are read.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterable
from typing import Final

from gateway.jobs import Job

AHEAD_S: Final = 60.0
"""How far ahead the heap knows all ends: two looks of 5 ms at 50,000 messages a minute."""
IN_FLIGHT_S: Final = 1.0
"""When a message is looked at again of which a part was in flight when its validity ended."""


class Deadlines:
    """The ends that come next. `wall` is the time of day, as in `Message.expires_at`."""

    __slots__ = ("_heap", "_ticket", "horizon")

    def __init__(self) -> None:
        self.horizon = -math.inf
        """Every known job whose validity ends by then has to be in the heap: `add` it."""
        self._heap: list[tuple[float, int, Job]] = []
        self._ticket = itertools.count()

    def add(self, job: Job) -> None:
        """Take in a job whose validity ends by the horizon."""
        heapq.heappush(self._heap, (job.message.expires_at, next(self._ticket), job))

    def take_overdue(self, jobs: Iterable[Job], wall: float) -> list[Job]:
        """Return the jobs of which nothing is in flight and whose validity has ended.

        `jobs` are all that are known; they are looked at when the horizon has come near.
        """
        if self.horizon - wall < AHEAD_S / 2:
            self._look_ahead(jobs, wall + AHEAD_S)
        overdue: list[Job] = []
        in_flight: list[Job] = []
        heap = self._heap
        while heap and heap[0][0] <= wall:
            job = heapq.heappop(heap)[2]
            if not job.closed:
                (in_flight if job.in_flight else overdue).append(job)
        for job in in_flight:
            heapq.heappush(heap, (wall + IN_FLIGHT_S, next(self._ticket), job))
        return overdue

    def _look_ahead(self, jobs: Iterable[Job], to: float) -> None:
        known_to, self.horizon = self.horizon, to
        for job in jobs:
            if known_to < job.message.expires_at <= to:
                self.add(job)
