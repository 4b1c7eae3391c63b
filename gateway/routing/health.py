"""Whether a carrier can take traffic: the words for it, and a breaker that learns it.

    CLOSED ──(too many fail, or are slow; silence)──► OPEN ──(time)──► HALF_OPEN
       ▲                                               ▲                  │
       └────────(all trials succeed)───────────────────┼──────────────────┤
                                                       └─(a trial fails)──┘

A carrier that is not closed is avoided where a route has another one; where it has none, it gets
its messages all the same.

Not here: what receipts say of it (`deliveries.py`), the choice among carriers (`choose.py`), a
carrier's speed (`throttle/`), whether its binds are up (the session's business, joined in by
`worst`).
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway.record import Record

if TYPE_CHECKING:
    from gateway.routing.deliveries import DeliveryBreaker


class Usable(Record):
    """It can take a message now."""

    __slots__ = ()


class Away(Record):
    """It can't now; asking again makes sense at `until`, or earlier when something happens."""

    __slots__ = ("until",)

    def __init__(self, until: float) -> None:
        self.until: Final = until


class Gone(Record):
    """It won't by itself: drained by hand, or no longer configured."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason: Final = reason


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
    HALF_OPEN = "half_open"
    OPEN = "open"


class Cause(enum.Enum):
    """Why a breaker is in the state that it is in."""

    FAILED = "failed"
    """Too many submissions failed by the carrier's fault."""
    SLOW = "slow"
    """Too many answers took too long."""
    SILENT = "silent"
    """Nothing was answered at all."""
    UNDELIVERED = "undelivered"
    """By its receipts it delivers far less than it used to."""
    TIME = "time"
    """It has waited long enough to be tried again."""
    RECOVERED = "recovered"


OnChange = Callable[[BreakerState, Cause], None]


def unheard(state: BreakerState, cause: Cause) -> None:
    return None


class BreakerLimits(Record):
    """When a breaker opens, and how it closes again."""

    __slots__ = (
        "failed_share",
        "open_first_s",
        "open_max_s",
        "outcomes_min",
        "silent_s",
        "slow_s",
        "slow_share",
        "trial_timeout_s",
        "trials",
        "window_s",
    )

    def __init__(
        self,
        *,
        window_s: float = 20.0,
        outcomes_min: int = 20,
        failed_share: float = 0.5,
        slow_s: float = 10.0,
        slow_share: float = 0.5,
        silent_s: float = 15.0,
        open_first_s: float = 5.0,
        open_max_s: float = 300.0,
        trials: int = 5,
        trial_timeout_s: float = 90.0,
    ) -> None:
        self.window_s: Final = window_s
        """Outcomes count for at least half of this and never longer."""
        self.outcomes_min: Final = outcomes_min
        """Fewer outcomes in the window say nothing: one unlucky message must not stop a quiet
        carrier."""
        self.failed_share: Final = failed_share
        """Routes fail over above this; below it, retries cost less than moving the traffic."""
        self.slow_s: Final = slow_s
        """An answer that takes longer is a slow one; 0: none is."""
        self.slow_share: Final = slow_share
        """Of the answers; 0.05 is a bound on their 95th percentile, 0.5 on their median."""
        self.silent_s: Final = silent_s
        """So long without any answer while something is in flight; 0: however long."""
        self.open_first_s: Final = open_first_s
        self.open_max_s: Final = open_max_s
        """The pause doubles from first to max while trials keep failing."""
        self.trials: Final = trials
        """Submissions that may go out half-open; all have to succeed."""
        self.trial_timeout_s: Final = trial_timeout_s
        """A trial without any outcome is forgotten after this; longer than a response may take, so
        that it only guards against an outcome that was never reported."""


