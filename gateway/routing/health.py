"""Whether a carrier can take traffic: the words for it, and a breaker that learns it.

    CLOSED ──(share of failures ≥ failed_share)──► OPEN ──(time)──► HALF_OPEN
       ▲                                            ▲                  │
       └────────(all trials succeed)────────────────┼──────────────────┤
                                                    └─(a trial fails)──┘

Not here: the choice among carriers (`choose.py`), a carrier's speed (`throttle/`), whether its
binds are up (the session's business, joined in by `worst`).
"""

from __future__ import annotations

import enum
from typing import Final

import msgspec


class Usable(msgspec.Struct, frozen=True, gc=False):
    """It can take a message now."""


class Away(msgspec.Struct, frozen=True, gc=False):
    """It can't now; asking again makes sense at `until`, or earlier when something happens."""

    until: float


class Gone(msgspec.Struct, frozen=True, gc=False):
    """It won't by itself: drained by hand, or no longer configured."""

    reason: str


Availability = Usable | Away | Gone

USABLE: Final = Usable()


def worst(*parts: Availability) -> Availability:
    """Join what several judges say of one carrier: all of them have to agree that it is usable."""
    away: Away | None = None
    for part in parts:
        if isinstance(part, Gone):
            return part
        if isinstance(part, Away) and (away is None or away.until < part.until):
            away = part
    return away or USABLE


class BreakerState(enum.Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class BreakerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens, and how it closes again."""

    window_s: float = 20.0
    """Outcomes count for at least half of this and never longer."""
    outcomes_min: int = 20
    """Fewer outcomes in the window say nothing: one unlucky message must not stop a quiet
    carrier."""
    failed_share: float = 0.5
    """Routes fail over above this; below it, retries cost less than moving the traffic."""
    open_first_s: float = 5.0
    open_max_s: float = 300.0
    """The pause doubles from first to max while trials keep failing."""
    trials: int = 5
    """Submissions that may go out half-open; all have to succeed."""
    trial_timeout_s: float = 90.0
    """A trial without any outcome is forgotten after this; longer than a response may take, so
    that it only guards against an outcome that was never reported."""


class Breaker:
    """One carrier's breaker. Report every `sent` and, for each, one outcome.

    `failed` is the carrier's fault: a system error, silence, a lost bind (once a bind, not once
    for every submission that was in flight). A refusal of one message and ESME_RTHROTTLED are
    answers of a carrier that works: `succeeded`.
    """

    __slots__ = (
        "_limits",
        "_open_until",
        "_openings",
        "_outcomes",
        "_state",
        "_trial_deadline",
        "_trials_sent",
        "_trials_succeeded",
    )

    def __init__(self, limits: BreakerLimits | None = None) -> None:
        self._limits = limits or BreakerLimits()
        self._state = BreakerState.CLOSED
        self._outcomes = _Outcomes(self._limits.window_s / 2)
        self._openings = 0
        self._open_until = 0.0
        self._trials_sent = 0
        self._trials_succeeded = 0
        self._trial_deadline = 0.0

    def state(self, now: float) -> BreakerState:
        """Return the state, after what the time alone has changed."""
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._state = BreakerState.HALF_OPEN
            self._forget_trials()
        return self._state

    def availability(self, now: float) -> Availability:
        """Say whether a submission may go out now."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return USABLE
        if state is BreakerState.OPEN:
            return Away(self._open_until)
        if self._trials_sent < self._limits.trials:
            return USABLE
        if now < self._trial_deadline:
            return Away(self._trial_deadline)
        self._forget_trials()
        return USABLE

    def sent(self, now: float) -> None:
        """Note that a submission went out; half-open, it is one of the trials."""
        if self.state(now) is BreakerState.HALF_OPEN:
            self._trials_sent += 1
            self._trial_deadline = now + self._limits.trial_timeout_s

    def unsent(self, now: float) -> None:
        """Take back a `sent`: it did not leave after all, and no outcome will follow."""
        if self.state(now) is BreakerState.HALF_OPEN and self._trials_sent:
            self._trials_sent -= 1

    def succeeded(self, now: float) -> None:
        """Note an answer of a carrier that works."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            self._outcomes.note(now, failed=False)
        elif state is BreakerState.HALF_OPEN and self._trials_sent:
            self._trials_succeeded += 1
            if self._trials_succeeded >= self._limits.trials:
                self._state = BreakerState.CLOSED
                self._openings = 0
                self._outcomes = _Outcomes(self._limits.window_s / 2)

    def failed(self, now: float) -> None:
        """Note a failure that was the carrier's."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            self._outcomes.note(now, failed=True)
            if self._outcomes.count < self._limits.outcomes_min:
                return
            if self._outcomes.failed_share >= self._limits.failed_share:
                self._open(now)
        elif state is BreakerState.HALF_OPEN and self._trials_sent:
            self._open(now)
        # Open, or half-open before its first trial: the tail of what went out before. Known.

    def _open(self, now: float) -> None:
        pause_s = self._limits.open_first_s * 2.0 ** min(self._openings, 32)
        self._state = BreakerState.OPEN
        self._open_until = now + min(pause_s, self._limits.open_max_s)
        self._openings += 1

    def _forget_trials(self) -> None:
        self._trials_sent = 0
        self._trials_succeeded = 0


class _Outcomes:
    """Successes and failures of the present half window and the one before it."""

    __slots__ = ("_before", "_half_s", "_present", "_started_at")

    def __init__(self, half_s: float) -> None:
        self._half_s = half_s
        self._started_at: float | None = None
        self._present = (0, 0)
        self._before = (0, 0)

    def note(self, now: float, *, failed: bool) -> None:
        self._roll(now)
        count, failures = self._present
        self._present = (count + 1, failures + failed)

    @property
    def count(self) -> int:
        return self._present[0] + self._before[0]

    @property
    def failed_share(self) -> float:
        return (self._present[1] + self._before[1]) / self.count

    def _roll(self, now: float) -> None:
        if self._started_at is None or now - self._started_at >= 2 * self._half_s:
            self._started_at = now
            self._present = self._before = (0, 0)
        elif now - self._started_at >= self._half_s:
            self._started_at += self._half_s
            self._before, self._present = self._present, (0, 0)
