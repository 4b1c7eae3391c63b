"""The two submit calls, from a decoded request to the answer; both ways in end here."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.api.answers import REPLAYED_HEADER, Answer, encode
from gateway.api.gate import Gate
from gateway.api.ports import Done, Submissions
from gateway.api.problems import answer_none_accepted
from gateway.api.requests import BatchRequest, Expanded, expand_batch
from gateway.api.shapes import BatchAnswer, ItemError, Submitted, item_error
from gateway.credit.prices import format_micros
from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import Account, SendRequest


class SubmitCalls:
    """`POST /v1/messages` and `POST /v1/messages/batch` after their bodies are decoded."""

    def __init__(self, submissions: Submissions, gate: Gate, messages_max: int) -> None:
        self._messages_max = messages_max
        self._submissions = submissions
        self._gate = gate

    async def submit_single(
        self, account: Account, request: SendRequest, idempotency_key: str
    ) -> Answer:
        """Return 202 once the message is committed; raises Rejected and StoreUnavailable."""
        self._gate.take(account, 1)
        accepted = await self._submissions.submit(account, request, idempotency_key)
        return answer_accepted(accepted)

    def submit_soon(
        self, account: Account, request: SendRequest, idempotency_key: str, done: Done
    ) -> None:
        """As `submit_single`; `done` is told what that would return or raise, once."""
        self._gate.take(account, 1)
        self._submissions.submit_soon(account, request, idempotency_key, done)

    async def submit_batch(
        self, account: Account, batch: BatchRequest, idempotency_key: str
    ) -> Answer:
        """Return a result an item: 202 when at least one was committed.

        When none was, the status is the one that all items share, or 422.
        """
        expanded = expand_batch(batch, self._messages_max)
        self._gate.take(account, len(expanded.requests))
        outcomes = await self._submissions.submit_batch(account, expanded.requests, idempotency_key)
        return answer_batch(outcomes, expanded)


def answer_accepted(accepted: Accepted) -> Answer:
    """Return the answer that tells of one committed message."""
    headers = (REPLAYED_HEADER,) if accepted.replayed else ()
    return Answer(202, encode(_submitted(accepted)), headers=headers)


def answer_batch(outcomes: Sequence[Accepted | Rejected], expanded: Expanded) -> Answer:
    """Return the answer that tells these outcomes, in the order of the items."""
    results: list[Submitted | ItemError] = []
    refusals: list[Rejected] = []
    replayed = True
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Accepted):
            results.append(_submitted(outcome))
            replayed = replayed and outcome.replayed
        else:
            results.append(item_error(outcome, expanded.path_of(index, outcome.field)))
            refusals.append(outcome)
    if len(refusals) == len(results):
        return _answer_refusals(results, refusals)
    accepted = len(results) - len(refusals)
    body = BatchAnswer(accepted=accepted, rejected=len(refusals), results=results)
    return Answer(202, encode(body), headers=(REPLAYED_HEADER,) if replayed else ())


def _submitted(accepted: Accepted) -> Submitted:
    """Return what a client is told of a committed message."""
    return Submitted(
        id=str(accepted.id),
        status=accepted.status,
        to=accepted.recipient,
        segments=accepted.segments,
        encoding=accepted.encoding.wire,
        price=format_micros(accepted.price_micros),
        currency=accepted.currency,
        client_ref=accepted.client_ref,
    )


def _answer_refusals(results: list[Submitted | ItemError], refusals: list[Rejected]) -> Answer:
    statuses = {refusal.status for refusal in refusals}
    status = statuses.pop() if len(statuses) == 1 else 422
    waits = [r.retry_after_s for r in refusals if r.retry_after_s is not None]
    return answer_none_accepted(results, status, max(waits) if waits else None)
