"""`gateway account fallback …`: the email that an account's messages fall back to.

And `gateway email test`: whether the mail server takes one.
"""

from __future__ import annotations

import asyncio
import sys
import time
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

import click
import msgspec

from gateway.cli.output import print_fields, print_json, print_line, print_note
from gateway.cli.session import Session, get_account, pass_session
from gateway.cli.values import config_option, examples, json_option
from gateway.config import Email
from gateway.email_address import BadAddress, Mailbox, parse_address, parse_mailbox
from gateway.errors import ConfigError, Rejected
from gateway.fallback.decide import Fallbacks
from gateway.fallback.letter import Letter
from gateway.fallback.outcome import Sent, SmtpOutcome
from gateway.fallback.smtp import SmtpPool
from gateway.fallback.template import Templates
from gateway.fallback.terms import TRIGGERS
from gateway.model import EmailRequest
from gateway.store.fallbacks import save_rule
from gateway.store.postgres import Database

SHOWN_CHARS = 200
_TEXT_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def fallback() -> None:
    """Fallbacks: the email for an account's messages that don't reach their phone."""


@fallback.command(
    name="set",
    epilog=examples(
        "gateway account fallback set shop --subject 'Your code' --text '{{ text }}'",
        "gateway account fallback set shop --to '{{ client_ref }}' --after-s 120",
        "gateway account fallback set shop --html-file mail.html --on undelivered --on rejected",
    ),
)
@click.argument("name")
@click.option("--to", help="The address, as a template; without it each message has to name one.")
@click.option("--subject", help="A template.")
@click.option("--text", help="A template.")
@click.option("--text-file", type=_TEXT_FILE, help="The same, from a file.")
@click.option("--html-file", type=_TEXT_FILE, help="A template of HTML, from a file.")
@click.option("--after-s", type=int, help="Also if not delivered after so many seconds; 0: no.")
@click.option(
    "--on", multiple=True, type=click.Choice([*TRIGGERS]), help="Only for this; name each."
)
@click.option("--reply-to", help="Where answers go.")
@json_option
@config_option
@pass_session
def set_rule(
    session: Session,
    /,
    name: str,
    text_file: Path | None,
    html_file: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Set the rule for messages that name no fallback of their own, or change parts of it.

    An empty text takes a part away. A running gateway sees it within a few seconds.
    """
    given = {option: value for option, value in options.items() if value not in (None, ())}
    if text_file is not None:
        given["text"] = text_file.read_text(encoding="utf-8")
    if html_file is not None:
        given["html"] = html_file.read_text(encoding="utf-8")
    if not given:
        raise click.UsageError("nothing to set: name at least one option")
    changes = {option: value or None for option, value in given.items()}
    after_max_s = session.config.messages.validity_max_s

    async def work(database: Database) -> EmailRequest:
        account = (await get_account(database, name)).account
        rule = msgspec.structs.replace(account.fallback or EmailRequest(), **changes)
        fallbacks = Fallbacks(Templates(), available=True, after_max_s=after_max_s)
        fallbacks.check(rule, is_rule=True)
        await save_rule(database, account.id, rule)
        return rule

    rule = session.run(work)
    _print(name, rule, as_json)
    if not session.config.email.host:
        print_note("These settings name no mail server ([email] host): nothing will be sent.")


@fallback.command(epilog=examples("gateway account fallback show shop"))
@click.argument("name")
@json_option
@config_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Show an account's rule."""

    async def work(database: Database) -> EmailRequest:
        rule = (await get_account(database, name)).account.fallback
        if rule is None:
            raise _no_rule(name)
        return rule

    _print(name, session.run(work), as_json)


@fallback.command(epilog=examples("gateway account fallback remove shop"))
@click.argument("name")
@json_option
@config_option
@pass_session
def remove(session: Session, name: str, as_json: bool) -> None:
    """Take an account's rule away. Messages that were taken in under it keep their fallback."""

    async def work(database: Database) -> None:
        account = (await get_account(database, name)).account
        if account.fallback is None:
            raise _no_rule(name)
        await save_rule(database, account.id, None)

    session.run(work)
    if as_json:
        print_json({"account": name, "removed": True})
    else:
        print_line(f"{name} has no fallback any more")


@click.group()
def email() -> None:
    """Email: try the mail server that messages fall back to."""


@email.command(name="test", epilog=examples("gateway email test ops@example.com"))
@click.argument("address")
@json_option
@config_option
@pass_session
def send_test(session: Session, address: str, as_json: bool) -> None:
    """Send one email by the settings of [email], and say what the server answered."""
    settings = session.config.email
    if not settings.host:
        raise ConfigError("email.host", "no mail server is named")
    to, mailbox = parse_address(address), parse_mailbox(settings.sender)
    if isinstance(to, BadAddress):
        raise Rejected("address_not_usable", f"{address} {to.detail}", field="address")
    assert isinstance(mailbox, Mailbox), "checked when the settings were read"
    outcome = asyncio.run(_send(settings, _write_test(settings, mailbox, to), mailbox.domain))
    sent = isinstance(outcome, Sent)
    if as_json:
        print_json({"sent": sent, "reply": outcome.reply})
    else:
        print_line(f"{'sent' if sent else 'not sent'}: {outcome.reply}")
    sys.exit(0 if sent else 1)


async def _send(settings: Email, letter: Letter, domain: str) -> SmtpOutcome:
    pool = SmtpPool(settings, settings.hello_name or domain)
    try:
        return await pool.send(letter)
    finally:
        await pool.close_idle(all_of_them=True)


def _write_test(settings: Email, mailbox: Mailbox, to: str) -> Letter:
    message = EmailMessage(policy=policy.SMTP)
    message["From"] = Address(mailbox.name, addr_spec=mailbox.address)
    message["To"] = Address(addr_spec=to)
    message["Subject"] = "Test of the SMS gateway"
    message["Date"] = formatdate()
    message["Message-ID"] = f"<{time.time_ns()}.test@{mailbox.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content("The SMS gateway can send email fallbacks.")
    bounces = settings.bounce_address.replace("{id}", "0") or mailbox.address
    return Letter(bounces, to, message.as_bytes())


def _no_rule(name: str) -> Rejected:
    return Rejected("fallback_unknown", f"{name} has no fallback", field="account", status=404)


def _print(name: str, rule: EmailRequest, as_json: bool) -> None:
    if as_json:
        print_json({"account": name, "email": rule})
        return
    print_fields(
        [
            ("account", name),
            ("to", rule.to or "as each message says"),
            ("subject", rule.subject),
            ("text", _shorten(rule.text)),
            ("html", _shorten(rule.html)),
            ("reply to", rule.reply_to),
            ("on", ", ".join(rule.on or TRIGGERS)),
            ("not delivered after", f"{rule.after_s} s" if rule.after_s else ""),
        ]
    )


def _shorten(template: str | None) -> str:
    if not template or len(template) <= SHOWN_CHARS:
        return template or ""
    return template[:SHOWN_CHARS] + "…"
