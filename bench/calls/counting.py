"""Calls of functions between two moments, counted by the interpreter itself."""

from __future__ import annotations

import cProfile
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePath
from types import CodeType

ELSEWHERE = "(libraries)"


@dataclass(frozen=True, slots=True)
class Calls:
    """Functions by "file:name", and how often each was called or, a coroutine, resumed."""

    python: Counter[str]
    builtin: int
    """Calls of functions that are written in C, as far as the interpreter tells of them."""

    @property
    def total(self) -> int:
        return self.python.total()

    def by_room(self) -> Counter[str]:
        """Return the calls by the gateway's files and folders; libraries are one."""
        rooms: Counter[str] = Counter()
        for name, count in self.python.items():
            rooms[_room(name)] += count
        return rooms


class Counting:
    """Counts the calls of this thread. Stopped when made."""

    def __init__(self) -> None:
        self._profile = cProfile.Profile()

    def start(self) -> None:
        self._profile.enable()

    def stop(self) -> Calls:
        self._profile.disable()
        python: Counter[str] = Counter()
        builtin = 0
        for entry in self._profile.getstats():
            code = entry.code
            if isinstance(code, CodeType):
                python[f"{_shorten(code.co_filename)}:{code.co_qualname}"] += entry.callcount
            else:
                builtin += entry.callcount
        return Calls(python, builtin)


def _shorten(path: str) -> str:
    """Return a path from the gateway's folder on, or a library's from its own."""
    parts = PurePath(path).parts
    for anchor in ("gateway", "site-packages", "lib"):
        if anchor in parts:
            place = len(parts) - 1 - parts[::-1].index(anchor)
            return "/".join(parts[place + (anchor != "gateway") :])
    return parts[-1] if parts else path


def _room(name: str) -> str:
    """Return "gateway/smpp/" of "gateway/smpp/pdu.py:decode"."""
    path = name.partition(":")[0]
    if not path.startswith("gateway/"):
        return ELSEWHERE
    folder, slash, _ = path.removeprefix("gateway/").partition("/")
    return f"gateway/{folder}{slash}"
