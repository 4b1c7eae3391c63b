"""A breaker that learns from receipts: does a carrier deliver what it used to?

    CLOSED ──(recent share of delivered < share x its own past's)──► OPEN ──(time)──► HALF_OPEN
       ▲                                                              ▲                  │
       └──────(as many receipts of trials say that it delivers)──────┼──────────────────┤
                                                                      └──(they don't)────┘

A carrier is compared with itself, as numbers, countries and senders differ from one to another.
The past forgets by halves, so what stays as it is becomes the past: a carrier whose traffic has
changed for good is trusted again after some days, whatever its trials say before.

Receipts tell as much of the numbers that were written to as of the carrier. One account's list of
dead numbers looks like a carrier that fails; whoever switches this on says by it that his other
carriers are as good, and that the traffic is mixed.

Not here: what answers to submissions say (`health.py`).
"""

from __future__ import annotations

import msgspec

from gateway.routing.health import (
    USABLE,
    Availability,
    Away,
    BreakerState,
    Cause,
    OnChange,
    unheard,
)


class DeliveryLimits(msgspec.Struct, frozen=True, kw_only=True):
    """When receipts speak against a carrier, and when for it again."""

    share: float
    """Of its own past's share of delivered; below it, it is avoided."""
    receipts_min: int = 200
    """In the window, and as many in the past; fewer say nothing."""
    window_s: float = 600.0
    """What is recent: receipts count for at least half of this and never longer."""
    past_s: float = 86_400.0
    """The half-life of the past: what was a day ago counts for half."""
    open_first_s: float = 300.0
    open_max_s: float = 3_600.0
    """The pause doubles from first to max while trials keep failing."""
    trials: int = 50
    """Receipts that decide half-open. Twice as many submissions may go out for them: some get
    their receipt late or never."""


class DeliveryBreaker:
    """One carrier's receipts. `note` each final one; `sent` each submission."""

    __slots__ = (
        "_before",
        "_limits",
        "_open_until",
        "_openings",
        "_past",
        "_present",
        "_since",
        "_started_at",
        "_state",
        "_trial_deadline",
        "_trials",
        "_trials_sent",
        "cause",
        "on_change",
    )

    def __init__(self, limits: DeliveryLimits) -> None:
        self._limits = limits
        self.on_change: OnChange = unheard
        self.cause = Cause.RECOVERED
        self._state = BreakerState.CLOSED
        self._started_at: float | None = None
        self._present = (0, 0)
        """How many receipts there were in this half of the window, and how many delivered."""
        self._before = (0, 0)
        self._past = (0.0, 0.0)
        self._openings = 0
        self._open_until = 0.0
        self._since = 0.0
        """When it became half-open: what left before says nothing of now."""
        self._trials = (0, 0)
        self._trials_sent = 0
        self._trial_deadline = 0.0

    def use(self, other: DeliveryBreaker) -> None:
        """Go by another one's limits from now on; what is known stays."""
        self._limits = other._limits

    def state(self, now: float) -> BreakerState:
        """Return the state, after what the time alone has changed."""
        if self._state is BreakerState.OPEN and now >= self._open_until:
            self._since = now
            self._trials = (0, 0)
            self._trials_sent = 0
            self._enter(BreakerState.HALF_OPEN, Cause.TIME)
        return self._state

    def availability(self, now: float) -> Availability:
        """Say whether a submission may go out now."""
        state = self.state(now)
        if state is BreakerState.CLOSED:
            return USABLE
        if state is BreakerState.OPEN:
            return Away(self._open_until)
        if self._trials_sent >= 2 * self._limits.trials:
            if now < self._trial_deadline:
                return Away(self._trial_deadline)
            self._trials_sent = 0
        return USABLE

    def sent(self, now: float) -> None:
        """Note that a submission went out; half-open, it is one of the trials."""
        if self._state is not BreakerState.CLOSED and self.state(now) is BreakerState.HALF_OPEN:
            self._trials_sent += 1
            self._trial_deadline = now + self._limits.window_s

    def note(self, delivered: bool, sent_at: float, now: float) -> None:
        """Note a final receipt of something that went out at `sent_at`."""
        self._roll(now)
        count, good = self._present
        self._present = (count + 1, good + delivered)
        state = self.state(now)
        if state is BreakerState.CLOSED:
            if not delivered and self._has_fallen():
                self._open(now)
        elif state is BreakerState.HALF_OPEN and sent_at >= self._since:
            self._note_trial(delivered, now)

    def _note_trial(self, delivered: bool, now: float) -> None:
        count, good = self._trials
        self._trials = count, good = count + 1, good + delivered
        if count < self._limits.trials:
            return
        if good / count < self._limits.share * self._past_share:
            self._open(now)
        else:
            self._openings = 0
            # What it did before it recovered is not recent any more.
            self._forget_present()
            self._enter(BreakerState.CLOSED, Cause.RECOVERED)

    def _has_fallen(self) -> bool:
        limits = self._limits
        count = self._present[0] + self._before[0]
        if min(count, self._past[0]) < limits.receipts_min:
            return False
        share = (self._present[1] + self._before[1]) / count
        return share < limits.share * self._past_share

    @property
    def _past_share(self) -> float:
        count, good = self._past
        return good / count if count else 0.0

    def _open(self, now: float) -> None:
        pause_s = self._limits.open_first_s * 2.0 ** min(self._openings, 32)
        self._open_until = now + min(pause_s, self._limits.open_max_s)
        self._openings += 1
        self._enter(BreakerState.OPEN, Cause.UNDELIVERED)

    def _enter(self, state: BreakerState, cause: Cause) -> None:
        self._state, self.cause = state, cause
        self.on_change(state, cause)

    def _roll(self, now: float) -> None:
        """Move what is no more recent to the past."""
        half_s = self._limits.window_s / 2
        if self._started_at is None:
            self._started_at = now
        elapsed_s = now - self._started_at
        if elapsed_s < half_s:
            return
        if elapsed_s >= 2 * half_s:
            self._forget_present()
            self._fade(elapsed_s)
            self._started_at = now
        else:
            self._add_to_past(self._before)
            self._fade(half_s)
            self._before, self._present = self._present, (0, 0)
            self._started_at += half_s

    def _forget_present(self) -> None:
        """Have nothing recent: all of it is the past."""
        self._add_to_past(self._before)
        self._add_to_past(self._present)
        self._before = self._present = (0, 0)

    def _fade(self, elapsed_s: float) -> None:
        left = 0.5 ** (elapsed_s / self._limits.past_s)
        self._past = (self._past[0] * left, self._past[1] * left)

    def _add_to_past(self, receipts: tuple[int, int]) -> None:
        self._past = (self._past[0] + receipts[0], self._past[1] + receipts[1])
