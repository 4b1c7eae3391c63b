"""What a batch's outcomes become."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.api.answers import Answer
from gateway.api.requests import BatchRequest, Content, expand_batch
from gateway.api.submit import answer_batch
from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import Encoding, MessageId, Micros


def accepted(*, replayed: bool = False) -> Accepted:
    return Accepted(
        id=MessageId(263546872340938752),
        status="accepted",
        recipient="4917012345678",
        segments=2,
        encoding=Encoding.UCS2,
        price_micros=Micros(15_000),
        currency="EUR",
        client_ref="r",
        replayed=replayed,
    )


def refused(status: int = 422, retry_after_s: float | None = None) -> Rejected:
    return Rejected("why", "words", field="text", status=status, retry_after_s=retry_after_s)


def answer(*outcomes: Accepted | Rejected) -> tuple[Answer, dict[str, Any]]:
    batch = BatchRequest(defaults=Content(text="x"), to=["1"] * len(outcomes))
    made = answer_batch(outcomes, expand_batch(batch, 10))
    return made, msgspec.json.decode(made.body)


def test_good_items_are_accepted_beside_bad_ones_in_order() -> None:
    made, body = answer(refused(), accepted(), refused(402))
    assert made.status == 202
    assert (body["accepted"], body["rejected"]) == (1, 2)
    assert body["results"] == [
        {"error": {"code": "why", "field": "defaults.text", "detail": "words", "status": 422}},
        {
            "id": "263546872340938752",
            "status": "accepted",
            "to": "4917012345678",
            "segments": 2,
            "encoding": "ucs2",
            "price": "0.015",
            "currency": "EUR",
            "client_ref": "r",
        },
        {"error": {"code": "why", "field": "defaults.text", "detail": "words", "status": 402}},
    ]


@pytest.mark.parametrize(
    ("statuses", "status"), [([402, 402], 402), ([422], 422), ([402, 422], 422), ([409, 402], 422)]
)
def test_a_batch_without_an_accepted_item_has_their_common_status(
    statuses: list[int], status: int
) -> None:
    made, body = answer(*(refused(s) for s in statuses))
    assert made.status == body["status"] == status
    assert body["code"] == "none_accepted"
    assert len(body["results"]) == len(statuses)


def test_a_refused_batch_waits_for_the_slowest_item() -> None:
    made, body = answer(refused(503, 1.0), refused(503, 4.5))
    assert body["retry_after_s"] == 5
    assert (b"retry-after", b"5") in made.headers


def test_only_a_batch_that_was_replayed_whole_says_so() -> None:
    replayed = (b"idempotency-replayed", b"true")
    assert replayed in answer(accepted(replayed=True), accepted(replayed=True))[0].headers
    assert replayed in answer(accepted(replayed=True), refused())[0].headers
    assert replayed not in answer(accepted(replayed=True), accepted())[0].headers
    assert replayed not in answer(refused())[0].headers
