"""From a fallback that is due to the octets of an email (RFC 5322).

The same email always has the same Message-ID and the same bytes but for its date, so that what is
sent a second time after a crash is recognised as one. Headers are built by the standard library,
which refuses line ends in them; what is rendered into them is made one line before.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage

import msgspec

from gateway.email_address import Mailbox
from gateway.fallback.decide import HTML_CHARS_MAX, SUBJECT_CHARS_MAX, TEXT_CHARS_MAX
from gateway.fallback.template import Templates
from gateway.fallback.terms import EmailContent, Trigger
from gateway.ids import accepted_at
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId

RENDERED_FACTOR = 4
"""Rendered, it may be so many times as long as a template may: variables bring their own texts."""

_POLICY = policy.SMTP.clone(cte_type="7bit")
"""CRLF, and nothing that a server without 8BITMIME could not pass on."""


class DueEmail(msgspec.Struct, frozen=True, kw_only=True):
    """One email that is due, with what is known of its message now."""

    account_id: AccountId
    account: str
    message_id: MessageId
    address: str
    content: EmailContent
    triggers: Trigger
    began_at: float
    """When it was due first; wall clock."""
    attempts: int
    """Tries that failed."""
    sender: str
    recipient: str
    country: str
    text: str
    client_ref: str
    tag: str
    callback_url: str
    segments: int
    status: Status
    error: str
    hooked: bool
    """Whether the account has a webhook."""


class Letter(msgspec.Struct, frozen=True):
    """An email as it leaves."""

    envelope_from: str
    """Where what can't be delivered is sent back to; may be empty."""
    to: str
    content: bytes


def build_letter(
    due: DueEmail,
    reason: Trigger,
    templates: Templates,
    mailbox: Mailbox,
    bounce_address: str,
    now: float,
) -> Letter:
    """Return the email; raises TemplateFault when it can't be written.

    `bounce_address` may hold `{id}`, which becomes the message's id.
    """
    values = {
        "id": str(due.message_id),
        "to": due.recipient,
        "sender": due.sender,
        "text": due.text,
        "status": due.status.wire,
        "reason": reason.wire,
        "error": due.error,
        "client_ref": due.client_ref,
        "tag": due.tag,
        "country": due.country,
        "account": due.account,
        "accepted_at": _write_time(accepted_at(due.message_id)),
    }
    message = EmailMessage(policy=_POLICY)
    content = due.content
    message["From"] = Address(mailbox.name, addr_spec=mailbox.address)
    message["To"] = Address(addr_spec=due.address)
    if content.reply_to:
        message["Reply-To"] = Address(addr_spec=content.reply_to)
    subject = templates.render(content.subject, values, RENDERED_FACTOR * SUBJECT_CHARS_MAX)
    message["Subject"] = one_line(subject)[:SUBJECT_CHARS_MAX]
    message["Date"] = datetime.fromtimestamp(int(now), UTC)
    message["Message-ID"] = f"<{due.message_id}.sms@{mailbox.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation answers, please
    _write_body(message, content, values, templates)
    return Letter(
        bounce_address.replace("{id}", str(due.message_id)), due.address, message.as_bytes()
    )


def one_line(text: str) -> str:
    """Return a text without line ends and control characters."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def _write_body(
    message: EmailMessage, content: EmailContent, values: dict[str, str], templates: Templates
) -> None:
    if content.text or not content.html:
        text = templates.render(content.text, values, RENDERED_FACTOR * TEXT_CHARS_MAX)
        message.set_content(_storable(text))
    if not content.html:
        return
    html = templates.render(content.html, values, RENDERED_FACTOR * HTML_CHARS_MAX, html=True)
    if content.text:
        message.add_alternative(_storable(html), subtype="html")
        # The library would draw one by lot.
        message.set_boundary(f"=_{values['id']}_")
    else:
        message.set_content(_storable(html), subtype="html")


def _storable(text: str) -> str:
    """Return a text that UTF-8 can write: a binary message's may hold half a surrogate pair."""
    return text.encode("utf-8", "replace").decode()


def _write_time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