class Breaker:
    """One carrier's breaker. Report every `sent` and, for each, one outcome.

    `failed` is the carrier's fault: a system error, silence, a lost bind (once a bind, not once
    for every submission that was in flight). A refusal of one message and ESME_RTHROTTLED are
    answers of a carrier that works: `answered`.
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
        "answers",
        "cause",
        "deliveries",
        "on_change",
    )

    def __init__(
        self, limits: BreakerLimits | None = None, deliveries: DeliveryBreaker | None = None
    ) -> None:
        """`deliveries` judges by receipts; None: they are not looked at."""
        self._limits = limits or BreakerLimits()
        self._state = BreakerState.CLOSED
        self.cause = Cause.RECOVERED
        """Of its present state."""
        self.on_change: OnChange = unheard
        """Hears of every new state, as it is noticed; see `listen`."""
        self.answers = 0
        """Outcomes so far; what does not grow is silent."""
        self.deliveries = deliveries
        self._outcomes = _Outcomes(self._limits.window_s / 2)
        self._openings = 0
        self._open_until = 0.0
        self._trials_sent = 0
        self._trials_succeeded = 0
        self._trial_deadline = 0.0

    def use(self, other: Breaker) -> None:
        """Go by another one's limits from now on; what is known stays."""
        limits = other._limits
        if limits.window_s != self._limits.window_s:
            self._outcomes = _Outcomes(limits.window_s / 2)
        self._limits = limits
        if other.deliveries is not None and self.deliveries is not None:
            self.deliveries.use(other.deliveries)
        else:
            self.deliveries = other.deliveries
            self.listen(self.on_change)

    def listen(self, on_change: OnChange) -> None:
        """Have new states told, those by receipts too."""
        self.on_change = on_change
        if self.deliveries is not None:
            self.deliveries.on_change = on_change

    def state(self, now: float) -> BreakerState:
        """Return the state, after what the time alone has changed."""
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._forget_trials()
            self._enter(BreakerState.HALF_OPEN, Cause.TIME)
        return self._state

    def condition(self, now: float) -> tuple[BreakerState, Cause]:
        """Return the state by outcomes or by receipts, whichever is the worse, and its cause."""
        own = self.state(now), self.cause
        if self.deliveries is None:
            return own
        other = self.deliveries.state(now), self.deliveries.cause
        return other if _BADNESS[other[0]] > _BADNESS[own[0]] else own

    def availability(self, now: float) -> Availability:
        """Say whether a submission may go out now."""
        if self.deliveries is not None:
            return worst(self._availability(now), self.deliveries.availability(now))
        return self._availability(now)

    def sent(self, now: float) -> None:
        """Note that a submission went out; half-open, it is one of the trials."""
        if self._state is not BreakerState.CLOSED and self.state(now) is BreakerState.HALF_OPEN:
            self._trials_sent += 1
            self._trial_deadline = now + self._limits.trial_timeout_s
        if self.deliveries is not None:
            self.deliveries.sent(now)

    def unsent(self, now: float) -> None:
        """Take back a `sent`: it did not leave after all, and no outcome will follow."""
        if self.state(now) is BreakerState.HALF_OPEN and self._trials_sent:
            self._trials_sent -= 1

    def answered(self, now: float, took_s: float = 0.0) -> None:
        """Note an answer of a carrier that works, and how long it took."""
        self.answers += 1
        slow = took_s > self._limits.slow_s > 0
        state = self._state if self._state is BreakerState.CLOSED else self.state(now)
        if state is BreakerState.CLOSED:
            self._outcomes.note(now, slow=slow)
            if slow:
                self._judge(now)
        elif state is BreakerState.HALF_OPEN and self._trials_sent:
            if slow:
                self._open(now, Cause.SLOW)
                return
            self._trials_succeeded += 1
            if self._trials_succeeded >= self._limits.trials:
                self._openings = 0
                self._outcomes = _Outcomes(self._limits.window_s / 2)
                self._enter(BreakerState.CLOSED, Cause.RECOVERED)

    def failed(self, now: float) -> None:
        """Note a failure that was the carrier's."""
        self.answers += 1
        state = self.state(now)
        if state is BreakerState.CLOSED:
            self._outcomes.note(now, failed=True)
            self._judge(now)
        elif state is BreakerState.HALF_OPEN and self._trials_sent:
            self._open(now, Cause.FAILED)
        # Open, or half-open before its first trial: the tail of what went out before. Known.

    def unanswered(self, now: float, for_s: float) -> None:
        """Note that for so long nothing was answered of what is in flight."""
        if not 0 < self._limits.silent_s <= for_s:
            return
        state = self.state(now)
        trying = state is BreakerState.HALF_OPEN and self._trials_sent
        if state is BreakerState.CLOSED or trying:
            self._open(now, Cause.SILENT)

    def _availability(self, now: float) -> Availability:
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

    def _judge(self, now: float) -> None:
        """Open when the outcomes of the window say so."""
        outcomes, limits = self._outcomes, self._limits
        if outcomes.count < limits.outcomes_min:
            return
        if outcomes.failed_share >= limits.failed_share:
            self._open(now, Cause.FAILED)
        elif limits.slow_s and outcomes.slow_share >= limits.slow_share:
            self._open(now, Cause.SLOW)

    def _open(self, now: float, cause: Cause) -> None:
        pause_s = self._limits.open_first_s * 2.0 ** min(self._openings, 32)
        self._open_until = now + min(pause_s, self._limits.open_max_s)
        self._openings += 1
        self._enter(BreakerState.OPEN, cause)

    def _enter(self, state: BreakerState, cause: Cause) -> None:
        self._state, self.cause = state, cause
        self.on_change(state, cause)

    def _forget_trials(self) -> None:
        self._trials_sent = 0
        self._trials_succeeded = 0


_BADNESS = {state: place for place, state in enumerate(BreakerState)}


class _Outcomes:
    """Outcomes of the present half window and the one before it."""

    __slots__ = ("_before", "_half_s", "_present", "_started_at")

    def __init__(self, half_s: float) -> None:
        self._half_s = half_s
        self._started_at: float | None = None
        self._present = (0, 0, 0)
        """How many there were, how many failed, and how many were slow."""
        self._before = (0, 0, 0)

    def note(self, now: float, *, failed: bool = False, slow: bool = False) -> None:
        self._roll(now)
        count, failures, slows = self._present
        self._present = (count + 1, failures + failed, slows + slow)

    @property
    def count(self) -> int:
        return self._present[0] + self._before[0]

    @property
    def failed_share(self) -> float:
        return (self._present[1] + self._before[1]) / self.count

    @property
    def slow_share(self) -> float:
        return (self._present[2] + self._before[2]) / self.count

    def _roll(self, now: float) -> None:
        if self._started_at is None or now - self._started_at >= 2 * self._half_s:
            self._started_at = now
            self._present = self._before = (0, 0, 0)
        elif now - self._started_at >= self._half_s:
            self._started_at += self._half_s
            self._before, self._present = self._present, (0, 0, 0)
