"""What we owe: the peer's requests that wait for our answer, by their sequence_number.

The counterpart of `window.py`, whose requests are ours. The answer goes out when its effect is
committed, in any order, so what is owed can pile up while the store is slow.
"""

from __future__ import annotations

import enum
from typing import Final

OWED_MAX: Final = 10_000
"""One second of a store that does not commit at 10,000 requests a second, and about 10 MB; above
it the peer is told to come back later."""


class Noted(enum.Enum):
    """What became of a request that was to be remembered."""

    NEW = enum.auto()
    REPEATED = enum.auto()
    NO_ROOM = enum.auto()


class Owed:
    """At most `size_max` requests without an answer."""

    __slots__ = ("_commands", "_size_max")

    def __init__(self, size_max: int = OWED_MAX) -> None:
        self._commands: dict[int, int] = {}
        self._size_max = size_max

    def __len__(self) -> int:
        return len(self._commands)

    def note(self, sequence: int, command_id: int) -> Noted:
        """Remember a request, if there is room.

        A number that is in use already is taken all the same: a careless peer reuses numbers for
        different receipts, and a repeated receipt does no harm. The first answer answers both.
        """
        commands = self._commands
        if sequence in commands:
            commands[sequence] = command_id
            return Noted.REPEATED
        if len(commands) >= self._size_max:
            return Noted.NO_ROOM
        commands[sequence] = command_id
        return Noted.NEW

    def settle(self, sequence: int) -> int:
        """Take a request out and return its command_id; 0 when nothing is owed for it."""
        return self._commands.pop(sequence, 0)

    def clear(self) -> None:
        self._commands.clear()
