"""A carrier's rate as the carrier wants it: slower at once when it says so, faster slowly.

ESME_RTHROTTLED and ESME_RMSGQFUL cut the rate of the whole carrier by a factor and pause it; then
each second of success adds a fixed share of what it lost against, up to the agreed rate. This is
the additive increase and multiplicative decrease that lets independent senders share a link.

Not here: that the throttled message stays first (`lanes.py`, `push_front`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.throttle.bucket import SEND, Send, Wait
from gateway.throttle.pacer import Pacer


class AdaptiveLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How sharply a carrier's complaint is answered."""

    cut: float = 0.5
    """What is left of the rate after a complaint."""
    pause_s: float = 1.0
    """Nothing leaves for so long. Complaints in this time answer what left before the cut, a
    whole window of them, and count as the same one."""
    recover_share: float = 0.02
    """Each second of success adds this share of the agreed rate: 25 s from half to full."""
    floor_share: float = 0.02
    """Never slower than this share of the agreed rate, or recovery would take for ever."""


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

    __slots__ = ("_agreed", "_grown_at", "_limits", "_meter", "_pacer", "_rate", "_reference")

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
        self._grown_at = 0.0
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
        return self._pacer.ready_at(now) if self._rate else now

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
        self._agreed = agreed
        self._pacer.change(self._rate, burst, now)

    def throttled(self, now: float) -> None:
        """Note ESME_RTHROTTLED or ESME_RMSGQFUL: cut the rate and pause, at most once a pause."""
        if self.slowed and now < self._grown_at:
            return
        if not self._reference:
            self._reference = max(self._meter.rate(now), MEASURED_RATE_MIN)
            self._rate = self._reference
        floor = self._reference * self._limits.floor_share
        self._change_rate(max(self._rate * self._limits.cut, floor), now)
        self._grown_at = now + self._limits.pause_s
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
        grown = self._rate + self._reference * self._limits.recover_share * min(
            elapsed_s, GROWTH_GAP_MAX_S
        )
        if self._agreed:
            self._change_rate(min(grown, self._agreed), now)
        elif grown < UNLIMITED_AGAIN * self._reference:
            self._change_rate(grown, now)
        else:
            self._reference = 0.0
            self._change_rate(0.0, now)

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
