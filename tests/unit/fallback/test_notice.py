"""What a customer's endpoint hears of an email."""

from __future__ import annotations

import json
from typing import Any

from gateway.fallback.notice import build_email_notice
from gateway.fallback.terms import FallbackState, Trigger


def test_the_event_says_what_became_of_the_email_and_of_its_message(make_due: Any) -> None:
    due = make_due(callback_url="https://shop.example/hook")
    notice = build_email_notice(due, FallbackState.SENT, Trigger.EXPIRED, "250 ok", 12.5)
    assert notice is not None
    assert (notice.account_id, notice.message_id) == (due.account_id, due.message_id)
    assert notice.url == "https://shop.example/hook"
    assert json.loads(notice.body) == {
        "id": f"{due.message_id}-email_sent",
        "type": "message.email_sent",
        "message_id": str(due.message_id),
        "status": "undelivered",
        "to": "4917012345678",
        "from": "Shop",
        "segments": 1,
        "client_ref": "order-7",
        "tag": "otp",
        "error": "001",
        "at": 12.5,
        "email": {"to": "anna@example.com", "reason": "expired", "reply": "250 ok"},
    }


def test_nobody_is_told_who_has_no_endpoint(make_due: Any) -> None:
    due = make_due(hooked=False)
    assert build_email_notice(due, FallbackState.FAILED, Trigger.EXPIRED, "550 no", 1.0) is None
