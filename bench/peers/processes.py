"""Programs that are not ours: started in a folder of their own, waited for, stopped by their pid.

Each has a session of its own, so that a terminal's Ctrl-C reaches only the parent, and is killed by
the kernel should the parent die without stopping it. Linux only. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from gateway.errors import GatewayError

START_TIMEOUT_S: Final = 90.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
LOG_END_BYTES: Final = 2_000
_PORTS: Final = range(12_000, 32_000)
"""Below 32768, where Linux begins to give ports to outgoing connections and to whoever binds 0."""
_PORT_DRAWS_MAX: Final = 1_000
_DRAW: Final = random.SystemRandom()
"""Not the seeded one: processes that run the same test at once would all draw the same."""
_PR_SET_PDEATHSIG: Final = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class CannotRun(GatewayError):
    """A system can't be measured here; the text says why."""


class Program:
    """One running program. Use it as a context manager: leaving it stops the program."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        """Start it; what it says goes to `<folder>/<name>.log`."""
        self.name = name
        self._log = folder / f"{self.name}.log"
        self._stop_signal = stop_signal
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_die_with_the_parent,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_until(
        self, what: str, ready: Callable[[], bool], timeout_s: float = START_TIMEOUT_S
    ) -> None:
        """Return once `ready` says so; raises CannotRun when the program ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            status = self._process.poll()
            if status is not None:
                raise CannotRun(f"{self.name} ended with {status}: {self.read_log_end()}")
            if time.monotonic() > deadline:
                raise CannotRun(f"{self.name}: no {what}: {self.read_log_end()}")
            time.sleep(POLL_S)

    def wait_for_port(self, port: int) -> None:
        """Return once something listens on the port; raises CannotRun."""
        self.wait_until(f"listener on port {port}", lambda: is_listening(port))

    def read_log_end(self) -> str:
        return self._log.read_bytes()[-LOG_END_BYTES:].decode(errors="replace").strip()

    def stop(self) -> None:
        """Ask it to end and wait; kill it when it won't, or when we are interrupted meanwhile."""
        if self._process.poll() is not None:
            return
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._kill()
        except BaseException:
            self._kill()
            raise

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def find_program(name: str) -> str:
    """Return a program's path. Raises CannotRun."""
    # Debian's servers stand in sbin, which an ordinary user's PATH may lack.
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if found is None:
        raise CannotRun(f"{name} is not installed")
    return found


def find_free_ports(count: int) -> list[int]:
    """Return as many ports of 127.0.0.1 that nothing listens on now.

    They stay free until somebody asks for them by number: the kernel gives none of these to a
    connection, and two processes that look at once hardly draw the same.
    """
    with contextlib.ExitStack() as held:
        return [_hold_free_port(held) for _ in range(count)]


def _hold_free_port(held: contextlib.ExitStack) -> int:
    for _ in range(_PORT_DRAWS_MAX):
        port = _DRAW.choice(_PORTS)
        probe = held.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotRun(f"no free port in {_PORTS.start}-{_PORTS.stop - 1} of 127.0.0.1")


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def _die_with_the_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
