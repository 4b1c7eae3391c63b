"""Fallbacks as they are asked for: complete, merged with a rule, or refused by field."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.errors import Rejected
from gateway.fallback.decide import (
    COMPILED_MAX,
    HTML_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    TEXT_CHARS_MAX,
    Fallbacks,
)
from gateway.fallback.template import Templates
from gateway.fallback.terms import ALL_TRIGGERS, EmailContent, EmailFallback, Trigger
from gateway.model import Account, EmailRequest, FallbackRequest

RULE = EmailRequest(
    to="{{ client_ref }}",
    subject="We could not reach you",
    html="<p>{{ text }}</p>",
    text="{{ text }}",
    on=("undelivered",),
    reply_to="help@shop.example",
)


@pytest.fixture
def fallbacks() -> Fallbacks:
    return Fallbacks(Templates(), available=True, after_max_s=604_800)


def asked(**fields: Any) -> FallbackRequest:
    given = {"to": "anna@Example.com", "subject": "Hello", "text": "{{ text }}", **fields}
    return FallbackRequest(email=EmailRequest(**given))


def with_rule(account: Account, rule: EmailRequest | None = RULE) -> Account:
    return msgspec.structs.replace(account, fallback=rule)


def decided(fallback: EmailFallback | Rejected | None) -> EmailFallback:
    assert isinstance(fallback, EmailFallback), fallback
    return fallback


def test_a_request_becomes_what_is_stored(
    fallbacks: Fallbacks, account: Account, make_message: Any
) -> None:
    message = make_message()
    request = asked(html="<p>{{ text }}</p>", reply_to="Help@Shop.example")
    assert fallbacks.decide(account, request, message) == EmailFallback(
        account.id,
        message.id,
        "anna@example.com",
        EmailContent("Hello", "{{ text }}", "<p>{{ text }}</p>", "Help@shop.example"),
        ALL_TRIGGERS,
        None,
    )


@pytest.mark.parametrize(("send_at", "leaves_s"), [(None, 0), (3_600, 3_600)])
def test_after_s_counts_from_when_the_message_may_leave(
    fallbacks: Fallbacks,
    account: Account,
    make_message: Any,
    send_at: float | None,
    leaves_s: float,
) -> None:
    message = make_message()
    if send_at is not None:
        message = make_message(send_at=message.accepted_at + send_at)
    fallback = decided(fallbacks.decide(account, asked(after_s=90), message))
    assert fallback.due_at == message.accepted_at + leaves_s + 90


def test_on_names_what_causes_the_email(
    fallbacks: Fallbacks, account: Account, make_message: Any
) -> None:
    request = asked(on=("rejected", "expired", "rejected"))
    fallback = decided(fallbacks.decide(account, request, make_message()))
    assert fallback.triggers == Trigger.REJECTED | Trigger.EXPIRED


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"to": None}, "fallback_to_missing", "to"),
        ({"to": ""}, "fallback_to_missing", "to"),
        ({"to": "anna"}, "fallback_to_not_usable", "to"),
        ({"to": "a@example.com\r\nBcc: b@example.com"}, "fallback_to_not_usable", "to"),
        ({"to": "{{ client_ref }}"}, "fallback_to_not_usable", "to"),
        ({"to": "{{ text }}@example.com"}, "fallback_template_not_usable", "to"),
        ({"to": "a" * (SUBJECT_CHARS_MAX + 1)}, "fallback_to_too_long", "to"),
        ({"subject": None}, "fallback_subject_missing", "subject"),
        ({"subject": "Hi\r\nBcc: b@example.com"}, "fallback_subject_not_usable", "subject"),
        ({"subject": "{{ nobody }}"}, "fallback_template_not_usable", "subject"),
        ({"subject": "x" * (SUBJECT_CHARS_MAX + 1)}, "fallback_subject_too_long", "subject"),
        ({"text": None}, "fallback_text_missing", "text"),
        ({"text": ""}, "fallback_text_missing", "text"),
        ({"text": "{{ text"}, "fallback_template_not_usable", "text"),
        ({"text": "x" * (TEXT_CHARS_MAX + 1)}, "fallback_text_too_long", "text"),
        ({"html": "{% for %}"}, "fallback_template_not_usable", "html"),
        ({"html": "x" * (HTML_CHARS_MAX + 1)}, "fallback_html_too_long", "html"),
        ({"on": ()}, "fallback_on_empty", "on"),
        ({"on": ("delivered",)}, "fallback_on_unknown", "on"),
        ({"after_s": 0}, "fallback_after_out_of_range", "after_s"),
        ({"after_s": 604_801}, "fallback_after_out_of_range", "after_s"),
        ({"after_s": 9, "on": ("expired",)}, "fallback_after_without_no_receipt", "after_s"),
        ({"reply_to": "nobody"}, "fallback_reply_to_not_usable", "reply_to"),
    ],
)
def test_what_can_not_be_used_is_refused_by_its_field(
    fallbacks: Fallbacks,
    account: Account,
    make_message: Any,
    fields: dict[str, Any],
    code: str,
    field: str,
) -> None:
    for _ in range(2):  # what was refused once is not taken the second time
        refused = fallbacks.decide(account, asked(**fields), make_message())
        assert isinstance(refused, Rejected)
        assert (refused.code, refused.field) == (code, f"fallback.email.{field}")
        assert refused.status == 422


def test_without_a_mail_server_a_request_is_refused_and_a_rule_rests(
    account: Account, make_message: Any
) -> None:
    fallbacks = Fallbacks(Templates(), available=False, after_max_s=604_800)
    refused = fallbacks.decide(account, asked(), make_message())
    assert isinstance(refused, Rejected)
    assert refused.code == "fallback_unavailable"
    message = make_message(client_ref="anna@example.com")
    assert fallbacks.decide(with_rule(account), None, message) is None


# ── rules ───────────────────────────────────────────────────────────────────────────────────


def test_a_rule_finds_the_address_in_the_message(
    fallbacks: Fallbacks, account: Account, make_message: Any
) -> None:
    message = make_message(client_ref="anna@example.com")
    fallback = decided(fallbacks.decide(with_rule(account), None, message))
    assert fallback.address == "anna@example.com"
    assert fallback.triggers is Trigger.UNDELIVERED
    assert fallback.content.subject == "We could not reach you"


def test_a_rule_that_finds_no_address_lets_the_message_go_without(
    fallbacks: Fallbacks, account: Account, make_message: Any
) -> None:
    assert fallbacks.decide(with_rule(account), None, make_message(client_ref="order-7")) is None
    no_address = msgspec.structs.replace(RULE, to=None)
    assert fallbacks.decide(with_rule(account, no_address), None, make_message()) is None


def test_without_request_and_rule_there_is_none(
    fallbacks: Fallbacks, account: Account, make_message: Any
) -> None:
    assert fallbacks.decide(account, None, make_message()) is None


def test_a_request_without_email_switches_the_rule_off(
    fallbacks: Fallbacks, account: Account, make_message: Any
) -> None:
    message = make_message(client_ref="anna@example.com")
    assert fallbacks.decide(with_rule(account), FallbackRequest(), message) is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"to": "bob@example.com"},
            ("bob@example.com", "We could not reach you", "{{ text }}", "<p>{{ text }}</p>", 1),
        ),
        (
            {"subject": "Mine", "text": "Own"},
            ("anna@example.com", "Mine", "Own", "", 1),
        ),
        (
            {"html": "Own"},
            ("anna@example.com", "We could not reach you", "", "Own", 1),
        ),
        (
            {"after_s": 5},
            ("anna@example.com", "We could not reach you", "{{ text }}", "<p>{{ text }}</p>", 15),
        ),
        (
            {"on": ("expired",)},
            ("anna@example.com", "We could not reach you", "{{ text }}", "<p>{{ text }}</p>", 2),
        ),
    ],
)
def test_a_rule_fills_in_what_a_request_leaves_open(
    fallbacks: Fallbacks,
    account: Account,
    make_message: Any,
    fields: dict[str, Any],
    expected: tuple[str, str, str, str, int],
) -> None:
    request = FallbackRequest(email=EmailRequest(**fields))
    message = make_message(client_ref="anna@example.com")
    fallback = decided(fallbacks.decide(with_rule(account), request, message))
    content = fallback.content
    found = (fallback.address, content.subject, content.text, content.html, fallback.triggers)
    assert found == expected
    assert content.reply_to == "help@shop.example"


def test_a_rule_may_lack_the_address_and_nothing_else(fallbacks: Fallbacks) -> None:
    fallbacks.check(msgspec.structs.replace(RULE, to=None), is_rule=True)
    for missing in ({"subject": None}, {"text": None, "html": None}):
        with pytest.raises(Rejected):
            fallbacks.check(msgspec.structs.replace(RULE, **missing), is_rule=True)
    with pytest.raises(Rejected):
        fallbacks.check(msgspec.structs.replace(RULE, to=None))


# ── bounds ──────────────────────────────────────────────────────────────────────────────────


def test_one_request_brings_a_bounded_number_of_new_templates(
    account: Account, make_message: Any
) -> None:
    templates = Templates()
    fallbacks = Fallbacks(templates, available=True, after_max_s=604_800)
    fallbacks.begin_request()
    results = [
        fallbacks.decide(account, asked(text=f"{{{{ text }}}} {n}"), make_message())
        for n in range(COMPILED_MAX + 5)
    ]
    refused = [result for result in results if isinstance(result, Rejected)]
    assert {result.code for result in refused} == {"fallback_too_many_templates"}
    assert len(refused) == 5
    fallbacks.begin_request()
    again = asked(text=f"{{{{ text }}}} {COMPILED_MAX}")
    assert isinstance(fallbacks.decide(account, again, make_message()), EmailFallback)


def test_texts_without_tags_count_for_nothing(account: Account, make_message: Any) -> None:
    templates = Templates()
    fallbacks = Fallbacks(templates, available=True, after_max_s=604_800)
    for number in range(3 * COMPILED_MAX):
        request = asked(text=f"Dear customer {number}")
        assert isinstance(fallbacks.decide(account, request, make_message()), EmailFallback)
    assert templates.compiled == 0
