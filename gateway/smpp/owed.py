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

    __slots__ = ("_commands", "_repeated", "_size", "_size_max")

    def __init__(self, size_max: int = OWED_MAX) -> None:
        self._commands: dict[int, int] = {}
        self._repeated: dict[int, dict[int, int]] = {}
        """By number, how many further requests of each command have it. Careful peers have none;
        a hostile one has as many as a read brings, so none of them is ever searched for."""
        self._size = 0
        self._size_max = size_max

    def __len__(self) -> int:
        return self._size

    def note(self, sequence: int, command_id: int) -> Noted:
        """Remember a request, if there is room.

        A number that is in use already is taken all the same, and each request gets its own
        answer: a careless peer reuses numbers for different messages, and each one counts.
        """
        if self._size >= self._size_max:
            return Noted.NO_ROOM
        self._size += 1
        if sequence not in self._commands:
            self._commands[sequence] = command_id
            return Noted.NEW
        repeated = self._repeated.setdefault(sequence, {})
        repeated[command_id] = repeated.get(command_id, 0) + 1
        return Noted.REPEATED

    def settle(self, sequence: int, *commands: int) -> int:
        """Take a request of this number out (of these commands, if any are named) and return its
        command_id; 0 when nothing is owed for it."""
        first = self._commands.get(sequence, 0)
        if first and (not commands or first in commands):
            self._size -= 1
            if self._repeated and sequence in self._repeated:
                self._commands[sequence] = self._take_repeated(sequence)
            else:
                del self._commands[sequence]
            return first
        if first and self._repeated:
            settled = self._take_repeated(sequence, *commands)
            self._size -= settled > 0
            return settled
        return 0

    def owes(self, sequence: int) -> bool:
        """Say whether any request of this number waits for its answer."""
        return sequence in self._commands

    def clear(self) -> None:
        self._commands.clear()
        self._repeated.clear()
        self._size = 0

    def _take_repeated(self, sequence: int, *commands: int) -> int:
        """Take one of the further requests out and return its command_id, 0 if there is none."""
        repeated = self._repeated.get(sequence, {})
        command_id = next((each for each in commands or repeated if each in repeated), 0)
        if command_id:
            repeated[command_id] -= 1
            if not repeated[command_id]:
                del repeated[command_id]
                if not repeated:
                    del self._repeated[sequence]
        return command_id
