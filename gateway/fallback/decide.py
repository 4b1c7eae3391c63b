"""From what a message or its account's rule asks for to the fallback that is stored, or why not.

Everything that can be wrong with a fallback is found here, before the message costs anything.
"""

from __future__ import annotations

import msgspec

from gateway.email_address import BadAddress, parse_address
from gateway.errors import Rejected
from gateway.fallback.template import TemplateFault, Templates
from gateway.fallback.terms import ALL_TRIGGERS, TRIGGERS, EmailContent, EmailFallback, Trigger
from gateway.message import Message
from gateway.model import Account, EmailRequest, FallbackRequest

SUBJECT_CHARS_MAX = 255
TEXT_CHARS_MAX = 20_000
HTML_CHARS_MAX = 100_000
COMPILED_MAX = 20
"""Templates that one request may bring that were not seen lately, some 3 ms each at most."""
CHECKED_KEPT_MAX = 32
"""Requests remembered as good, some 120 KB each at most: those of one batch are looked at once."""

KNOWN_AT_ONCE = ("id", "to", "sender", "client_ref", "tag", "country", "account")
"""Variables of an address, which is settled when the message is taken in."""
VARIABLES = (*KNOWN_AT_ONCE, "text", "status", "reason", "error", "accepted_at")
"""Variables of a subject and a text, which are written when the email leaves."""

_FIELD = "fallback.email"


class Fallbacks:
    """Decides fallbacks by one set of settings."""

    def __init__(self, templates: Templates, *, available: bool, after_max_s: int) -> None:
        """`available`: whether there is a mail server at all."""
        self._templates = templates
        self._available = available
        self._after_max_s = after_max_s
        self._compiled_before = 0
        self._checked: dict[EmailRequest, None] = {}

    def begin_request(self) -> None:
        """Note that the messages that are decided from now on came together."""
        self._compiled_before = self._templates.compiled

    def decide(
        self, account: Account, request: FallbackRequest | None, message: Message
    ) -> EmailFallback | Rejected | None:
        """Return a message's fallback, None when it has none, or why it can't be what is asked.

        Without a request the account's rule applies; what a request leaves open, too.
        """
        if request is None:
            return self.by_rule(account, message)
        if request.email is None:
            return None
        try:
            if not self._available:
                raise _refusal("unavailable", "this gateway has no mail server", "")
            wanted = _complete(request.email, account.fallback)
            self.check(wanted)
            return self._build(wanted, account, message)
        except Rejected as rejected:
            return rejected

    def by_rule(self, account: Account, message: Message) -> EmailFallback | None:
        """Return the fallback that the account's rule gives a message.

        None too where the rule finds no address in it: the message is good without.
        """
        rule = account.fallback
        if rule is None or not rule.to or not self._available:
            return None
        try:
            return self._build(rule, account, message)
        except Rejected:
            return None

    def check(self, wanted: EmailRequest, *, is_rule: bool = False) -> None:
        """Raise Rejected unless it is complete and can be used; a rule may lack the address."""
        if wanted in self._checked and wanted.to:
            return
        self._check(wanted, is_rule=is_rule)
        self._checked[wanted] = None
        if len(self._checked) > CHECKED_KEPT_MAX:
            del self._checked[next(iter(self._checked))]

    def _check(self, wanted: EmailRequest, *, is_rule: bool) -> None:
        if not (wanted.to or is_rule):
            raise _refusal("to_missing", "an email needs an address", "to")
        if not wanted.subject:
            raise _refusal("subject_missing", "an email needs a subject", "subject")
        if not (wanted.text or wanted.html):
            raise _refusal("text_missing", "an email needs a text, as text or as html", "text")
        self._check_template(wanted.to, "to", SUBJECT_CHARS_MAX)
        self._check_template(wanted.subject, "subject", SUBJECT_CHARS_MAX)
        self._check_template(wanted.text, "text", TEXT_CHARS_MAX)
        self._check_template(wanted.html, "html", HTML_CHARS_MAX)
        if not wanted.subject.isprintable():
            raise _refusal("subject_not_usable", "a subject is one line", "subject")
        if wanted.reply_to:
            _read_address(wanted.reply_to, "reply_to")
        triggers = _read_triggers(wanted.on)
        if wanted.after_s is not None:
            if not 1 <= wanted.after_s <= self._after_max_s:
                raise _refusal(
                    "after_out_of_range", f"after_s is 1 to {self._after_max_s} seconds", "after_s"
                )
            if not triggers & Trigger.NO_RECEIPT:
                raise _refusal(
                    "after_without_no_receipt", "after_s says when no_receipt is certain", "after_s"
                )

    def _check_template(self, source: str | None, field: str, chars_max: int) -> None:
        if not source:
            return
        if len(source) > chars_max:
            raise _refusal(
                f"{field}_too_long", f"{field} has at most {chars_max} characters", field
            )
        if self._templates.compiled - self._compiled_before >= COMPILED_MAX:
            raise _refusal(
                "too_many_templates",
                f"one request brings at most {COMPILED_MAX} different templates",
                field,
            )
        variables = KNOWN_AT_ONCE if field == "to" else VARIABLES
        try:
            self._templates.check(source, variables, html=field == "html")
        except TemplateFault as fault:
            raise _refusal("template_not_usable", f"{field}: {fault}", field) from None

    def _build(self, wanted: EmailRequest, account: Account, message: Message) -> EmailFallback:
        triggers = _read_triggers(wanted.on)
        due_at = None
        if wanted.after_s is not None:
            leaves_at = message.accepted_at if message.send_at is None else message.send_at
            due_at = leaves_at + wanted.after_s
        return EmailFallback(
            account.id,
            message.id,
            self._find_address(wanted.to or "", account, message),
            EmailContent(
                wanted.subject or "",
                wanted.text or "",
                wanted.html or "",
                _read_address(wanted.reply_to, "reply_to") if wanted.reply_to else "",
            ),
            triggers,
            due_at,
        )

    def _find_address(self, source: str, account: Account, message: Message) -> str:
        try:
            written = self._templates.render(
                source,
                {
                    "id": str(message.id),
                    "to": message.recipient,
                    "sender": message.sender,
                    "client_ref": message.client_ref,
                    "tag": message.tag,
                    "country": message.country,
                    "account": account.name,
                },
                SUBJECT_CHARS_MAX,
            )
        except TemplateFault as fault:
            raise _refusal("template_not_usable", f"to: {fault}", "to") from None
        return _read_address(written, "to")


