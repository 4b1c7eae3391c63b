"""What the parts of a node have to know of its place among the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol


class Place(Protocol):
    """One node's, as its keeper keeps it."""

    @property
    def node(self) -> int: ...

    @property
    def epoch(self) -> int: ...

    @property
    def alone(self) -> bool:
        """Whether no other node was there at the last look."""
        ...

    @property
    def valid(self) -> bool:
        """Whether what this node has taken can't be another's by now."""
        ...

    def owns(self, name: str) -> bool:
        """Say whether a lease is this node's now."""
        ...

    def hear(self, channel: str, hear: Callable[[str], None]) -> None:
        """Have `hear` told what is notified over a channel; "" when some may have been missed."""
        ...


class _Alone:
    """The place of a node that shares with nobody."""

    node = 0
    epoch = 0
    alone = True
    valid = True

    def owns(self, name: str) -> bool:
        return True

    def hear(self, channel: str, hear: Callable[[str], None]) -> None:
        pass


ALONE: Final[Place] = _Alone()


def name_node(node: int, epoch: int) -> str:
    """Return what a node is addressed by, for as long as its claim lasts."""
    return f"node:{node}:{epoch}"
