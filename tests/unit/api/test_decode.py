"""Bodies: what is refused, in which words, and where."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.decode import decode_batch, decode_quote, decode_single, nearest
from gateway.errors import Rejected
from gateway.model import SendRequest


def test_a_message_is_decoded_with_its_sender_named_from() -> None:
    body = b' {"to": "+49170", "from": "Shop", "text": "\\ud83d\\ude00", "validity_s": 60}\n'
    expected = SendRequest(to="+49170", sender="Shop", text="😀", validity_s=60)
    assert decode_single(body) == expected


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "the body is empty"),
        (b" \n", "the body is empty"),
        (b'{"to": "1"', "the body is not JSON: it ends in the middle of a value at byte 10"),
        (b'{"to": "1",}', "the body is not JSON: trailing comma in object at byte 11"),
        (b'{"to": "1"} x', "the body is not JSON: trailing characters at byte 13"),
        (b'{"to": NaN}', "the body is not JSON: invalid character at byte 7"),
        (b"\xef\xbb\xbf{}", "the body is not JSON: invalid character at byte 0"),
        (b'{"to": "\x00"}', "the body is not JSON: invalid character at byte 8"),
        (b'{"to": "1", "text": "\xff"}', "the body is not JSON: not UTF-8 at byte 21"),
        (b'{"to": "\xed\xa0\x80"}', "the body is not JSON: not UTF-8 at byte 8"),
        (
            b'{"to": "\\ud800aaaaaaaaaaaa"}',
            "the body is not JSON: unexpected end of escaped utf-16 surrogate pair at byte 14",
        ),
    ],
)
def test_what_is_not_json_is_400_with_its_position(body: bytes, detail: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode_single(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")
    assert caught.value.detail == detail


@pytest.mark.parametrize("cut", range(len(b'{"to": "+49170", "text": "\xe2\x82\xac"}')))
def test_a_truncated_message_is_refused_at_every_offset(cut: int) -> None:
    with pytest.raises(Rejected) as caught:
        decode_single(b'{"to": "+49170", "text": "\xe2\x82\xac"}'[:cut])
    assert caught.value.code == "invalid_json"


@pytest.mark.parametrize(
    ("body", "code", "field", "detail"),
    [
        (b"[]", "invalid_type", "", "expected an object, got a list"),
        (b"null", "invalid_type", "", "expected an object, got null"),
        (b"{}", "missing_field", "to", "to is required"),
        (b'{"to": 5}', "invalid_type", "to", "expected a string, got an integer"),
        (
            b'{"to": "1", "from": false}',
            "invalid_type",
            "from",
            "expected a string or null, got true or false",
        ),
        (
            b'{"to": "1", "validity_s": 1.5}',
            "invalid_type",
            "validity_s",
            "expected an integer or null, got a number",
        ),
        (
            b'{"to": "1", "validity_s": 1e400}',
            "out_of_range",
            "validity_s",
            "the number is out of range",
        ),
        (
            b'{"to": "1", "validity_s": ' + b"9" * 5000 + b"}",
            "out_of_range",
            "validity_s",
            "the number is out of range",
        ),
        (
            b'{"to": "1", "frm": "x"}',
            "unknown_field",
            "frm",
            "no field 'frm'; did you mean 'from'?",
        ),
        (b'{"to": "1", "zzzz": "x"}', "unknown_field", "zzzz", "no field 'zzzz'"),
        (
            b'{"to": "1", "fallback": {"email": {"after": 5}}}',
            "unknown_field",
            "fallback.email.after",
            "no field 'after'; did you mean 'after_s'?",
        ),
        (
            b'{"to": "1", "fallback": {"email": {"on": "expired"}}}',
            "invalid_type",
            "fallback.email.on",
            "expected a list or null, got a string",
        ),
        (
            b'{"to": "1", "fallback": {"email": {"html": "\\u0000"}}}',
            "invalid_character",
            "fallback.email.html",
            "a NUL character can't be stored",
        ),
        (b'{"to": "1", "sender": "x"}', "unknown_field", "sender", "no field 'sender'"),
        (
            b'{"to": "1", "text": "a\\u0000b"}',
            "invalid_character",
            "text",
            "a NUL character can't be stored",
        ),
    ],
)
def test_what_is_not_a_message_is_422_with_its_field(
    body: bytes, code: str, field: str, detail: str
) -> None:
    with pytest.raises(Rejected) as caught:
        decode_single(body)
    refusal = caught.value
    assert (refusal.status, refusal.code, refusal.field, refusal.detail) == (
        422,
        code,
        field,
        detail,
    )


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b'{"messages": [{"to": "1"}, {"to": "1", "validity_s": "x"}]}', "invalid_type", "1"),
        (b'{"messages": [{"to": "1"}, {"too": "1"}]}', "unknown_field", "1"),
        (b'{"messages": [{"to": "1"}, {"text": "1"}]}', "missing_field", "1"),
        (b'{"messages": [{"to": "1"}, {"to": "1", "tag": "\\u0000"}]}', "invalid_character", "1"),
    ],
)
def test_a_batch_names_the_item_that_is_wrong(body: bytes, code: str, field: str) -> None:
    with pytest.raises(Rejected) as caught:
        decode_batch(body)
    assert caught.value.code == code
    assert caught.value.field.startswith(f"messages[{field}].")


@pytest.mark.parametrize(
    ("body", "field", "hint"),
    [
        (b'{"mesages": []}', "mesages", "'messages'"),
        (b'{"messages": [{"to": "1", "txt": ""}]}', "messages[0].txt", "'text'"),
        (b'{"defaults": {"txt": ""}, "to": []}', "defaults.txt", "'text'"),
        (
            b'{"defaults": {"fallback": {"email": {"sbject": ""}}}, "to": []}',
            "defaults.fallback.email.sbject",
            "'subject'",
        ),
        (
            b'{"messages": [{"to": "1"}, {"to": "1", "fallback": {"emial": {}}}]}',
            "messages[1].fallback.emial",
            "'email'",
        ),
    ],
)
def test_an_unknown_field_of_a_batch_is_told_the_nearest_of_its_place(
    body: bytes, field: str, hint: str
) -> None:
    with pytest.raises(Rejected) as caught:
        decode_batch(body)
    assert caught.value.field == field
    assert caught.value.detail.endswith(f"did you mean {hint}?")


def test_a_batch_names_the_number_that_is_wrong() -> None:
    with pytest.raises(Rejected) as caught:
        decode_batch(b'{"defaults": {"text": "x"}, "to": ["1", 2]}')
    assert caught.value.field == "to[1]"


@pytest.mark.parametrize(
    "opening",
    [b"[", b'{"to":', b'{"to":"1","text":[', b'{"zzz":[', b'{"messages":[{"text":[', b'{"to":['],
)
def test_nesting_without_end_is_refused_where_it_begins(opening: bytes) -> None:
    for decode in (decode_single, decode_batch, decode_quote):
        with pytest.raises(Rejected) as caught:
            decode(opening * 200_000)
        assert caught.value.status in (400, 422)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert decode_single(b'{"to": "1", "text": "\\\\u0000"}').text == "\\u0000"


def test_a_long_unknown_name_is_repeated_in_part() -> None:
    with pytest.raises(Rejected) as caught:
        decode_single(b'{"' + b"x" * 100_000 + b'": 1}')
    assert caught.value.field == "x" * 64
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"to": "1", "text": "x"}',
        b'{"to": ["1", "2"], "text": "x"}',
        b'{"messages": [{"to": "1", "text": "x"}]}',
        b'{"defaults": {"text": "x"}, "to": ["1"]}',
    ],
)
def test_a_quote_takes_every_form(body: bytes) -> None:
    decode_quote(body)


def test_nothing_near_is_no_hint() -> None:
    assert nearest("qqqq", ["to", "text"]) == ""


VALID = b'{"messages":[{"to":"1","validity_s":5}],"defaults":{"text":"\\u20ac"},"to":["+1"]}'


@given(
    st.one_of(
        st.binary(max_size=60),
        st.builds(
            lambda at, cut, middle: VALID[:at] + middle + VALID[at + cut :],
            st.integers(0, len(VALID)),
            st.integers(0, 5),
            st.binary(max_size=4),
        ),
    )
)
def test_garbage_yields_only_refusals(body: bytes) -> None:
    for decode in (decode_single, decode_batch, decode_quote):
        with contextlib.suppress(Rejected):
            decode(body)
