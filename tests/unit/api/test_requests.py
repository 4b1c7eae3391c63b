"""The forms of a batch and of a quote."""

from __future__ import annotations

import msgspec
import pytest

from gateway.api.requests import (
    BatchRequest,
    Content,
    QuoteRequest,
    expand_batch,
    expand_quote,
)
from gateway.errors import Rejected
from gateway.model import SendRequest


def test_content_is_a_message_without_its_recipient() -> None:
    whole = {field.encode_name: field for field in msgspec.structs.fields(SendRequest)}
    content = {field.encode_name: field for field in msgspec.structs.fields(Content)}
    assert whole.keys() - content.keys() == {"to"}
    for name, field in content.items():
        assert (field.name, field.type, field.default) == (
            whole[name].name,
            whole[name].type,
            whole[name].default,
        )


def test_messages_stay_as_they_are() -> None:
    messages = [SendRequest(to="1", text="a"), SendRequest(to="2", text="b")]
    expanded = expand_batch(BatchRequest(messages=messages), 10)
    assert expanded.requests == messages
    assert expanded.path_of(1, "text") == "messages[1].text"
    assert expanded.path_of(1, "") == "messages[1]"


def test_defaults_become_one_message_a_recipient() -> None:
    defaults = Content(sender="Shop", text="a", validity_s=5, priority="otp", tag="t")
    expanded = expand_batch(BatchRequest(defaults=defaults, to=["1", "2"]), 10)
    assert expanded.requests == [
        SendRequest(to=to, sender="Shop", text="a", validity_s=5, priority="otp", tag="t")
        for to in ("1", "2")
    ]
    assert expanded.path_of(1, "to") == "to[1]"
    assert expanded.path_of(1, "") == "to[1]"
    assert expanded.path_of(1, "text") == "defaults.text"


@pytest.mark.parametrize(
    ("batch", "code", "field", "status"),
    [
        (BatchRequest(), "missing_field", "messages", 422),
        (BatchRequest(to=["1"]), "missing_field", "defaults", 422),
        (BatchRequest(defaults=Content(text="x")), "missing_field", "messages", 422),
        (BatchRequest(messages=[]), "empty_batch", "messages", 422),
        (BatchRequest(defaults=Content(), to=[]), "empty_batch", "to", 422),
        (BatchRequest(messages=[SendRequest(to="1")], to=["1"]), "mixed_forms", "", 422),
        (BatchRequest(messages=[], defaults=Content()), "mixed_forms", "", 422),
        (BatchRequest(messages=[SendRequest(to="1")] * 4), "too_many_messages", "messages", 413),
        (BatchRequest(defaults=Content(), to=["1"] * 4), "too_many_messages", "to", 413),
    ],
)
def test_a_batch_of_no_form_is_refused(
    batch: BatchRequest, code: str, field: str, status: int
) -> None:
    with pytest.raises(Rejected) as caught:
        expand_batch(batch, 3)
    assert (caught.value.code, caught.value.field, caught.value.status) == (code, field, status)


def test_as_many_as_the_limit_are_taken() -> None:
    batch = BatchRequest(messages=[SendRequest(to="1")] * 3)
    assert len(expand_batch(batch, 3).requests) == 3


def test_a_quote_of_one_message_names_fields_as_they_stand() -> None:
    expanded = expand_quote(QuoteRequest(to="1", text="x"), 3)
    assert expanded.requests == [SendRequest(to="1", text="x")]
    assert expanded.path_of(0, "to") == "to"


def test_a_quote_of_one_text_for_many_is_spread() -> None:
    expanded = expand_quote(QuoteRequest(to=["1", "2"], text="x"), 3)
    assert expanded.requests == [SendRequest(to="1", text="x"), SendRequest(to="2", text="x")]
    assert (expanded.path_of(1, "to"), expanded.path_of(1, "text")) == ("to[1]", "text")


def test_a_quote_takes_both_forms_of_a_batch() -> None:
    messages = [SendRequest(to="1", text="x")]
    assert expand_quote(QuoteRequest(messages=messages), 3).requests == messages
    spread = expand_quote(QuoteRequest(defaults=Content(text="x"), to=["1"]), 3)
    assert spread.requests == messages


@pytest.mark.parametrize(
    ("quote", "code", "field"),
    [
        (QuoteRequest(text="x"), "missing_field", "to"),
        (QuoteRequest(to=[], text="x"), "empty_batch", "to"),
        (QuoteRequest(to=["1"] * 4, text="x"), "too_many_messages", "to"),
        (QuoteRequest(messages=[SendRequest(to="1")], text="x"), "mixed_forms", ""),
        (QuoteRequest(messages=[SendRequest(to="1")], to=["1"]), "mixed_forms", ""),
        (QuoteRequest(defaults=Content(), to="1"), "invalid_type", "to"),
        (QuoteRequest(defaults=Content()), "missing_field", "messages"),
    ],
)
def test_a_quote_of_no_form_is_refused(quote: QuoteRequest, code: str, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        expand_quote(quote, 3)
    assert (caught.value.code, caught.value.field) == (code, field)
