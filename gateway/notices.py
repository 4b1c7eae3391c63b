"""What an account's endpoint is told of a message, in this gateway's own words.

Not here: Kannel's and Jasmin's words (`peers/callbacks.py`), of emails (`fallback/notice.py`).
"""

from __future__ import annotations

import msgspec

from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Notice, Party


class _NoticeBody(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a customer's endpoint reads it."""

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


def build_notice(
    account_id: AccountId,
    message_id: MessageId,
    party: Party,
    status: Status,
    error: str,
    at: float,
) -> Notice:
    """Return the outbox row that tells a customer of a message's new status.

    The event's id is made of the message and the status: the same change told twice has one id.
    """
    body = _NoticeBody(
        id=f"{message_id}-{status.wire}",
        type=f"message.{status.wire}",
        message_id=str(message_id),
        status=status.wire,
        to=party.recipient,
        sender=party.sender,
        segments=party.segments,
        client_ref=party.client_ref,
        tag=party.tag,
        error=error,
        at=at,
    )
    text = msgspec.json.encode(body).decode()
    return Notice(account_id, message_id, party.callback_url, text, at)
