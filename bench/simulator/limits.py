"""How fast a carrier takes segments, and how fast they came.

The gateway has a bucket of its own; the carrier's must not share its code, or a mistake in one
would hide in the other.
"""

from __future__ import annotations

from collections import deque


class Bucket:
    """A token bucket in segments: `rate_per_s` for ever, `burst` at once."""

    __slots__ = ("_burst", "_rate_per_s", "_tokens", "_updated_s")

    def __init__(self, rate_per_s: float, burst: int) -> None:
        self._rate_per_s = rate_per_s
        self._burst = float(burst or max(1, round(rate_per_s / 10)))
        self._tokens = self._burst
        self._updated_s = float("-inf")

    def take(self, now: float) -> bool:
        """Return whether one more segment may come at `now`."""
        if self._rate_per_s <= 0:
            return True
        grown = self._tokens + (now - self._updated_s) * self._rate_per_s
        self._tokens = min(self._burst, grown)
        self._updated_s = now
        # The tolerance is for rounding in the sum above, far below one segment.
        if self._tokens < 1.0 - 1e-9:
            return False
        self._tokens -= 1.0
        return True


class RateMeter:
    """The most segments seen in any one second."""

    __slots__ = ("_inside", "_recent", "highest")

    def __init__(self) -> None:
        self._recent: deque[tuple[float, int]] = deque()
        self._inside = 0
        self.highest = 0

    def note(self, now: float, segments: int) -> None:
        """Count `segments` that came at `now`; times never go back."""
        recent = self._recent
        recent.append((now, segments))
        self._inside += segments
        while recent[0][0] <= now - 1.0:
            self._inside -= recent.popleft()[1]
        if self._inside > self.highest:
            self.highest = self._inside