def _complete(asked: EmailRequest, rule: EmailRequest | None) -> EmailRequest:
    """Return a request with its account's rule where it says nothing itself."""
    if rule is None:
        return asked
    own_body = asked.text is not None or asked.html is not None
    own_terms = asked.on is not None or asked.after_s is not None
    return msgspec.structs.replace(
        asked,
        to=asked.to if asked.to is not None else rule.to,
        subject=asked.subject if asked.subject is not None else rule.subject,
        text=asked.text if own_body else rule.text,
        html=asked.html if own_body else rule.html,
        on=asked.on if own_terms else rule.on,
        after_s=asked.after_s if own_terms else rule.after_s,
        reply_to=asked.reply_to if asked.reply_to is not None else rule.reply_to,
    )


def _read_triggers(names: tuple[str, ...] | None) -> Trigger:
    if names is None:
        return ALL_TRIGGERS
    triggers = Trigger(0)
    for name in names:
        if name not in TRIGGERS:
            raise _refusal("on_unknown", f"on is a list of {', '.join(TRIGGERS)}", "on")
        triggers |= TRIGGERS[name]
    if not triggers:
        raise _refusal("on_empty", "without any of on there would never be an email", "on")
    return triggers


def _read_address(text: str, field: str) -> str:
    address = parse_address(text)
    if isinstance(address, BadAddress):
        raise _refusal(f"{field}_not_usable", f"the address {address.detail}", field)
    return address


def _refusal(code: str, detail: str, field: str) -> Rejected:
    return Rejected(f"fallback_{code}", detail, field=f"{_FIELD}.{field}" if field else _FIELD)
