from __future__ import annotations

from typing import Any

import pytest

from gateway.fallback.letter import DueEmail
from gateway.fallback.terms import ALL_TRIGGERS, EmailContent
from gateway.ids import id_at
from gateway.lifecycle import Status
from gateway.message import Message
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, MessageId, Micros

ACCEPTED_AT = 1_769_850_000.0  # 2026-01-31T09:00:00Z


def _make_message(**fields: Any) -> Message:
    return Message(
        **{
            "id": MessageId(id_at(ACCEPTED_AT) + 1),
            "account_id": AccountId(7),
            "accepted_at": ACCEPTED_AT,
            "sender": "Shop",
            "recipient": "4917012345678",
            "country": "DE",
            "text": "Your code is 1234",
            "encoding": Encoding.GSM7,
            "segments": 1,
            "lane": Lane.OTP,
            "price_micros": Micros(0),
            "routes": (CarrierId(1),),
            "expires_at": ACCEPTED_AT + 3_600,
            **fields,
        }
    )


def _make_due(**fields: Any) -> DueEmail:
    return DueEmail(
        **{
            "account_id": AccountId(7),
            "account": "shop",
            "message_id": MessageId(id_at(ACCEPTED_AT) + 1),
            "address": "anna@example.com",
            "content": EmailContent("Your code", "{{ text }}"),
            "triggers": ALL_TRIGGERS,
            "began_at": ACCEPTED_AT + 60,
            "attempts": 0,
            "sender": "Shop",
            "recipient": "4917012345678",
            "country": "DE",
            "text": "Your code is 1234",
            "client_ref": "order-7",
            "tag": "otp",
            "callback_url": "",
            "segments": 1,
            "status": Status.UNDELIVERED,
            "error": "001",
            "hooked": True,
            **fields,
        }
    )


@pytest.fixture
def make_message() -> Any:
    return _make_message


@pytest.fixture
def make_due() -> Any:
    return _make_due


@pytest.fixture
def account() -> Account:
    return Account(id=AccountId(7), name="shop")
