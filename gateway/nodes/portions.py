"""How nodes divide an account's ceiling among themselves, decided from what each of them needs.

A node holds a share of the ceiling, a fraction; all shares of an account never add up to more than
one. So the one that has too much comes down first, and only then another one goes up, as far as
there is room: the ceiling holds at every moment, whoever comes late or dies.

Not here: telling and reading shares (`shares.py`), keeping to one (`gateway/ceilings.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

MARGIN: Final = 1e-9
"""Lest fractions add up to a hair more than one."""


class Part(msgspec.Struct, frozen=True):
    """What one node has of a ceiling, and what it needs of it: fractions of one."""

    share: float
    need: float


def share_out(needs: Mapping[int, float]) -> dict[int, float]:
    """Return each node's share: what it needs, or an equal part of what those leave that need
    less; what nobody needs goes to all in equal parts."""
    shares: dict[int, float] = {}
    left, count = 1.0, len(needs)
    for node in sorted(needs, key=lambda each: (needs[each], each)):
        shares[node] = min(needs[node], left / count)
        left -= shares[node]
        count -= 1
    spare = max(0.0, left) / max(1, len(needs))
    return {node: share + spare for node, share in shares.items()}


def choose_share(me: int, parts: Mapping[int, Part]) -> float:
    """Return what a node is to hold now of a ceiling, of which it and others have these parts.

    Without any need for it everything stays as it is.
    """
    present = parts[me].share
    free = 1.0 - MARGIN - sum(part.share for node, part in parts.items() if node != me)
    if not any(part.need for part in parts.values()):
        alone = len(parts) == 1  # nobody else ever had a part of it
        return 1.0 if alone else present
    target = share_out({node: part.need for node, part in parts.items()})[me]
    if len(parts) == 1:
        return 1.0
    return target if target <= present else max(present, min(target, free))
