"""Which branches of the gateway's code a case runs through.

A trace function costs some thirty times the code that it watches, so only the exploring part of
a run uses it; the cases that it finds are then varied at full speed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import gateway

_WATCHED: Final = str(Path(gateway.__file__).parent)

Edge = tuple[CodeType, int, int]
"""A function and two lines that ran in a row in it: a branch taken."""

_Trace = Callable[[FrameType, str, Any], Any]


class Watch:
    """Remembers every edge that was ever seen."""

    def __init__(self) -> None:
        self.edges: set[Edge] = set()
        self._watched: dict[CodeType, bool] = {}

    def run(self, check: Callable[[bytes], None], case: bytes) -> bool:
        """Run one case; return whether it took a branch that no case before it took."""
        known = len(self.edges)
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            check(case)
        finally:
            sys.settrace(before)
        return len(self.edges) > known

    def _enter(self, frame: FrameType, event: str, arg: Any) -> _Trace | None:
        code = frame.f_code
        watched = self._watched.get(code)
        if watched is None:
            watched = self._watched[code] = code.co_filename.startswith(_WATCHED)
        if not watched:
            return None
        edges = self.edges
        last = 0

        def trace(frame: FrameType, event: str, arg: Any) -> _Trace:
            nonlocal last
            if event == "line":
                edges.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return trace

        return trace
