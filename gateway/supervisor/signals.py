"""Signals of this process as a file that can be waited for."""

from __future__ import annotations

import signal
import socket
from types import FrameType
from typing import Any, Final, Self

ENDING: Final = (signal.SIGINT, signal.SIGTERM)
HEARD: Final = (*ENDING, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)


class Signals:
    """A context in which signals are noted instead of obeyed."""

    def __init__(self) -> None:
        self.blocked = True
        """Whether nobody may look for long: then a second signal to end raises KeyboardInterrupt,
        out of whatever is being done."""
        self._ended = 0
        self._before: dict[signal.Signals, Any] = {}
        self._reader, self._writer = socket.socketpair()

    def __enter__(self) -> Self:
        for end in (self._reader, self._writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in HEARD:
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # under nohup
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """Return what becomes readable when a signal has come."""
        return self._reader.fileno()

    def take(self) -> list[signal.Signals]:
        """Return what has come since this was asked last."""
        try:
            return [signal.Signals(number) for number in self._reader.recv(4_096)]
        except BlockingIOError:
            return []

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number in ENDING:
            self._ended += 1
            if self._ended > 1 and self.blocked:
                raise KeyboardInterrupt
