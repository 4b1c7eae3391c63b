"""The values of a fallback: what causes an email, what it consists of, what became of it.

Pure. Not here: from a request to these (`decide.py`), the rows (`gateway/store/fallbacks.py`).
"""

from __future__ import annotations

import enum
import functools
import hashlib

import msgspec

from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId


class Trigger(enum.IntFlag):
    """What may cause the email; the store keeps the numbers, also added up."""

    UNDELIVERED = 1
    """The carrier could not deliver it, or deleted it."""
    EXPIRED = 2
    REJECTED = 4
    """No carrier took it, or one said so in its receipt."""
    NO_RECEIPT = 8
    """Nobody knows: `after_s` is over, or it was given up as unknown."""

    @property
    def wire(self) -> str:
        return (self.name or "").lower()


TRIGGERS = {trigger.wire: trigger for trigger in Trigger}
ALL_TRIGGERS = Trigger(sum(Trigger))

TRIGGER_OF: dict[Status, Trigger] = {
    Status.UNDELIVERED: Trigger.UNDELIVERED,
    Status.DELETED: Trigger.UNDELIVERED,
    Status.EXPIRED: Trigger.EXPIRED,
    Status.REJECTED: Trigger.REJECTED,
    Status.UNKNOWN: Trigger.NO_RECEIPT,
}
"""Final statuses that may cause an email; the others are as good an end as there is."""


class FallbackState(enum.IntEnum):
    """Where an email stands. The number is what the store keeps."""

    WAITING = 0
    SENT = 1
    FAILED = 2
    NOT_NEEDED = 3

    @property
    def wire(self) -> str:
        return self.name.lower()


class EmailContent(msgspec.Struct, frozen=True):
    """What an email says: templates, as they were submitted. One of `text` and `html`, or both."""

    subject: str
    text: str = ""
    html: str = ""
    reply_to: str = ""


@functools.lru_cache(maxsize=32)
def identify_content(content: EmailContent, day: int) -> bytes:
    """Return 16 octets that stand for exactly this content, stored on this day.

    With the day in it, what is old can be forgotten without asking who still uses it.
    """
    written = msgspec.json.encode((day, content))
    return hashlib.blake2b(written, digest_size=16).digest()


class EmailFallback(msgspec.Struct, frozen=True):
    """One message's fallback as it is stored beside it."""

    account_id: AccountId
    message_id: MessageId
    address: str
    content: EmailContent
    triggers: Trigger
    due_at: float | None = None
    """When no final status by then is reason enough; None: only an event is."""


class NotNeeded(msgspec.Struct, frozen=True):
    """The message ended otherwise than its fallback is for."""


def decide_need(status: Status, triggers: Trigger) -> Trigger | NotNeeded:
    """Say why an email that has become due is to be sent, by what the message's status is now.

    Whatever made it due: a receipt may have changed the status since.
    """
    if not status.final:
        reason = Trigger.NO_RECEIPT  # only a time makes an email due before the message's end
    elif status in TRIGGER_OF:
        reason = TRIGGER_OF[status]
    else:
        return NotNeeded()
    return reason if reason & triggers else NotNeeded()
