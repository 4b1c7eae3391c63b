"""What can be said to one who cancels or replaces a message.

Not here: who decides it (`dispatch.py`).
"""

from __future__ import annotations

import msgspec


class Canceled(msgspec.Struct, frozen=True):
    """It is withdrawn, and the event is recorded."""


class TooLate(msgspec.Struct, frozen=True):
    """Some of it has left already."""


class NotHere(msgspec.Struct, frozen=True):
    """It is not in memory: look in the store."""
