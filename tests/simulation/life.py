"""What a process lives by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(eq=False)
class Life:
    """What a process belongs to: it goes no further when that has ended."""

    alive: bool = True
