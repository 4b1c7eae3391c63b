"""Which request goes when.

Closed loop: the next one as soon as a connection is free. Open loop: at its own time, whether or
not the gateway keeps up; its latency counts from that time, so that a stall shows in every
request that it delayed and not only in the one that met it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec


class Nothing(Enum):
    """There is no request to take."""

    LEFT = "left"


class Request(msgspec.Struct):
    """Some messages that go together, and since when they should have gone."""

    numbers: Sequence[int]
    intended_s: float
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """The next request is due at `until_s`."""

    until_s: float


class Backlog:
    """All requests of a run, in order; those that must be repeated go first."""

    def __init__(
        self,
        messages: int,
        per_request: int,
        started_s: float,
        rate_per_s: float | None = None,
        first: int = 1,
    ) -> None:
        self._first = first
        self._end = first + messages
        self._per_request = per_request
        self._started_s = started_s
        self._rate_per_s = rate_per_s
        self._next_number = first
        self._again: deque[Request] = deque()
        self._paused_until_s = started_s

    def take(self, now: float) -> Request | Wait | Nothing:
        """Return the request that goes now, or when the next one does."""
        if not self._again and self._next_number >= self._end:
            return Nothing.LEFT
        if now < self._paused_until_s:
            return Wait(self._paused_until_s)
        if self._again:
            return self._again.popleft()
        intended_s = now
        if self._rate_per_s:
            intended_s = self._started_s + (self._next_number - self._first) / self._rate_per_s
            if now < intended_s:
                return Wait(intended_s)
        first = self._next_number
        self._next_number = min(first + self._per_request, self._end)
        return Request(range(first, self._next_number), intended_s)

    def put_back(self, request: Request, numbers: Sequence[int]) -> None:
        """Send these of the request's messages again; their latency goes on from where it began."""
        self._again.append(Request(numbers, request.intended_s, request.attempts + 1))

    def pause(self, until_s: float) -> None:
        """Send nothing before `until_s`, as a Retry-After asks."""
        self._paused_until_s = max(self._paused_until_s, until_s)

    def end(self) -> None:
        """Have no requests any more, except those under way."""
        self._end = self._next_number
        self._again.clear()
