"""Customers who do not listen: whatever they are told, the next request goes at its time."""

from __future__ import annotations

from collections.abc import Sequence

from bench.generator.answers import Verdict
from bench.generator.backlog import Request
from bench.generator.driver import Dialect
from bench.generator.smpp import SmppLoad


class Pushing:
    """A dialect for which "not now" is a refusal like any other."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def write_request(self, numbers: Sequence[int]) -> bytes:
        return self._dialect.write_request(numbers)

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        verdict = self._dialect.judge(status, body, numbers)
        if verdict.again:
            verdict.rejected[str(status)] = len(verdict.again)
            verdict.again = ()
        return verdict


class PushingSmpp(SmppLoad):
    """Binds for which ESME_RTHROTTLED and ESME_RMSGQFUL are refusals like any other."""

    def take_throttled(self, request: Request, status: int) -> None:
        self.count_refused(status)
