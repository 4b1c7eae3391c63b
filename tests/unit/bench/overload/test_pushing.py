from __future__ import annotations

from collections.abc import Sequence

from bench.generator.answers import Verdict
from bench.generator.backlog import Backlog, Nothing, Request
from bench.overload.pushing import Pushing


class Refusing:
    """A dialect whose server always says "not now"."""

    def write_request(self, numbers: Sequence[int]) -> bytes:
        return b""

    def judge(self, status: int, body: bytes, numbers: Sequence[int]) -> Verdict:
        return Verdict(again=numbers)


def test_what_is_refused_for_now_counts_as_refused_and_is_not_sent_again() -> None:
    verdict = Pushing(Refusing()).judge(503, b"", [1, 2])
    assert verdict == Verdict(rejected={"503": 2})


def test_a_backlog_that_is_ended_has_nothing_left() -> None:
    backlog = Backlog(10, 1, 0.0)
    first = backlog.take(1.0)
    assert isinstance(first, Request)
    backlog.put_back(first, [1])
    backlog.end()
    assert backlog.take(2.0) is Nothing.LEFT
