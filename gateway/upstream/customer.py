"""One account while it is bound: its terms as they are now, and what it has used of them."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping

from gateway.model import AccountId, Message
from gateway.outcomes import Event
from gateway.smpp import vocabulary as v
from gateway.throttle.bucket import Send, TokenBucket
from gateway.upstream.terms import Terms


class Ceiling(enum.Enum):
    """Why a submission is sent away for later, with the status that says so."""

    WINDOW = v.ESME_RTHROTTLED, "window"
    RATE = v.ESME_RTHROTTLED, "rate"
    QUEUE = v.ESME_RMSGQFUL, "queue"

    @property
    def status(self) -> int:
        return self.value[0]


class OpenCounts:
    """How many messages of each account may still be sent, however they came."""

    def __init__(self) -> None:
        self._counts: dict[AccountId, int] = {}

    def begin(self, counts: Mapping[AccountId, int]) -> None:
        """Add what the store holds at a start."""
        for account_id, count in counts.items():
            self._counts[account_id] = self._counts.get(account_id, 0) + count

    def stored(self, messages: Iterable[Message]) -> None:
        """Count messages that were just committed."""
        counts = self._counts
        for message in messages:
            account_id = message.account_id
            counts[account_id] = counts.get(account_id, 0) + 1

    def written(self, events: Iterable[Event]) -> None:
        """Count messages whose closing event was just committed."""
        counts = self._counts
        for event in events:
            if event.closes:
                counts[event.account_id] = counts.get(event.account_id, 0) - 1

    def of(self, account_id: AccountId) -> int:
        return self._counts.get(account_id, 0)


class Customer:
    """What all binds of one account share."""

    def __init__(self, terms: Terms, open_counts: OpenCounts) -> None:
        self.terms = terms
        self.bound = 0
        self.uncommitted = 0
        """Its messages on their way into the store."""
        self._open_counts = open_counts
        self._bucket = _bucket_of(terms)

    def change(self, terms: Terms, now: float) -> None:
        """Go on under other terms."""
        if _burst(terms) == _burst(self.terms):
            self._bucket.change_rate(terms.rate_per_s, now)
        else:
            self._bucket = _bucket_of(terms)
        self.terms = terms

    def take(self, count: int, unanswered: int, now: float) -> Ceiling | None:
        """Count `count` messages, all or none, of a bind that has `unanswered` requests; None
        when no ceiling is in their way."""
        terms = self.terms
        if unanswered >= terms.window_size:
            return Ceiling.WINDOW
        if terms.queue_max:
            waiting = self._open_counts.of(terms.account.id) + self.uncommitted
            if waiting + count > terms.queue_max:
                return Ceiling.QUEUE
        if terms.rate_per_s and not isinstance(self._bucket.take(count, now), Send):
            return Ceiling.RATE
        return None


def _bucket_of(terms: Terms) -> TokenBucket:
    return TokenBucket(terms.rate_per_s, _burst(terms))


def _burst(terms: Terms) -> int:
    """A second's worth: clients send what they have at once and then wait."""
    return max(1, math.ceil(terms.rate_per_s))
