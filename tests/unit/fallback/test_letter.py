"""Emails as they leave: headers, bodies, and what must not get into either."""

from __future__ import annotations

import email
import email.policy
from email.message import EmailMessage
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.email_address import Mailbox
from gateway.fallback.letter import DueEmail, Letter, build_letter
from gateway.fallback.template import TemplateFault, Templates
from gateway.fallback.terms import ALL_TRIGGERS, EmailContent, Trigger
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId

SHOP = Mailbox("no-reply@shop.example", "Bücher & Co.")
NOW = 1_769_850_060.0


def write(due: Any, *, bounce: str = "bounce@shop.example", mailbox: Mailbox = SHOP) -> Letter:
    return build_letter(due, Trigger.UNDELIVERED, Templates(), mailbox, bounce, NOW)


def read(letter: Letter) -> EmailMessage:
    message = email.message_from_bytes(letter.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def test_a_text_becomes_an_email(make_due: Any) -> None:
    due = make_due(
        content=EmailContent("Code for {{ to }}", "{{ text }} ({{ reason }}, {{ error }})")
    )
    letter = write(due)
    message = read(letter)
    assert letter.to == "anna@example.com"
    assert letter.envelope_from == "bounce@shop.example"
    assert message["From"] == '"Bücher & Co." <no-reply@shop.example>'
    assert message["To"] == "anna@example.com"
    assert message["Reply-To"] is None
    assert message["Subject"] == "Code for 4917012345678"
    assert message["Date"] == "Sat, 31 Jan 2026 09:01:00 +0000"
    assert message["Message-ID"] == f"<{due.message_id}.sms@shop.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().strip() == "Your code is 1234 (undelivered, 001)"


def test_every_variable_is_there(make_due: Any) -> None:
    names = "id to sender client_ref tag country account text status reason error accepted_at"
    source = "|".join(f"{{{{ {name} }}}}" for name in names.split())
    due = make_due(content=EmailContent("s", source))
    assert read(write(due)).get_content().strip() == (
        f"{due.message_id}|4917012345678|Shop|order-7|otp|DE|shop|Your code is 1234|undelivered"
        "|undelivered|001|2026-01-31T09:00:00Z"
    )


def test_text_and_html_are_alternatives_and_html_is_escaped(make_due: Any) -> None:
    content = EmailContent("s", "{{ text }}", "<p>{{ text }}</p>", "help@shop.example")
    message = read(write(make_due(content=content, text="1 < 2 & ü")))
    assert message["Reply-To"] == "help@shop.example"
    text, html = message.iter_parts()
    assert isinstance(text, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert (text.get_content_type(), text.get_content().strip()) == ("text/plain", "1 < 2 & ü")
    assert html.get_content_type() == "text/html"
    assert html.get_content().strip() == "<p>1 &lt; 2 &amp; ü</p>"


def test_html_may_stand_alone(make_due: Any) -> None:
    message = read(write(make_due(content=EmailContent("s", "", "<b>x</b>"))))
    assert message.get_content_type() == "text/html"


def test_the_same_email_is_the_same_bytes(make_due: Any) -> None:
    content = EmailContent("s", "{{ text }}", "<p>{{ text }}</p>")
    assert write(make_due(content=content)).content == write(make_due(content=content)).content


def test_a_bounce_address_may_name_the_message(make_due: Any) -> None:
    due = make_due()
    letter = write(due, bounce="b+{id}@shop.example")
    assert letter.envelope_from == f"b+{due.message_id}@shop.example"


@pytest.mark.parametrize(
    "hostile", ["x\r\nBcc: eve@example.com", "x\nBcc: eve", "x\r\n\r\nbody", "\0"]
)
def test_nothing_gets_from_a_value_into_the_headers(make_due: Any, hostile: str) -> None:
    due = make_due(content=EmailContent("Re: {{ text }} {{ client_ref }}", "x"), text=hostile)
    letter = write(due)
    assert set(read(letter).keys()) == {
        *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"),
        *("Content-Type", "Content-Transfer-Encoding", "MIME-Version"),
    }
    head = letter.content.split(b"\r\n\r\n")[0]
    assert b"\r\nBcc" not in head
    assert b"\n" not in head.replace(b"\r\n", b"")


@given(st.text(max_size=200), st.text(max_size=200))
def test_whatever_a_message_says_the_email_is_well_formed(text: str, reference: str) -> None:
    due = hostile_due(
        text=text,
        client_ref=reference,
        content=EmailContent("{{ client_ref }} {{ text }}", "{{ text }}", "<p>{{ text }}</p>"),
    )
    letter = write(due)
    assert letter.content.isascii()
    assert max(len(line) for line in letter.content.split(b"\r\n")) <= 998
    assert b"\n" not in letter.content.replace(b"\r\n", b"")
    message = read(letter)
    assert message["To"] == "anna@example.com"
    assert message["Message-ID"] == f"<{due.message_id}.sms@shop.example>"


def hostile_due(**fields: Any) -> DueEmail:
    return DueEmail(
        account_id=AccountId(1),
        account="shop",
        message_id=MessageId(263546872340938752),
        address="anna@example.com",
        triggers=ALL_TRIGGERS,
        began_at=NOW,
        attempts=0,
        sender="Shop",
        recipient="4917012345678",
        country="DE",
        tag="",
        callback_url="",
        segments=1,
        status=Status.EXPIRED,
        error="",
        hooked=False,
        **fields,
    )


def test_what_becomes_too_long_is_refused(make_due: Any) -> None:
    content = EmailContent("s", "{{ text }}" * 100)
    with pytest.raises(TemplateFault):
        write(make_due(content=content, text="x" * 30_000))
