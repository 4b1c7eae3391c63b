"""No case may stall: a ceiling on the processor time of one.

By a timer of the operating system, because a loop that never ends can't be asked how long it has
run. Only in the main thread, as signals are.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final

CASE_S: Final = 2.0
"""Cases take microseconds, the longest a few milliseconds; this is a machine at its worst."""


class Stalled(Exception):
    """A case took more processor time than any may."""


class Limit:
    """A context within which `start` gives the next case its time."""

    def __init__(self, case_s: float = CASE_S) -> None:
        self._case_s = case_s

    def __enter__(self) -> Limit:
        self._before = signal.signal(signal.SIGVTALRM, _raise_stalled)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, self._before)

    def start(self) -> None:
        signal.setitimer(signal.ITIMER_VIRTUAL, self._case_s)


def _raise_stalled(number: int, frame: FrameType | None) -> None:
    raise Stalled
