"""One account while it is bound: its terms as they are now, and what it has used of them."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping

from gateway.message import Message
from gateway.model import AccountId
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
    """How many messages of each account may still be sent, however they came, and to which node.

    A message is counted where it was accepted, and taken off where it ended. So a node's own count
    is right only with those of the others: what each has added since the present base was read.
    """

    def __init__(self) -> None:
        self._base: dict[AccountId, int] = {}
        self._here: dict[AccountId, int] = {}
        """What this node has added since its start; it may be less than nothing."""
        self._elsewhere: Mapping[str, Mapping[int, int]] = {}
        """What other nodes have added since theirs, as they last said, by node."""
        self._at_base: dict[AccountId, int] = {}
        """What all had added when the base was read."""
        self._gone: dict[AccountId, int] = {}
        """What nodes had added that are not there any more."""

    def begin(self, counts: Mapping[AccountId, int]) -> None:
        """Go by what the store holds now: at a start, or when it was counted anew."""
        self._base = dict(counts)
        self._gone = {}
        accounts = {*self._here, *(a for added in self._elsewhere.values() for a in added)}
        self._at_base = {AccountId(a): self._added(AccountId(a)) for a in accounts}

    def see(self, elsewhere: Mapping[str, Mapping[int, int]]) -> bool:
        """Take what other nodes have added by now; True when one has come or gone: the store has to
        be counted anew before long."""
        changed = elsewhere.keys() != self._elsewhere.keys()
        for gone in self._elsewhere.keys() - elsewhere.keys():
            for account_id, added in self._elsewhere[gone].items():
                key = AccountId(account_id)
                self._gone[key] = self._gone.get(key, 0) + added
        self._elsewhere = elsewhere
        return changed

    def added(self, account_ids: Iterable[AccountId]) -> dict[int, int]:
        """Return what this node has added to each of these accounts, for the others to see."""
        return {each: self._here[each] for each in account_ids if each in self._here}

    def stored(self, messages: Iterable[Message]) -> None:
        """Count messages that were just committed."""
        counts = self._here
        for message in messages:
            account_id = message.account_id
            counts[account_id] = counts.get(account_id, 0) + 1

    def written(self, events: Iterable[Event]) -> None:
        """Count messages whose closing event was just committed."""
        counts = self._here
        for event in events:
            if event.closes:
                counts[event.account_id] = counts.get(event.account_id, 0) - 1

    def of(self, account_id: AccountId) -> int:
        since = self._added(account_id) - self._at_base.get(account_id, 0)
        return max(0, self._base.get(account_id, 0) + since)

    def _added(self, account_id: AccountId) -> int:
        """Return what all nodes have added that were ever seen."""
        added = self._here.get(account_id, 0) + self._gone.get(account_id, 0)
        for elsewhere in self._elsewhere.values():
            added += elsewhere.get(account_id, 0)
        return added


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
