"""SMPP's message states: number, word in a receipt, and what each means to a segment.

SMPP 3.4 §5.2.28 (0 and 9 are 5.0's). Two meanings differ from the specification because the
field does: ACCEPTED is not final (carriers say it on the way to DELIVERED), and UNKNOWN is final
(nothing better follows; should it, `lifecycle.settle_segment` takes it).
"""

from __future__ import annotations

import enum

from gateway.lifecycle import Status


class MessageState(enum.IntEnum):
    """The value of the `message_state` TLV."""

    SCHEDULED = 0
    ENROUTE = 1
    DELIVERED = 2
    EXPIRED = 3
    DELETED = 4
    UNDELIVERABLE = 5
    ACCEPTED = 6
    UNKNOWN = 7
    REJECTED = 8
    SKIPPED = 9


# The word in a receipt's `stat`. 5.0's two additions have no short form that carriers agree on.
WORD_OF: dict[MessageState, str] = {
    MessageState.SCHEDULED: "SCHEDULED",
    MessageState.ENROUTE: "ENROUTE",
    MessageState.DELIVERED: "DELIVRD",
    MessageState.EXPIRED: "EXPIRED",
    MessageState.DELETED: "DELETED",
    MessageState.UNDELIVERABLE: "UNDELIV",
    MessageState.ACCEPTED: "ACCEPTD",
    MessageState.UNKNOWN: "UNKNOWN",
    MessageState.REJECTED: "REJECTD",
    MessageState.SKIPPED: "SKIPPED",
}

# Every word that is read: the seven-letter ones, their full forms, and what else carriers say.
STATE_OF_WORD: dict[str, MessageState] = {
    **{state.name: state for state in MessageState},
    **{word: state for state, word in WORD_OF.items()},
    "UNDELIVERED": MessageState.UNDELIVERABLE,
    "FAILED": MessageState.UNDELIVERABLE,
}

STATUS_OF: dict[MessageState, Status] = {
    MessageState.SCHEDULED: Status.SUBMITTED,
    MessageState.ENROUTE: Status.SUBMITTED,
    MessageState.DELIVERED: Status.DELIVERED,
    MessageState.EXPIRED: Status.EXPIRED,
    MessageState.DELETED: Status.DELETED,
    MessageState.UNDELIVERABLE: Status.UNDELIVERED,
    MessageState.ACCEPTED: Status.SUBMITTED,
    MessageState.UNKNOWN: Status.UNKNOWN,
    MessageState.REJECTED: Status.REJECTED,
    MessageState.SKIPPED: Status.UNDELIVERED,
}

# The other way round: what a status is called towards SMPP.
STATE_OF: dict[Status, MessageState] = {
    Status.ACCEPTED: MessageState.ENROUTE,
    Status.SENDING: MessageState.ENROUTE,
    Status.SUBMITTED: MessageState.ENROUTE,
    Status.DELIVERED: MessageState.DELIVERED,
    Status.UNDELIVERED: MessageState.UNDELIVERABLE,
    Status.EXPIRED: MessageState.EXPIRED,
    Status.REJECTED: MessageState.REJECTED,
    Status.DELETED: MessageState.DELETED,
    Status.CANCELED: MessageState.DELETED,
    Status.UNKNOWN: MessageState.UNKNOWN,
}
