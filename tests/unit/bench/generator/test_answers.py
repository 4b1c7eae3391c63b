from __future__ import annotations

import json
from typing import Any

import pytest

from bench.generator.answers import Verdict, judge


def error(status: int, code: str) -> dict[str, Any]:
    return {"error": {"code": code, "field": "messages[0]", "detail": "…", "status": status}}


def test_a_single_message_is_accepted_with_its_segments() -> None:
    body = b'{"id":"1","status":"accepted","segments":3,"price":"0.03"}'
    assert judge(202, body, [1], batch=False) == Verdict(accepted=1, segments=3)


def test_a_refused_message_is_counted_by_status_and_code() -> None:
    body = b'{"title":"x","status":402,"code":"no_credit","detail":"x","field":""}'
    assert judge(402, body, [1], batch=False) == Verdict(rejected={"402 no_credit": 1})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("body", [b"", b'{"code":"queue_full"}', b"<html>busy</html>"])
@pytest.mark.parametrize("batch", [False, True])
def test_not_now_means_again(status: int, body: bytes, batch: bool) -> None:
    assert judge(status, body, [4, 5], batch=batch) == Verdict(again=[4, 5])


def test_a_batch_says_of_each_item_what_became_of_it() -> None:
    results = [
        {"id": "1", "segments": 2},
        error(422, "invalid_number"),
        error(503, "queue_full"),
        {"id": "2", "segments": 1},
        error(422, "invalid_number"),
    ]
    body = json.dumps({"accepted": 2, "rejected": 3, "results": results}).encode()
    assert judge(202, body, range(11, 16), batch=True) == Verdict(
        accepted=2, segments=3, again=[13], rejected={"422 invalid_number": 2}
    )


def test_a_batch_of_which_nothing_was_accepted_is_judged_by_its_items() -> None:
    body = json.dumps({"code": "none_accepted", "results": [error(402, "no_credit")] * 2}).encode()
    assert judge(402, body, [1, 2], batch=True) == Verdict(again=[], rejected={"402 no_credit": 2})


def test_a_batch_refused_as_a_whole_counts_all_its_messages() -> None:
    body = b'{"code":"body_too_large"}'
    assert judge(413, body, [1, 2, 3], batch=True) == Verdict(rejected={"413 body_too_large": 3})


@pytest.mark.parametrize("status", [202, 500])
def test_an_answer_that_can_not_be_read_is_no_acceptance(status: int) -> None:
    verdict = judge(status, b"<html>", [1, 2], batch=True)
    assert verdict == Verdict(rejected={f"{status} unreadable": 2})


def test_results_that_do_not_match_the_request_are_no_acceptance() -> None:
    verdict = judge(202, b'{"results":[{"segments":1}]}', [1, 2], batch=True)
    assert verdict == Verdict(rejected={"results_do_not_match": 2})
