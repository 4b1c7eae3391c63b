"""What a process lives by, and what it may wait for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field


@dataclass(eq=False)
class Life:
    """What a process belongs to: it goes no further when that has ended."""

    alive: bool = True


@dataclass(eq=False)
class Bell:
    """Something that processes wait for, however long it takes."""

    waiting: list[tuple[Process, Life]] = field(default_factory=list)


Process = Generator[float | Bell, None, None]
"""Yields how many seconds pass before it goes on, or the bell that it waits for."""
