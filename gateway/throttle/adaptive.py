"""A carrier's rate as the carrier wants it: slower at once when it says so, faster slowly.

ESME_RTHROTTLED and ESME_RMSGQFUL cut the rate of the whole carrier by a factor and pause it. Then
the rate comes back quickly to the knee, just below where the carrier complained, stays there, and
only then feels its way up to the agreed rate:

    agreed  ──┐complaint                                     ╭────
              │             knee ┌──── patience ───┐      ╭──╯
              │             ╱                        ╲complaint, or up
              └─── pause ──╱

A complaint before the knee was reached says that the carrier takes less now: the next knee is
halfway down. One that comes while the rate feels its way up says that nothing has changed: patience
doubles. So a carrier that takes less than agreed is used nearly to its limit and complains seldom,
and one that takes all of it again is found out.

Not here: that the throttled message stays first (`lanes.py`, `push_front`).
"""

from __future__ import annotations

import math
from typing import Final

from gateway.record import Record
from gateway.throttle.bucket import SEND, Send, Wait
from gateway.throttle.pacer import Pacer


class AdaptiveLimits(Record):
    """How sharply a carrier's complaint is answered."""

    __slots__ = (
        "cut",
        "floor_share",
        "knee_share",
        "patience_first_s",
        "patience_max_s",
        "pause_s",
        "recover_share",
        "return_s",
    )

    def __init__(
        self,
        *,
        cut: float = 0.5,
        pause_s: float = 1.0,
        return_s: float = 2.0,
        knee_share: float = 0.95,
        patience_first_s: float = 5.0,
        patience_max_s: float = 60.0,
        recover_share: float = 0.02,
        floor_share: float = 0.02,
    ) -> None:
        self.cut: Final = cut
        """What is left of the rate after a complaint."""
        self.pause_s: Final = pause_s
        """Nothing leaves for so long. Complaints in this time answer what left before the cut, a
        whole window of them, and count as the same one."""
        self.return_s: Final = return_s
        """From the end of the pause to the knee."""
        self.knee_share: Final = knee_share
        """Of the rate that the carrier complained about, where the knee is."""
        self.patience_first_s: Final = patience_first_s
        self.patience_max_s: Final = patience_max_s
        self.recover_share: Final = recover_share
        """Past the knee each second of success adds this share of the agreed rate, and as much
        again after every `PROBE_S`."""
        self.floor_share: Final = floor_share
        """Never slower than this share of the agreed rate, or recovery would take for ever."""


PROBE_S: Final = 2.5
"""The longer a rate grows without a complaint, the faster."""

MOVED_SHARE: Final = 1.25
"""This far past the knee the carrier's limit is known to be another one now."""

FORGET_S: Final = 60.0
"""A complaint that comes so long after the agreed rate was reached is a new one. Sooner, the
carrier's own burst had only hidden that its limit is where it was."""

GROWTH_STEP_S: Final = 0.1
"""The rate grows at most this often: finer steps cost time on each response and change nothing."""

GROWTH_GAP_MAX_S: Final = 1.0
"""Silence is no success: after an idle hour the rate grows by one second's worth."""

MEASURED_RATE_MIN: Final = 1.0
"""Segments a second that an unlimited carrier is slowed from when it complains at once."""

UNLIMITED_AGAIN: Final = 2.0
"""An unlimited carrier is so again once it takes this many times what it complained about."""


