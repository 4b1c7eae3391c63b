"""How fast a queue empties, so that who is sent away is told when to come back."""

from __future__ import annotations

import math
from typing import Final

WAIT_MIN_S: Final = 1.0
"""Less is not worth a second request; and Retry-After knows whole seconds only."""
WAIT_MAX_S: Final = 300.0
"""Further ahead nothing is known: a carrier comes back, a campaign ends."""


class Drain:
    """A mean over the last `memory_s` seconds or so, later ones weighing more."""

    __slots__ = ("_memory_s", "_per_s")

    def __init__(self, memory_s: float) -> None:
        self._memory_s = memory_s
        self._per_s: float | None = None

    @property
    def per_s(self) -> float:
        """How many leave in a second; 0.0 while nothing is known."""
        return self._per_s or 0.0

    def passed(self, count: int, seconds: float) -> None:
        """Note that so many left within the last `seconds`."""
        if seconds <= 0:
            return
        if self._per_s is None:
            self._per_s = count / seconds
        else:
            self._per_s += (count / seconds - self._per_s) * -math.expm1(-seconds / self._memory_s)

    def wait_s(self, count: int) -> float:
        """Return in how many seconds so many will have left, within what is worth saying."""
        per_s = self.per_s
        if count >= per_s * WAIT_MAX_S:
            return WAIT_MAX_S
        return max(WAIT_MIN_S, count / per_s)
