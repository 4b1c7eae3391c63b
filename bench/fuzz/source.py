"""A case's octets as a row of choices.

Every target reads its case through this, so that any octets are a case, a small change of the
octets is a small change of the case, and one line of hexadecimal repeats it. When the octets run
out every choice is 0: a case always ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")


class Source:
    """Octets that are taken from the front."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many octets are still to be taken."""
        return len(self._data) - self._at

    def number(self, octets: int = 1) -> int:
        """Take an unsigned number, big endian."""
        return int.from_bytes(self.octets(octets).ljust(octets, b"\0"), "big")

    def octets(self, size: int) -> bytes:
        """Take at most `size` octets."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def some(self, size_max: int = 255) -> bytes:
        """Take a length (one octet) and so many octets."""
        return self.octets(self.number() % (size_max + 1))

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.octets(self.left)

    def flag(self) -> bool:
        return bool(self.number() & 1)

    def pick(self, options: Sequence[_T]) -> _T:
        """Take an octet, or two for many options, and return the option that it chooses."""
        return options[self.number(1 if len(options) <= 256 else 2) % len(options)]
