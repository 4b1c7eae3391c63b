"""How many segments each account has had accepted this calendar month, for tiers.

Months are of UTC. What counts is what was accepted, whatever became of it, so that a volume never
falls within its month and a price never depends on a carrier's mood. A message is priced, whole,
at the tier that is reached before it: what was accepted together with it is not counted yet.

A node counts what it accepts itself at once, and hears of other nodes' now and then (`learn`). It
never counts too much, so a tier is never granted early.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from gateway.model import AccountId

Month = tuple[int, int]
"""Year and month, UTC."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Volumes(Protocol):
    """Tells accounts' volumes."""

    def segments(self, account_id: AccountId, at_s: int) -> int:
        """Return the segments accepted of an account in the month of `at_s`, before it."""
        ...


class _NoVolumes:
    def segments(self, account_id: AccountId, at_s: int) -> int:
        return 0


NO_VOLUMES: Final[Volumes] = _NoVolumes()


class MonthVolumes:
    """This month's counts, in memory; one number an account."""

    def __init__(self) -> None:
        self._begins_s = self._ends_s = 0
        self._counts: dict[AccountId, int] = {}

    def segments(self, account_id: AccountId, at_s: int) -> int:
        """See `Volumes.segments`."""
        if self._begins_s <= at_s < self._ends_s:
            return self._counts.get(account_id, 0)
        return 0

    def add(self, account_id: AccountId, segments: int, at_s: int) -> None:
        """Count a message that this node has just stored."""
        if at_s >= self._ends_s:
            self._turn_to(month_of(at_s))
        if at_s >= self._begins_s:
            self._counts[account_id] = self._counts.get(account_id, 0) + segments

    def learn(self, month: Month, counts: Mapping[AccountId, int]) -> None:
        """Take what the store knew of a month a moment ago, where that is more than we knew."""
        begins_s = month_begins_s(month)
        if begins_s > self._begins_s:
            self._turn_to(month)
        elif begins_s < self._begins_s:
            return
        for account_id, segments in counts.items():
            self._counts[account_id] = max(segments, self._counts.get(account_id, 0))

    def _turn_to(self, month: Month) -> None:
        self._begins_s, self._ends_s = month_begins_s(month), month_begins_s(month_after(month))
        self._counts = {}


def month_of(at_s: int) -> Month:
    """Return the calendar month of a second, UTC."""
    moment = _EPOCH + timedelta(seconds=at_s)
    return moment.year, moment.month


def month_after(month: Month) -> Month:
    year, number = month
    return (year + 1, 1) if number == 12 else (year, number + 1)


def month_begins_s(month: Month) -> int:
    """Return the first second of a month, UTC."""
    return (datetime(*month, 1, tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
