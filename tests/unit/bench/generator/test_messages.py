from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import pytest

from bench.generator.messages import Messages, Wanted


def wanted(**options: Any) -> Wanted:
    return Wanted(**({"host": "127.0.0.1:8080", "key": "secret", "run": "r1"} | options))


def body_of(request: bytes) -> Any:
    head, _, body = request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return json.loads(body)


def texts(numbers: Sequence[int], **options: Any) -> list[str]:
    messages = Messages(wanted(mode="batch", **options))
    return [item["text"] for item in body_of(messages.write_request(numbers))["messages"]]


def test_a_single_request_is_one_message() -> None:
    request = Messages(wanted()).write_request([7])
    assert request.startswith(b"POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n")
    assert b"\r\nAuthorization: Bearer secret\r\n" in request
    assert body_of(request) == {
        "to": "447911100007",
        "from": "Bench",
        "text": "#7 Your parcel is on its way and comes today before noon.",
        "client_ref": "r1-7",
    }


def test_a_batch_is_many_messages_each_with_its_own_number() -> None:
    request = Messages(wanted(mode="batch")).write_request(range(1, 4))
    assert request.startswith(b"POST /v1/messages/batch HTTP/1.1\r\n")
    items = body_of(request)["messages"]
    assert [item["client_ref"] for item in items] == ["r1-1", "r1-2", "r1-3"]
    assert len({item["to"] for item in items}) == 3


def test_the_same_number_is_always_the_same_message() -> None:
    messages = Messages(wanted(mode="batch"))
    both = body_of(messages.write_request([5, 9]))["messages"]
    assert body_of(messages.write_request([9]))["messages"] == both[1:]


def test_without_a_run_messages_carry_no_reference() -> None:
    assert "client_ref" not in body_of(Messages(wanted(run="")).write_request([1]))


def test_recipients_fill_what_the_prefix_leaves_and_start_over() -> None:
    messages = Messages(wanted(to_prefix="44791112345"))
    assert body_of(messages.write_request([3]))["to"] == "447911123453"
    assert body_of(messages.write_request([13]))["to"] == "447911123453"


@pytest.mark.parametrize("prefix", ["", "44x", "447911123456"])
def test_a_prefix_that_leaves_no_number_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match="--to-prefix"):
        Messages(wanted(to_prefix=prefix))


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Hello", "#5 Hello"),
        ("Order {n} is ready", "Order 5 is ready"),
        ('100 % of "\\" and \n', '#5 100 % of "\\" and \n'),
        ("Привет 😀", "#5 Привет 😀"),
        ("%d %s", "#5 %d %s"),
    ],
)
def test_any_text_goes_through_unharmed(text: str, written: str) -> None:
    assert texts([5], text=text) == [written]


@pytest.mark.parametrize("segments", [1, 2, 3, 10])
def test_a_text_has_as_many_segments_as_asked_for(segments: int) -> None:
    for text in texts([1, 999_999_999], segments=segments):
        assert text.startswith(("#1 ", "#999999999 "))
        room = 160 if segments == 1 else 153 * segments
        assert 153 * (segments - 1) < len(text) <= room


def test_a_text_too_long_for_its_segments_is_refused() -> None:
    with pytest.raises(ValueError, match="--segments 2"):
        Messages(wanted(text="x" * 300, segments=2))


@pytest.mark.parametrize("mode", ["single", "batch"])
def test_the_sender_may_need_escaping(mode: Literal["single", "batch"]) -> None:
    body = body_of(Messages(wanted(mode=mode, sender='A"%d')).write_request([1]))
    item = body["messages"][0] if mode == "batch" else body
    assert item["from"] == 'A"%d'
