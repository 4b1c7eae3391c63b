"""Ctrl-C and its like, for a main thread that starts processes.

What is started has to be noted before anything may end us, or nobody stops it.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Final

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Raise a signal's KeyboardInterrupt only after the block; that of a second one at once."""
    came = 0

    def put_off(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came += 1
        if came > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, put_off) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt
