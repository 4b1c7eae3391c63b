"""A node's process, from outside.

It has a session of its own, so that a terminal's Ctrl-C reaches only us, who pass it on; and its
standard input is a leash: however we end, kill -9 included, it ends too (`member.py`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.listening import Seat
from gateway.supervisor.orders import Orders, Ready

# -P: a folder called gateway where we were started is not ours.
COMMAND: Final = (sys.executable, "-P", "-m", "gateway.supervisor.member")
_READ_BYTES: Final = 4_096
REAP_TIMEOUT_S: Final = 5.0


class NodeProcess:
    """One node as we start, hear and stop it; `close` when it has ended."""

    def __init__(self, orders: Orders, command: Sequence[str] = COMMAND) -> None:
        """Start it; raises OSError when that can't be."""
        self._process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [*command, name_seat(orders.seat)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._heard = b""
        assert self._process.stdin is not None, "a pipe"
        with contextlib.suppress(BrokenPipeError):  # then it has ended, and that is heard of
            self._process.stdin.write(msgspec.json.encode(orders) + b"\n")
            self._process.stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def fileno(self) -> int:
        """Return what becomes readable when it says something."""
        assert self._process.stdout is not None, "a pipe"
        return self._process.stdout.fileno()

    def read(self) -> Ready | None:
        """Read what is there to read; return what it says once that is whole. Raises EOFError."""
        read = os.read(self.fileno(), _READ_BYTES)
        if not read:
            raise EOFError
        line, newline, self._heard = (self._heard + read).partition(b"\n")
        if newline:
            return msgspec.json.decode(line, type=Ready)
        self._heard = line
        return None

    def poll(self) -> int | None:
        """Return its exit status, below 0 for a signal; None while it runs."""
        return self._process.poll()

    def ask(self) -> None:
        """Ask it to stop: in order at the first time, at once at the second."""
        self._process.send_signal(signal.SIGTERM)

    def renew(self) -> None:
        """Have it read its certificates again."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._process.kill()

    def close(self) -> None:
        """Let go of it; what still runs is killed."""
        if self._process.poll() is None:
            self._process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(REAP_TIMEOUT_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None, "a pipe"
            with contextlib.suppress(OSError):
                pipe.close()


def name_seat(seat: Seat) -> str:
    """Name a node among those of its machine, as lists of processes show it."""
    return f"{seat.index + 1}/{seat.count}"