class AdaptiveRate:
    """One carrier's pacer and its present rate. Report every answer to a submission.

    Without an agreed rate (0 or None) there is no limit until the carrier complains; then the
    rate that was measured takes the agreed one's place, until the carrier takes twice as much.
    """

    __slots__ = (
        "_agreed",
        "_cut_at",
        "_grown_at",
        "_knee",
        "_limits",
        "_low",
        "_meter",
        "_pacer",
        "_patience_s",
        "_probed_s",
        "_rate",
        "_reference",
        "_restored_at",
        "_waited_s",
    )

    def __init__(
        self,
        rate_per_s: float | None,
        burst: int = 1,
        limits: AdaptiveLimits | None = None,
        *,
        started_at: float | None = None,
    ) -> None:
        """`started_at` as in `Pacer`: what an earlier process sent counts too."""
        self._pacer = Pacer(rate_per_s, burst, started_at=started_at)
        self._limits = limits or AdaptiveLimits()
        assert 0 < self._limits.floor_share <= self._limits.cut < 1
        self._agreed = rate_per_s or 0.0
        self._reference = self._agreed
        """What cuts and growth are shares of: the agreed rate, else the measured one, else 0."""
        self._rate = self._agreed
        self._cut_at = self._grown_at = self._restored_at = -math.inf
        self._low = self._knee = 0.0
        """Where the last complaint has left the rate, and where it comes back to; 0.0: none."""
        self._patience_s = self._limits.patience_first_s
        self._waited_s = self._probed_s = 0.0
        """For how long it has been at the knee, and beyond."""
        self._meter = _Meter()

    @property
    def rate_per_s(self) -> float:
        """The present rate; 0.0 when there is no limit."""
        return self._rate

    @property
    def slowed(self) -> bool:
        """Whether the carrier's complaints hold the rate below what was agreed."""
        return self._rate != self._agreed

    @property
    def agreed_per_s(self) -> float:
        """The rate of the contract; 0.0 when it has none."""
        return self._agreed

    @property
    def burst(self) -> int:
        return self._pacer.burst

    def take(self, count: int, now: float) -> Send | Wait:
        """Take `count` segments, all or none; see `Pacer.take`."""
        return self._pacer.take(count, now) if self._rate else SEND

    def ready_at(self, now: float) -> float:
        """Return when a segment may leave: `now`, or later. Takes nothing."""
        return self._pacer.ready_at(1, now) if self._rate else now

    def agree(
        self,
        rate_per_s: float | None,
        burst: int,
        now: float,
        limits: AdaptiveLimits | None = None,
    ) -> None:
        """Go on under another contract; what the carrier complained about stays as it was."""
        self._limits = limits or self._limits
        agreed = rate_per_s or 0.0
        if not self.slowed:
            self._reference = self._rate = agreed
        elif agreed:
            self._reference = agreed
            self._rate = min(self._rate, agreed)
            self._knee = min(self._knee, agreed)
        self._agreed = agreed
        self._pacer.change(self._rate, burst, now)

    def throttled(self, now: float, sent_at: float = math.inf) -> None:
        """Note ESME_RTHROTTLED or ESME_RMSGQFUL, for what was sent at a time: cut the rate and
        pause, once for all that left before the cut."""
        if self.slowed and (now < self._grown_at or sent_at < self._cut_at):
            return
        if not self._reference:
            self._reference = max(self._meter.rate(now), MEASURED_RATE_MIN)
            self._rate = self._reference
        if not self.slowed and now - self._restored_at > FORGET_S:
            self._knee = 0.0
        rate, limits = self._rate, self._limits
        self._low = max(rate * limits.cut, self._reference * limits.floor_share)
        self._bend(rate)
        self._waited_s = self._probed_s = 0.0
        self._cut_at = now
        self._grown_at = now + limits.pause_s
        self._change_rate(self._low, now)
        self._pacer.hold_until(self._grown_at)

    def succeeded(self, count: int, now: float) -> None:
        """Note `count` segments that the carrier took: the rate may grow again."""
        if not self._agreed:
            self._meter.note(count, now)
        if not self.slowed:
            return
        elapsed_s = now - self._grown_at
        if elapsed_s < GROWTH_STEP_S:
            return
        self._grown_at = now
        self._grow(min(elapsed_s, GROWTH_GAP_MAX_S), now)

    def _bend(self, rate: float) -> None:
        """Put the knee where a complaint about this rate says."""
        limits, knee = self._limits, self._knee
        if rate < knee:  # it had not come back yet
            self._knee = (self._low + rate) / 2
            self._patience_s = limits.patience_first_s
            return
        if knee and rate < MOVED_SHARE * knee:
            self._patience_s = min(2 * self._patience_s, limits.patience_max_s)
        else:
            self._patience_s = limits.patience_first_s
        self._knee = max(limits.knee_share * rate, self._low)

    def _grow(self, elapsed_s: float, now: float) -> None:
        limits, rate = self._limits, self._rate
        if rate < self._knee:
            rate += (self._knee - self._low) * elapsed_s / limits.return_s
            self._change_rate(min(rate, self._knee), now)
        elif self._waited_s < self._patience_s:
            self._waited_s += elapsed_s
        else:
            self._probed_s += elapsed_s
            share = limits.recover_share * (1.0 + self._probed_s / PROBE_S)
            self._raise_to(rate + self._reference * share * elapsed_s, now)

    def _raise_to(self, rate: float, now: float) -> None:
        if self._agreed:
            if rate >= self._agreed:
                rate, self._restored_at = self._agreed, now
        elif rate >= UNLIMITED_AGAIN * self._reference:
            rate = self._reference = self._knee = 0.0
        self._change_rate(rate, now)

    def _change_rate(self, rate_per_s: float, now: float) -> None:
        self._rate = rate_per_s
        self._pacer.change(rate_per_s, self._pacer.burst, now)


class _Meter:
    """Segments a second over the last one to two seconds."""

    __slots__ = ("_before", "_present", "_started_at")

    def __init__(self) -> None:
        self._started_at: float | None = None
        self._present = 0
        self._before = 0

    def note(self, count: int, now: float) -> None:
        self._roll(now)
        self._present += count

    def rate(self, now: float) -> float:
        """Return the mean of the present second and the whole one before it."""
        self._roll(now)
        assert self._started_at is not None
        elapsed_s = max(now - self._started_at, 0.0)
        return (self._before + self._present) / (1.0 + elapsed_s)

    def _roll(self, now: float) -> None:
        if self._started_at is None or now - self._started_at >= 2.0:
            self._started_at = now
            self._present = self._before = 0
        elif now - self._started_at >= 1.0:
            self._started_at += 1.0
            self._before, self._present = self._present, 0
