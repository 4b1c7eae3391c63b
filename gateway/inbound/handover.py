"""What is written when a message from a phone is whole, and what its owner is told.

Not here: when that is (`book.py`), the statement (`gateway/store/inbound.py`).
"""

from __future__ import annotations

import msgspec

from gateway.inbound.parts import InboundPart
from gateway.outcomes import Delivery, InboundMessage, Notice

RECEIVED = "message.received"


class Handover(msgspec.Struct, frozen=True, gc=False):
    """Everything that one transaction writes of a message: once, and all of it or nothing."""

    message: InboundMessage
    parts: tuple[InboundPart, ...] = ()
    """What was kept while it was not whole; empty for a message that came at once."""
    notices: tuple[Notice, ...] = ()
    deliveries: tuple[Delivery, ...] = ()


class _EventBody(msgspec.Struct, frozen=True, kw_only=True):
    """The event as a customer's endpoint reads it; times are epoch seconds, as in every event."""

    id: str
    type: str
    message_id: str
    sender: str = msgspec.field(name="from")
    to: str
    text: str
    data: str
    udh: str
    encoding: str
    segments: int
    partial: bool
    missing: tuple[int, ...]
    carrier: str
    received_at: float
    """When its first part came."""
    at: float
    """When it was whole, or given up as partial."""


def build_event(message: InboundMessage, carrier: str, at: float) -> Notice:
    """Return the outbox row that tells an account of a message to one of its numbers.

    `data` has all octets in hex where the text can't say them.
    """
    body = _EventBody(
        id=f"{message.id}-received",
        type=RECEIVED,
        message_id=str(message.id),
        sender=message.sender,
        to=message.recipient,
        text=message.body,
        data=visible_data(message.exact, message.content),
        udh=message.udh.hex(),
        encoding=message.encoding,
        segments=message.segments,
        partial=bool(message.missing),
        missing=message.missing,
        carrier=carrier,
        received_at=message.received_at,
        at=at,
    )
    text = msgspec.json.encode(body).decode()
    return Notice(message.account_id, message.id, "", text, at)


def visible_data(exact: bool, content: bytes) -> str:
    """Return the octets in hex, for whom the text does not say them all."""
    return "" if exact else content.hex()
