"""Whether something grows, from samples taken over time. Decides, and waits for nothing.

What is bounded may still rise for a while: caches fill, a table is emptied only every 15 minutes.
So the first part of a run is left out, and tables are compared at their fullest.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.generator.figures import percentile

MINUTE_S: Final = 60.0
WARM_UP_S: Final = 900.0
"""What a gateway needs until its caches are full and each of its duties was done once."""
WARM_UP_SHARE_MAX: Final = 1 / 3
"""Of a run that is too short for that."""
SECONDS_MIN: Final = 1_500.0
"""A shorter run says nothing about growth: it is hardly warm."""
MEMORY_MB_PER_HOUR_MAX: Final = 5.0
"""A day of it would be 120 MB: a leak of 10 octets a message at 150 messages a second."""
GROWTH_MAX: Final = 1.3
"""From the middle third of a run to the last one, of the fullest that something was."""
ROWS_SLACK: Final = 1_000.0
"""Rows that come and go between two looks."""
DISK_SLACK_MB: Final = 8.0
"""A table that is emptied in steps has its size by the greatest step."""
AFTER_PAUSE_S: Final = 5.0
"""What was due while the machine stood still is caught up with for so long."""

Points = Sequence[tuple[float, float]]
"""(seconds since the start, value), in order."""


@dataclass(frozen=True, slots=True)
class Pause:
    """The machine, or this process, stood still from one second to another."""

    begin_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one thing; `kept` is None where the run was too short to say."""

    what: str
    found: str
    limit: str
    kept: bool | None

    def row(self) -> list[str]:
        word = {True: "kept", False: "GREW", None: "too short to say"}[self.kept]
        return [self.what, self.found, self.limit, word]


@dataclass(frozen=True, slots=True)
class Minute:
    """The latencies of the requests that were due in one minute."""

    minute: int
    requests: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def find_warm_up_s(seconds: float) -> float:
    """Return how much of the beginning of a run is left out."""
    return min(WARM_UP_S, seconds * WARM_UP_SHARE_MAX)


def fit_slope(points: Points) -> float:
    """Return the slope of the least squares' line through the points, a second."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def judge_memory(what: str, points: Points, seconds: float) -> Verdict:
    """Return whether the memory of something is flat after the warm-up; values are MB."""
    later = [point for point in points if point[0] >= find_warm_up_s(seconds)]
    limit = f"≤ {MEMORY_MB_PER_HOUR_MAX:g} MB an hour"
    if seconds < SECONDS_MIN or not later:
        return Verdict(what, f"at most {_most(points):.1f} MB", limit, None)
    slope = fit_slope(later) * 3_600
    found = f"{slope:+.2f} MB an hour, {later[0][1]:.1f} → {later[-1][1]:.1f} MB"
    return Verdict(what, found, limit, slope <= MEMORY_MB_PER_HOUR_MAX)


def judge_fullest(
    what: str, points: Points, seconds: float, slack: float, unit: str = ""
) -> Verdict:
    """Return whether something is no fuller in the last third of a run than in the middle one."""
    limit = f"≤ {GROWTH_MAX:g} × the middle third + {slack:g}"
    middle = [value for at_s, value in points if seconds / 3 <= at_s < seconds * 2 / 3]
    last = [value for at_s, value in points if at_s >= seconds * 2 / 3]
    if seconds < SECONDS_MIN or not (middle and last):
        return Verdict(what, f"at most {_most(points):,.0f}{unit}", limit, None)
    before, after = max(middle), max(last)
    found = f"at most {before:,.0f}, then {after:,.0f}{unit}"
    return Verdict(what, found, limit, after <= before * GROWTH_MAX + slack)


def _most(points: Points) -> float:
    return max((value for _, value in points), default=0.0)


def tell_minutes(answers: Iterable[tuple[float, float]], pauses: Sequence[Pause]) -> list[Minute]:
    """Return the latencies by the minute; answers are (answered at, latency), in seconds.

    Requests that were due while the machine stood still, or just after, are left out: they waited
    for the machine and not for the gateway.
    """
    by_minute: dict[int, list[float]] = {}
    ends = [pause.end_s + AFTER_PAUSE_S for pause in pauses]
    for at_s, latency_s in answers:
        due_s = at_s - latency_s
        place = bisect_left(ends, due_s)
        if place < len(pauses) and due_s >= pauses[place].begin_s:
            continue
        by_minute.setdefault(int(due_s // MINUTE_S), []).append(latency_s * 1_000)
    return [_tell(minute, sorted(found)) for minute, found in sorted(by_minute.items())]


def _tell(minute: int, ordered: Sequence[float]) -> Minute:
    return Minute(
        minute,
        len(ordered),
        round(percentile(ordered, 50), 3),
        round(percentile(ordered, 99), 3),
        round(ordered[-1], 3),
    )
