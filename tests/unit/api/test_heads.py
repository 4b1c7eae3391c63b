"""Headers that decide something."""

from __future__ import annotations

import pytest

from gateway.api.heads import (
    announced_bytes,
    bearer_key,
    check_json,
    idempotency_key,
    read_fields,
)
from gateway.errors import Rejected


@pytest.mark.parametrize(
    "value", [b"Bearer gw_abc", b"bearer gw_abc", b"BEARER   gw_abc", b"Bearer gw_abc "]
)
def test_a_bearer_key_is_read(value: bytes) -> None:
    assert bearer_key({b"authorization": value}) == "gw_abc"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Bearergw_abc",
        b"Basic gw_abc",
        b"gw_abc",
        b"Bearer a b",
        b"Bearer \xc3\xa4",
        b"Bearer a\x00",
        b"Bearer " + b"a" * 513,
    ],
)
def test_anything_else_is_no_key(value: bytes) -> None:
    assert bearer_key({b"authorization": value}) is None
    assert bearer_key({}) is None


@pytest.mark.parametrize(
    "value",
    [
        b"application/json",
        b"application/json; charset=utf-8",
        b"application/json;charset=UTF-8",
        b'Application/JSON ; charset="utf-8"',
        b"application/json; charset=utf8; profile=x",
        b"application/json;",
    ],
)
def test_json_in_utf8_is_taken_however_it_is_written(value: bytes) -> None:
    check_json({b"content-type": value})


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {b"content-type": b""},
        {b"content-type": b"text/json"},
        {b"content-type": b"application/x-www-form-urlencoded"},
        {b"content-type": b"application/json; charset=iso-8859-1"},
        {b"content-type": b"application/jsonx"},
        {b"content-type": b"application/json", b"content-encoding": b"gzip"},
    ],
)
def test_what_is_not_plain_json_is_415(fields: dict[bytes, bytes]) -> None:
    with pytest.raises(Rejected) as caught:
        check_json(fields)
    assert (caught.value.status, caught.value.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("key", [b"a", b"!" * 255, b"8e03978e-40d5-43e8-bc93-6894a57f9324"])
def test_an_idempotency_key_of_visible_ascii_is_taken(key: bytes) -> None:
    assert idempotency_key({b"idempotency-key": key}) == key.decode()


def test_no_idempotency_key_is_the_empty_one() -> None:
    assert idempotency_key({}) == ""


@pytest.mark.parametrize("key", [b"", b"a" * 256, b"a b", b"a\tb", b"\xc3\xa4", b"a\x7f"])
def test_another_idempotency_key_is_400(key: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        idempotency_key({b"idempotency-key": key})
    assert (caught.value.status, caught.value.code) == (400, "invalid_idempotency_key")
    assert caught.value.field == "Idempotency-Key"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"authorization", "Authorization"),
        (b"content-type", "Content-Type"),
        (b"content-encoding", "Content-Encoding"),
        (b"idempotency-key", "Idempotency-Key"),
    ],
)
def test_a_header_that_counts_may_not_stand_twice(name: bytes, shown: str) -> None:
    with pytest.raises(Rejected) as caught:
        read_fields([(name, b"a"), (b"accept", b"*/*"), (name, b"a")])
    assert (caught.value.status, caught.value.code) == (400, "duplicate_header")
    assert caught.value.field == shown


def test_other_headers_may_stand_twice() -> None:
    fields = read_fields([(b"accept", b"a"), (b"accept", b"b"), (b"idempotency-key", b"k")])
    assert fields[b"idempotency-key"] == b"k"


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({b"content-length": b"12"}, 12),
        ({}, 0),
        ({b"content-length": b"x"}, 0),
        ({b"content-length": b"-1"}, 0),
        ({b"content-length": b"9" * 10_000}, int("9" * 20)),
    ],
)
def test_the_announced_length_is_a_number_or_nothing(
    fields: dict[bytes, bytes], length: int
) -> None:
    assert announced_bytes(fields) == length
