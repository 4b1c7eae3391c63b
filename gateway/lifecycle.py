"""The one table of what may become of a message.

A message is a row of segments. Each segment is WAITING until a carrier answers for it, then
SUBMITTED until its receipt, then final. The message's status is computed from its segments and
from nothing else (`settling.py`), so that a long message has one state and each part keeps its own.

    accepted ──► sending ──► submitted ──► delivered | undelivered | expired | rejected
       │            │            │         | deleted | unknown
       └────────────┴── expired | rejected | canceled

`scheduled` is what a reader sees of an accepted message whose `send_at` is still to come.
"""

from __future__ import annotations

import enum


class Status(enum.IntEnum):
    """A message's (or one segment's) state. The number is what the store keeps."""

    ACCEPTED = 1
    SENDING = 2
    SUBMITTED = 3
    DELIVERED = 10
    UNDELIVERED = 11
    EXPIRED = 12
    REJECTED = 13
    DELETED = 14
    CANCELED = 15
    UNKNOWN = 16

    # Set once a member: properties of an enumeration cost ten times as much, a message three times.
    wire: str
    final: bool
    rank: int
    """Of two events' states the one of higher rank holds, whatever their times say, as clocks are
    set: what is reached later on every way that segments can go. As `status_rank` in the store.
    """

    def __init__(self, value: int) -> None:
        self.wire = self._name_.lower()
        self.final = value >= 10


STATUSES = {s.wire: s for s in Status}

SEVERITY = (
    Status.CANCELED,
    Status.REJECTED,
    Status.UNDELIVERED,
    Status.EXPIRED,
    Status.DELETED,
    Status.UNKNOWN,
    Status.DELIVERED,
)
"""The worst segment names the message: a handset shows nothing of a text with a part missing."""

_REACHED_LAST = (*(s for s in SEVERITY if s is not Status.UNKNOWN), Status.UNKNOWN)
for _status in Status:
    _status.rank = 20 - _REACHED_LAST.index(_status) if _status.final else _status.value


class EventKind(enum.IntEnum):
    """What can happen to a message after its acceptance; each is one appended row."""

    SUBMITTED = 1  # the carrier took this segment
    REFUSED = 2  # the carrier refused it for good
    RETRY = 3  # refused for now, or lost with its bind: it goes again
    RECEIPT = 4  # a delivery receipt for this segment
    EXPIRED = 5  # its validity ended while it waited here
    CANCELED = 6  # the account withdrew it before it left
    UNROUTABLE = 7  # every route was tried or none is left
    HELD = 8  # lost with its bind on a carrier whose policy is "hold": nobody knows
    NO_RECEIPT = 9  # the carrier never said what became of it
    LEAVING = 10  # about to be sent on a carrier whose policy is "hold": not again after a crash
    REFUND = 11  # the segment's price is given back; it and the message stay as they are

    @property
    def wire(self) -> str:
        return self.name.lower()


# A segment's state after an event that carries no state of its own.
SEGMENT_AFTER: dict[EventKind, Status] = {
    EventKind.SUBMITTED: Status.SUBMITTED,
    EventKind.REFUSED: Status.REJECTED,
    EventKind.RETRY: Status.ACCEPTED,
    EventKind.EXPIRED: Status.EXPIRED,
    EventKind.CANCELED: Status.CANCELED,
    EventKind.UNROUTABLE: Status.REJECTED,
    EventKind.HELD: Status.UNKNOWN,
    EventKind.NO_RECEIPT: Status.UNKNOWN,
    EventKind.LEAVING: Status.ACCEPTED,
}
