"""What can be said to one who cancels or replaces a message.

Not here: who decides it (`dispatch.py`).
"""

from __future__ import annotations

from gateway.record import Record


class Canceled(Record):
    """It is withdrawn, and the event is recorded."""

    __slots__ = ()


class TooLate(Record):
    """Some of it has left already."""

    __slots__ = ()


class NotHere(Record):
    """It is not in memory: look in the store."""

    __slots__ = ()
