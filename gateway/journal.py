"""What happens to segments, as events: the only one who changes the state of a segment that has not
got its receipt, and who says that a message closes.

Not here: messages while they wait (`jobs.py`), which of them leaves when (`dispatch.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gateway.jobs import Job, Submission
from gateway.lifecycle import SEGMENT_AFTER, EventKind, Status
from gateway.message import Message
from gateway.model import CarrierId, Micros
from gateway.outcomes import Event

PART_FAILED = "another part failed"
CostOf = Callable[[Message, CarrierId, float], Micros | None]
"""Says what a carrier charges for a segment of a message at a time of day; None: nobody knows."""


class Journal:
    """Turns what happens to segments into events: their states, the money, and who closes.

    Each segment is posted or voided once, and the event that ends a message's last one closes it.
    """

    def __init__(self, record: Callable[[Event], None], cost_of: CostOf | None = None) -> None:
        self._record = record
        self._cost_of = cost_of

    def submitted(self, submission: Submission, carrier_message_id: str, wall: float) -> None:
        """Record that the carrier took what was submitted; the last event may close."""
        job, indexes = submission.job, submission.indexes
        if wall <= job.waited_at:  # the clock was put back since
            wall = math.nextafter(job.waited_at, math.inf)
        done = not (job.in_flight or job.unsent)
        job.closed = job.closed or done
        cost_micros = None
        if self._cost_of is not None:
            cost_micros = self._cost_of(job.message, submission.carrier_id, wall)
        for index in indexes:
            job.states[index] = Status.SUBMITTED
            self._record(
                Event(
                    job.message.id,
                    job.message.account_id,
                    wall,
                    EventKind.SUBMITTED,
                    index + 1,
                    Status.SUBMITTED,
                    job.status(),
                    done and index == indexes[-1],
                    submission.carrier_id,
                    carrier_message_id,
                    posted_micros=job.segment_price_micros,
                    cost_micros=cost_micros,
                )
            )

    def waits(
        self,
        submission: Submission,
        kind: EventKind,
        wall: float,
        code: int | None = None,
        error: str | None = None,
    ) -> None:
        """Record an event that leaves what was submitted as it was: waiting.

        It is later than the job's last such event, though the clock may have been put back.
        """
        job = submission.job
        wall = job.waited_at = max(wall, math.nextafter(job.waited_at, math.inf))
        for index in submission.indexes:
            self._record(
                Event(
                    job.message.id,
                    job.message.account_id,
                    wall,
                    kind,
                    index + 1,
                    Status.ACCEPTED,
                    job.status(),
                    False,
                    submission.carrier_id,
                    None,
                    code,
                    error,
                )
            )

    def give_up(
        self,
        submission: Submission,
        wall: float,
        code: int | None = None,
        error: str | None = None,
    ) -> None:
        """Record what was submitted as refused, and with it what has not left: a text with a hole
        is no text."""
        job = submission.job
        dropped, job.unsent = job.unsent, []
        job.closed = True
        kind, carrier_id = EventKind.REFUSED, submission.carrier_id
        self.ended(job, submission.indexes, kind, wall, carrier_id, code, error, more=bool(dropped))
        self.ended(job, dropped, kind, wall, carrier_id, error=PART_FAILED)

    def end_rest(self, job: Job, kind: EventKind, wall: float, error: str | None = None) -> None:
        """Record the end of everything of a message that has not left."""
        dropped, job.unsent = job.unsent, []
        job.closed = True
        self.ended(job, dropped, kind, wall, error=error)

    def ended(
        self,
        job: Job,
        indexes: Sequence[int],
        kind: EventKind,
        wall: float,
        carrier_id: CarrierId | None = None,
        code: int | None = None,
        error: str | None = None,
        *,
        more: bool = False,
    ) -> None:
        """Record the end of segments that no carrier took; the last one's event, unless `more`
        follow, may close."""
        after = SEGMENT_AFTER[kind]
        done = not (job.unsent or job.in_flight)
        job.closed = job.closed or done
        for place, index in enumerate(indexes, start=1):
            job.states[index] = after
            self._record(
                Event(
                    job.message.id,
                    job.message.account_id,
                    wall,
                    kind,
                    index + 1,
                    after,
                    job.status(),
                    done and not more and place == len(indexes),
                    carrier_id,
                    None,
                    code,
                    error,
                    voided_micros=job.segment_price_micros,
                )
            )
