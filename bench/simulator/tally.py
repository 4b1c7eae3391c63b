"""What a simulated carrier counts. It goes on counting over lost and new connections."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.simulator.limits import RateMeter

BINDS_KEPT_MAX = 200
"""Closed binds whose figures are kept one by one; a soak run makes thousands."""


class Messages:
    """Which messages came, and how often.

    64 bits a message, about 70 bytes in memory: a run of 10,000,000 keeps 700 MB, so the
    simulator of a soak run is started anew now and then.
    """

    __slots__ = ("_again", "_refused", "_taken", "duplicates")

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._again: dict[int, int] = {}
        self._refused: dict[int, int] = {}
        self.duplicates = 0
        """Submissions that were taken although their message had been taken before."""

    @property
    def distinct(self) -> int:
        """Messages that were taken at least once."""
        return len(self._taken)

    def find_missing(self, keys: Iterable[int]) -> list[int]:
        """Return those of `keys` that were not taken."""
        return [key for key in keys if key not in self._taken]

    def attempts(self, key: int) -> int:
        """Return how often this message has come before."""
        before = self._refused.get(key, 0)
        if key in self._taken:
            before += 1 + self._again.get(key, 0)
        return before

    def note_taken(self, key: int) -> None:
        if key in self._taken:
            self.duplicates += 1
            self._again[key] = self._again.get(key, 0) + 1
        else:
            self._taken.add(key)

    def note_refused(self, key: int) -> None:
        self._refused[key] = self._refused.get(key, 0) + 1


@dataclass(slots=True)
class BindFigures:
    """One bind's own figures."""

    number: int
    system_id: str
    mode: str
    submit_sm: int = 0
    answered: int = 0
    in_flight: int = 0
    in_flight_max: int = 0
    delivered: int = 0
    """deliver_sm and data_sm sent to it."""
    acknowledged: int = 0
    open: bool = True

    def note_submitted(self) -> None:
        self.submit_sm += 1
        self.in_flight += 1
        if self.in_flight > self.in_flight_max:
            self.in_flight_max = self.in_flight

    def note_answered(self, submissions: int) -> None:
        self.answered += submissions
        self.in_flight -= submissions


@dataclass(slots=True)
class Deliveries:
    """What was sent to the client, receipts or messages from phones."""

    made: int = 0
    sent: int = 0
    acknowledged: int = 0
    refused: int = 0
    """Answered with a status that is no request to try again."""
    redelivered: int = 0
    """Sent again, because the bind was lost before its answer or the client asked for it."""
    dropped: int = 0
    """Not sent, because too many wait for a receiver."""


def _from_zero() -> defaultdict[Any, int]:
    # Not a Counter: one more costs it three times as much (0.27 against 0.09 µs).
    return defaultdict(int)


@dataclass(slots=True)
class Tally:
    """Everything that one carrier counts."""

    messages: Messages = field(default_factory=Messages)
    rate: RateMeter = field(default_factory=RateMeter)
    submit_sm: int = 0
    submitted_s: float = 0.0
    """When the last submit_sm came, and below the last acknowledgement of a deliver_sm: seconds of
    the machine's monotonic clock, to about a millisecond."""
    acknowledged_s: float = 0.0
    statuses: defaultdict[int, int] = field(default_factory=_from_zero)
    """Answers to submit_sm by command_status."""
    troubles: defaultdict[str, int] = field(default_factory=_from_zero)
    states: defaultdict[str, int] = field(default_factory=_from_zero)
    """Receipts made, by state."""
    variants: defaultdict[str, int] = field(default_factory=_from_zero)
    """Malformed receipts made, by variant."""
    receipts: Deliveries = field(default_factory=Deliveries)
    mobile: Deliveries = field(default_factory=Deliveries)
    bound: int = 0
    binds_refused: defaultdict[int, int] = field(default_factory=_from_zero)
    binds_open_max: int = 0
    unbound: int = 0
    """Binds that ended with unbind; the others were lost or cut."""
    lost: int = 0
    answers_lost: int = 0
    """Answers that were due after their connection had gone."""
    malformed_pdus: int = 0
    in_flight_max: int = 0
    open_binds: dict[int, BindFigures] = field(default_factory=dict)
    closed_binds: deque[BindFigures] = field(default_factory=lambda: deque(maxlen=BINDS_KEPT_MAX))

    def note_bound(self, figures: BindFigures) -> None:
        self.bound += 1
        self.open_binds[figures.number] = figures
        self.binds_open_max = max(self.binds_open_max, len(self.open_binds))

    def note_closed(self, figures: BindFigures, *, unbound: bool) -> None:
        figures.open = False
        if unbound:
            self.unbound += 1
        else:
            self.lost += 1
        self.in_flight_max = max(self.in_flight_max, figures.in_flight_max)
        self.closed_binds.append(self.open_binds.pop(figures.number))

    def report(self) -> dict[str, Any]:
        """Return the counts as plain values for JSON."""
        binds = [*self.closed_binds, *self.open_binds.values()]
        return {
            "submit_sm": self.submit_sm,
            "submitted_s": self.submitted_s,
            "acknowledged_s": self.acknowledged_s,
            "distinct": self.messages.distinct,
            "duplicates": self.messages.duplicates,
            "statuses": {f"{status:#x}": n for status, n in sorted(self.statuses.items())},
            "unanswered": dict(self.troubles),
            "answers_lost": self.answers_lost,
            "rate_max_per_s": self.rate.highest,
            "in_flight_max": max([self.in_flight_max, *(bind.in_flight_max for bind in binds)]),
            "receipts": _figures(self.receipts) | {"states": dict(self.states)},
            "malformed_receipts": dict(self.variants),
            "mobile_originated": _figures(self.mobile),
            "binds": {
                "bound": self.bound,
                "open": len(self.open_binds),
                "open_max": self.binds_open_max,
                "unbound": self.unbound,
                "lost": self.lost,
                "refused": {f"{status:#x}": n for status, n in sorted(self.binds_refused.items())},
            },
            "malformed_pdus": self.malformed_pdus,
            "bind": [_figures(bind) for bind in binds],
        }


def _figures(values: Deliveries | BindFigures) -> dict[str, Any]:
    return {name: getattr(values, name) for name in values.__slots__}
