"""How long a node may send on a lease that it shares no clock with anybody about.

The database's clock ends the lease for others. The node measures its own from *before* it asked,
and stops `MARGIN_S` early: its last segment left a second before anybody else can begin, so two
owners one after the other never pass a carrier's rate.

Not here: asking (`owner.py`).
"""

from __future__ import annotations

import math
from typing import Final

TTL_S: Final = 3.5
"""An owner that says nothing for so long has lost its carriers."""
MARGIN_S: Final = 1.0
"""So much sooner it stops sending: the span over which a rate is counted."""
BEAT_S: Final = 0.5
"""Between two renewals: four may fail in a row before sending pauses."""


class Lease:
    """When a node may send. Times are monotonic seconds."""

    __slots__ = ("begins_at", "until")

    def __init__(self, begins_at: float = math.inf, until: float = -math.inf) -> None:
        self.begins_at = begins_at
        self.until = until

    def allows(self, now: float) -> bool:
        """Say whether a segment may leave now."""
        return self.begins_at <= now < self.until

    def taken(self, asked_at: float, answered_at: float, quiet_s: float) -> None:
        """Note that it was got after nobody had sent for so long."""
        self.begins_at = answered_at + max(0.0, MARGIN_S - quiet_s)
        self.until = asked_at + TTL_S - MARGIN_S

    def renewed(self, asked_at: float) -> None:
        """Note a renewal that was granted at some time after it was asked for."""
        self.until = max(self.until, asked_at + TTL_S - MARGIN_S)

    def lost(self) -> None:
        self.until = -math.inf


ALWAYS: Final = Lease(-math.inf, math.inf)
"""Of who shares its carriers with nobody."""
