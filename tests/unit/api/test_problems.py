"""Errors as problem details."""

from __future__ import annotations

import msgspec
import pytest

from gateway.api.answers import Answer
from gateway.api.problems import (
    answer_fault,
    answer_none_accepted,
    answer_not_ready,
    answer_problem,
    answer_rejected,
    answer_unavailable,
    title_of,
    whole_seconds,
)
from gateway.api.shapes import ItemError, ItemErrorDetails
from gateway.errors import Rejected, StoreUnavailable


def told(answer: Answer) -> dict[str, object]:
    assert answer.content_type == b"application/problem+json"
    body: dict[str, object] = msgspec.json.decode(answer.body)
    assert body["status"] == answer.status
    assert body["type"] == "about:blank"
    assert body["title"] == title_of(answer.status)
    return body


def test_a_refusal_is_told_with_code_and_field() -> None:
    answer = answer_rejected(Rejected("invalid_number", "no such number", field="to"))
    assert told(answer) == {
        "type": "about:blank",
        "title": "Unprocessable Content",
        "status": 422,
        "detail": "no such number",
        "code": "invalid_number",
        "field": "to",
    }
    assert answer.headers == ()


def test_a_refusal_that_ends_by_itself_says_when() -> None:
    answer = answer_rejected(Rejected("rate_exceeded", "wait", status=429, retry_after_s=1.2))
    assert told(answer)["retry_after_s"] == 2
    assert answer.headers == ((b"retry-after", b"2"),)


def test_401_carries_a_challenge() -> None:
    answer = answer_problem(401, "unauthorized", "who are you?")
    assert answer.headers == ((b"www-authenticate", b'Bearer realm="gateway"'),)


def test_an_absent_store_is_503_without_its_own_words() -> None:
    answer = answer_unavailable(StoreUnavailable("password of db-1 refused", retry_after_s=0.1))
    assert answer.status == 503
    assert (b"retry-after", b"1") in answer.headers
    assert b"password" not in answer.body
    assert told(answer)["code"] == "store_unavailable"


def test_our_own_fault_says_nothing_of_the_inside() -> None:
    assert told(answer_fault())["code"] == "internal_error"


def test_a_node_that_is_not_ready_says_why() -> None:
    body = told(answer_not_ready(["no database", "no carrier"]))
    assert body["problems"] == ["no database", "no carrier"]
    assert body["detail"] == "no database; no carrier"


def test_a_batch_of_which_nothing_was_accepted_is_a_problem_with_results() -> None:
    details = ItemErrorDetails(code="no_credit", field="to[0]", detail="d", status=402)
    body = told(answer_none_accepted([ItemError(error=details)], 402, None))
    assert (body["code"], body["accepted"], body["rejected"]) == ("none_accepted", 0, 1)
    assert body["results"] == [
        {"error": {"code": "no_credit", "field": "to[0]", "detail": "d", "status": 402}}
    ]


@pytest.mark.parametrize(
    ("wait", "seconds"), [(None, None), (0.0, 1), (0.01, 1), (1.0, 1), (1.01, 2), (60, 60)]
)
def test_retry_after_is_whole_seconds_rounded_up(wait: float | None, seconds: int | None) -> None:
    assert whole_seconds(wait) == seconds


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (404, "Not Found"),
        (413, "Content Too Large"),
        (422, "Unprocessable Content"),
        (599, "Error"),
    ],
)
def test_titles_are_the_same_under_every_python(status: int, title: str) -> None:
    assert title_of(status) == title
