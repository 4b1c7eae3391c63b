"""What an HTTP answer says of each message of its request."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

RETRIED = frozenset({429, 503})
"""Statuses that mean "not now"; RFC 6585 §4, RFC 9110 §15.6.4."""
RETRY_AFTER_S = 1.0
"""Where such an answer names no time itself."""


class _Error(msgspec.Struct):
    code: str = "unknown"
    status: int = 0


class _Item(msgspec.Struct):
    error: _Error | None = None
    segments: int = 1


class _Batch(msgspec.Struct):
    results: list[_Item]


class _Problem(msgspec.Struct):
    code: str = "unknown"
    results: list[_Item] | None = None


_decode_item = msgspec.json.Decoder(_Item).decode
_decode_batch = msgspec.json.Decoder(_Batch).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode


class Verdict(msgspec.Struct):
    """What became of a request's messages. Everything is in exactly one of the three."""

    accepted: int = 0
    segments: int = 0
    """Of the accepted ones."""
    again: Sequence[int] = ()
    """Numbers of the messages to send again."""
    rejected: dict[str, int] = msgspec.field(default_factory=dict)
    """Messages that will not be taken, by the problem's code."""


def judge(status: int, body: bytes, numbers: Sequence[int], *, batch: bool) -> Verdict:
    """Return what an answer says; an answer that can't be read rejects everything."""
    try:
        if status == 202:
            if batch:
                return _judge_items(_decode_batch(body).results, numbers)
            return Verdict(1, _decode_item(body).segments)
        if batch and body:
            results = _decode_problem(body).results
            if results is not None:
                return _judge_items(results, numbers)
        if status in RETRIED:
            return Verdict(again=numbers)
        code = _decode_problem(body).code
    except msgspec.DecodeError:
        if status in RETRIED:
            return Verdict(again=numbers)
        code = "unreadable"
    return Verdict(rejected={f"{status} {code}": len(numbers)})


def _judge_items(results: list[_Item], numbers: Sequence[int]) -> Verdict:
    if len(results) != len(numbers):
        return Verdict(rejected={"results_do_not_match": len(numbers)})
    taken = [item.segments for item in results if item.error is None]
    verdict = Verdict(len(taken), sum(taken))
    if len(taken) == len(results):
        return verdict
    again: list[int] = []
    for number, item in zip(numbers, results, strict=True):
        if item.error is None:
            continue
        if item.error.status in RETRIED:
            again.append(number)
        else:
            key = f"{item.error.status} {item.error.code}"
            verdict.rejected[key] = verdict.rejected.get(key, 0) + 1
    verdict.again = again
    return verdict
