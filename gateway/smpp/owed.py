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

    __slots__ = ("_commands", "_repeated", "_size_max")

    def __init__(self, size_max: int = OWED_MAX) -> None:
        self._commands: dict[int, int] = {}
        self._repeated: list[tuple[int, int]] = []
        """Requests whose number another one has, the older first. Careful peers have none."""
        self._size_max = size_max

    def __len__(self) -> int:
        return len(self._commands) + len(self._repeated)

    def note(self, sequence: int, command_id: int) -> Noted:
        """Remember a request, if there is room.

        A number that is in use already is taken all the same, and each request gets its own
        answer: a careless peer reuses numbers for different messages, and each one counts.
        """
        commands = self._commands
        if len(commands) + len(self._repeated) >= self._size_max:
            return Noted.NO_ROOM
        if sequence in commands:
            self._repeated.append((sequence, command_id))
            return Noted.REPEATED
        commands[sequence] = command_id
        return Noted.NEW

    def settle(self, sequence: int, *commands: int) -> int:
        """Take the oldest request of this number out (of these commands, if any are named) and
        return its command_id; 0 when nothing is owed for it."""
        if self._repeated:
            return self._settle_among_repeated(sequence, commands)
        if commands and self._commands.get(sequence) not in commands:
            return 0
        return self._commands.pop(sequence, 0)

    def owes(self, sequence: int) -> bool:
        """Say whether any request of this number waits for its answer."""
        return sequence in self._commands

    def clear(self) -> None:
        self._commands.clear()
        self._repeated.clear()

    def _settle_among_repeated(self, sequence: int, commands: tuple[int, ...]) -> int:
        others = [entry for entry in self._repeated if entry[0] == sequence]
        first = self._commands.get(sequence, 0)
        if not commands or first in commands:
            if others:
                self._repeated.remove(others[0])
                self._commands[sequence] = others[0][1]
            else:
                self._commands.pop(sequence, None)
            return first
        for entry in others:
            if entry[1] in commands:
                self._repeated.remove(entry)
                return entry[1]
        return 0
