"""How long a node may send on a claim that it shares no clock with anybody about.

The database's clock ends the claim for others. The node measures its own from *before* it asked,
and stops `MARGIN_S` early: its last segment left a second before anybody else can begin, so two
owners one after the other never pass a carrier's rate.

Not here: asking, and whose each carrier is (`nodes/`).
"""

from __future__ import annotations

import math
from typing import Final

TTL_S: Final = 3.5
"""A node that says nothing for so long has lost what it holds. With finding out and binding, a
killed node's carriers are served again within 5 s."""
MARGIN_S: Final = 1.0
"""So much sooner it stops sending: the span over which a rate is counted."""
BEAT_S: Final = 0.5
"""Between two renewals: four may fail in a row before sending pauses."""


class Lease:
    """Until when a node may send. Times are monotonic seconds."""

    __slots__ = ("until",)

    def __init__(self, until: float = -math.inf) -> None:
        self.until = until

    def allows(self, now: float) -> bool:
        """Say whether a segment may leave now, to a carrier that is the node's."""
        return now < self.until

    def renewed(self, asked_at: float) -> None:
        """Note a renewal that was granted at some time after it was asked for."""
        self.until = max(self.until, asked_at + TTL_S - MARGIN_S)

    def lost(self) -> None:
        self.until = -math.inf


def begin_sending_at(taken_at: float, quiet_s: float) -> float:
    """Return from when on a carrier may be sent to that was taken at `taken_at` (monotonic), after
    nobody had sent to it for so long."""
    return taken_at + max(0.0, MARGIN_S - quiet_s)


ALWAYS: Final = Lease(math.inf)
"""Of who shares its carriers with nobody."""
