"""Processes of ours that must not outlive us: started, read from, and stopped in order.

Each has a session of its own, so that a terminal's Ctrl-C reaches only the parent, which decides
in which order things stop; and a leash (`leash.py`), so that it ends also when the parent is
killed. Everything here blocks.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gateway.errors import GatewayError

STOP_TIMEOUT_S = 60.0
"""Beyond what a gateway may take for its drain; past this the process is killed."""


class DidNotStart(GatewayError):
    """A process of ours did not come up: say why, and stop the others."""


class Child:
    """A module of ours as a process. Use it as a context manager: leaving it stops the process."""

    def __init__(
        self,
        module: str,
        *arguments: str,
        stderr: Path | None = None,
        environment: Mapping[str, str] | None = None,
        python: Path | None = None,
    ) -> None:
        """Start it; `stderr` is a file that is made anew, without one it is ours; `python` is an
        interpreter that has our modules too, by default this one."""
        with contextlib.ExitStack() as opened:
            errors: IO[bytes] | None = None
            if stderr is not None:
                errors = opened.enter_context(stderr.open("wb"))
            self._process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
                # -P: a folder called gateway where we were started is not ours.
                [python or sys.executable, "-P", "-m", "gateway.demo.leash", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=os.environ if environment is None else environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def read_line(self, timeout_s: float) -> str:
        """Return the next line of its standard output; "" when it ends or is silent too long."""
        stdout = self._process.stdout
        assert stdout is not None, "a pipe"
        deadline = time.monotonic() + timeout_s
        line = b""
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return ""
                # One octet at a time: what follows the line stays in the pipe for the next call.
                octet = os.read(stdout.fileno(), 1)
                if not octet:
                    return ""
                line += octet
        return line.decode(errors="replace").strip()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Ask it to stop, wait for its end and return its exit status; kill it when it won't."""
        self._process.terminate()
        try:
            return self._process.wait(timeout_s)
        except BaseException:  # too slow, or we are interrupted ourselves: it must not remain
            self._process.kill()
            self._process.wait()
            raise
        finally:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()

    def end(self) -> None:
        """Stop it, whatever it takes."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
