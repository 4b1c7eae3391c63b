"""Errors as RFC 9457 problem details: every status above 399 leaves in this one shape.

Pure. How a refusal is answered is decided here and nowhere else, so that the framework's routes,
the bypass and the server's own refusals can't differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from http import HTTPStatus

import msgspec

from gateway.api.answers import Answer, encode
from gateway.api.shapes import ItemError, Submitted
from gateway.errors import Rejected, StoreUnavailable

PROBLEM_JSON = b"application/problem+json"

_CHALLENGE = (b"www-authenticate", b'Bearer realm="gateway"')
_TITLES = {
    # Python renamed these phrases in 3.13; the words on the wire stay the same under any version.
    413: "Content Too Large",
    422: "Unprocessable Content",
}


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went wrong, for programs (`code`, `field`) and for people (`title`, `detail`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str
    retry_after_s: int | None = None


class ReadinessProblem(Problem, kw_only=True):
    """Why this node can't do its work now."""

    problems: list[str]


class BatchProblem(Problem, kw_only=True):
    """No item of a batch was accepted; `results` says why, one an item."""

    accepted: int
    rejected: int
    results: list[Submitted | ItemError]


def answer_problem(
    status: int,
    code: str,
    detail: str,
    *,
    field: str = "",
    retry_after_s: float | None = None,
    headers: tuple[tuple[bytes, bytes], ...] = (),
) -> Answer:
    """Return the answer that tells this problem."""
    wait = whole_seconds(retry_after_s)
    problem = Problem(
        type="about:blank",
        title=title_of(status),
        status=status,
        detail=detail,
        code=code,
        field=field,
        retry_after_s=wait,
    )
    return Answer(status, encode(problem), PROBLEM_JSON, (*headers, *_headers_of(status, wait)))


def answer_rejected(rejected: Rejected) -> Answer:
    """Return the answer to a request that can't be taken."""
    return answer_problem(
        rejected.status,
        rejected.code,
        rejected.detail,
        field=rejected.field,
        retry_after_s=rejected.retry_after_s,
    )


def answer_unavailable(error: StoreUnavailable) -> Answer:
    """Return the answer while the database is away; its own words are for the log."""
    return answer_problem(
        503,
        "store_unavailable",
        "the store does not answer and nothing of this request is confirmed; repeat it, with the "
        "same Idempotency-Key if it submits",
        retry_after_s=error.retry_after_s,
    )


def answer_fault() -> Answer:
    """Return the answer to our own fault: nothing of the inside leaves."""
    return answer_problem(500, "internal_error", "the gateway failed here; this was recorded")


def answer_not_ready(problems: Sequence[str]) -> Answer:
    """Return the answer of a node that can't do its work now."""
    body = ReadinessProblem(
        type="about:blank",
        title=title_of(503),
        status=503,
        detail="; ".join(problems),
        code="not_ready",
        field="",
        problems=list(problems),
    )
    return Answer(503, encode(body), PROBLEM_JSON)


def answer_none_accepted(
    results: list[Submitted | ItemError], status: int, retry_after_s: float | None
) -> Answer:
    """Return the answer to a batch of which nothing was accepted."""
    wait = whole_seconds(retry_after_s)
    body = BatchProblem(
        type="about:blank",
        title=title_of(status),
        status=status,
        detail=f"none of the {len(results)} messages was accepted; results says why, in order",
        code="none_accepted",
        field="",
        retry_after_s=wait,
        accepted=0,
        rejected=len(results),
        results=results,
    )
    return Answer(status, encode(body), PROBLEM_JSON, _headers_of(status, wait))


def title_of(status: int) -> str:
    """Return the phrase of an HTTP status, the same under every Python."""
    try:
        return _TITLES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def whole_seconds(wait_s: float | None) -> int | None:
    """Return a wait as Retry-After wants it: whole seconds, rounded up, at least one."""
    return None if wait_s is None else max(1, math.ceil(wait_s))


def _headers_of(status: int, wait: int | None) -> tuple[tuple[bytes, bytes], ...]:
    if status == 401:
        return (_CHALLENGE,)
    if wait is not None:
        return ((b"retry-after", str(wait).encode()),)
    return ()
