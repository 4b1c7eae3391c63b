"""The window: our own requests that are still unanswered, by sequence_number.

A request is registered here before its octets are added to the output, so an answer can never
find nobody. What an answer means is `protocol.py`'s; how long to wait is `timers.py`'s.
"""

from __future__ import annotations

from typing import Final

from gateway.record import Record
from gateway.smpp.errors import WindowFull

SEQUENCE_MAX: Final = 0x7FFFFFFF
"""SMPP 3.4 §5.1.4: 1 to 0x7FFFFFFF, then 1 again; 0 and the rest are reserved."""


class Entry(Record):
    """One unanswered request. `context` is the sender's own and is not looked into."""

    __slots__ = ("command_id", "context", "sent_at", "sequence")

    def __init__(self, sequence: int, command_id: int, context: object, sent_at: float) -> None:
        self.sequence: Final = sequence
        self.command_id: Final = command_id
        self.context: Final = context
        self.sent_at: Final = sent_at


class Window:
    """At most `size_max` unanswered requests, in the order in which they were sent."""

    __slots__ = ("_entries", "_last", "size_max")

    def __init__(self, size_max: int, *, last_sequence: int = 0) -> None:
        assert size_max >= 1, "a window has room for one request"
        self.size_max = size_max
        self._entries: dict[int, Entry] = {}
        self._last = last_sequence

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def room(self) -> int:
        return self.size_max - len(self._entries)

    @property
    def oldest_sent_at(self) -> float | None:
        """When the request that waits longest was sent; None when nothing waits."""
        for entry in self._entries.values():
            return entry.sent_at
        return None

    def take_sequence(self) -> int:
        """Return the next sequence_number that no unanswered request has."""
        sequence = self._last
        while True:
            sequence = sequence + 1 if sequence < SEQUENCE_MAX else 1
            if sequence not in self._entries:
                self._last = sequence
                return sequence

    def register(self, command_id: int, context: object, now: float) -> int:
        """Take a sequence_number for a request and remember it; raises WindowFull."""
        if len(self._entries) >= self.size_max:
            raise WindowFull(f"{self.size_max} requests are unanswered")
        sequence = self.take_sequence()
        self._entries[sequence] = Entry(sequence, command_id, context, now)
        return sequence

    def resolve(self, sequence: int, command_id: int = 0) -> Entry | None:
        """Take out the request that is answered now; None when none has this number.

        With a `command_id`, only a request of that command is taken: an answer of another kind
        answers nothing.
        """
        entry = self._entries.get(sequence)
        if entry is None or (command_id and entry.command_id != command_id):
            return None
        del self._entries[sequence]
        return entry

    def overdue(self, sent_before: float) -> list[Entry]:
        """Return the requests sent at `sent_before` or earlier, oldest first; they stay in."""
        overdue = []
        for entry in self._entries.values():
            if entry.sent_at > sent_before:
                break
            overdue.append(entry)
        return overdue

    def drain(self) -> list[Entry]:
        """Take out everything, in the order in which it was sent."""
        entries = list(self._entries.values())
        self._entries.clear()
        return entries
