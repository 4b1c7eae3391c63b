"""What a customer's endpoint is told of an email: an event beside those of its message. Pure."""

from __future__ import annotations

import msgspec

from gateway.fallback.letter import DueEmail
from gateway.fallback.terms import FallbackState, Trigger
from gateway.outcomes import Notice


class _EmailBody(msgspec.Struct, frozen=True, kw_only=True):
    to: str
    reason: str
    reply: str


class _NoticeBody(msgspec.Struct, frozen=True, kw_only=True):
    """As the events of messages, and `email`."""

    id: str
    type: str
    message_id: str
    status: str
    to: str
    sender: str = msgspec.field(name="from")
    segments: int
    client_ref: str
    tag: str
    error: str
    at: float
    email: _EmailBody


def build_email_notice(
    due: DueEmail, state: FallbackState, reason: Trigger, reply: str, at: float
) -> Notice | None:
    """Return the outbox row that tells of an email that was sent or failed; None for nobody."""
    if not (due.hooked or due.callback_url):
        return None
    body = _NoticeBody(
        id=f"{due.message_id}-email_{state.wire}",
        type=f"message.email_{state.wire}",
        message_id=str(due.message_id),
        status=due.status.wire,
        to=due.recipient,
        sender=due.sender,
        segments=due.segments,
        client_ref=due.client_ref,
        tag=due.tag,
        error=due.error,
        at=at,
        email=_EmailBody(to=due.address, reason=reason.wire, reply=reply),
    )
    text = msgspec.json.encode(body).decode()
    return Notice(due.account_id, due.message_id, due.callback_url, text, at)
