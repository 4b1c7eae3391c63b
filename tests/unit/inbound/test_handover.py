"""What an account is told of a message to one of its numbers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.inbound.handover import build_event
from gateway.model import AccountId, CarrierId, MessageId
from gateway.outcomes import InboundMessage


def message(**changes: Any) -> InboundMessage:
    values: dict[str, Any] = {
        "id": MessageId(2**62),
        "carrier_id": CarrierId(1),
        "received_at": 1000.5,
        "sender": "4915112345678",
        "recipient": "40404",
        "data_coding": 0,
        "esm_class": 0,
        "content": b"JA",
        "body": "JA",
        "encoding": "gsm7",
        "account_id": AccountId(7),
    } | changes
    return InboundMessage(**values)


def test_an_event_says_all_of_a_text() -> None:
    notice = build_event(message(), "alpha", 1001.0)
    assert (notice.account_id, notice.message_id, notice.created_at) == (7, 2**62, 1001.0)
    assert notice.url == ""  # the account's own
    assert json.loads(notice.body) == {
        "id": f"{2**62}-received",
        "type": "message.received",
        "message_id": str(2**62),
        "from": "4915112345678",
        "to": "40404",
        "text": "JA",
        "data": "",
        "udh": "",
        "encoding": "gsm7",
        "segments": 1,
        "partial": False,
        "missing": [],
        "carrier": "alpha",
        "received_at": 1000.5,
        "at": 1001.0,
    }


def test_binary_content_travels_in_hex() -> None:
    binary = message(
        content=b"\xde\xad", body="", encoding="binary", exact=False, udh=b"\x02\x70\x00"
    )
    body = json.loads(build_event(binary, "alpha", 1001.0).body)
    assert (body["text"], body["data"], body["udh"]) == ("", "dead", "027000")


def test_what_did_not_come_is_named() -> None:
    partial = message(segments=3, missing=(1, 3))
    body = json.loads(build_event(partial, "alpha", 1001.0).body)
    assert (body["partial"], body["missing"], body["segments"]) == (True, [1, 3], 3)


@pytest.mark.parametrize("text", ['"; DROP', "line\nline", "\u2028 🙂 é", "\x1b[31m"])
def test_any_text_comes_out_as_it_was(text: str) -> None:
    notice = build_event(message(body=text), "alpha", 1001.0)
    assert json.loads(notice.body)["text"] == text
