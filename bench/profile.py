"""Sampling a running process with py-spy, which some systems allow to nobody but root."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.flame import read_folded, write_svg

SAMPLES_PER_S: Final = 250
ATTACH_S: Final = 1.0
LIMIT_S: Final = 600
LOOP: Final = "Runner.run"
"""The frame in which a process's event loop runs."""
STOP_TIMEOUT_S: Final = 60.0


class CannotProfile(Exception):
    """py-spy is missing, or may not look at the process."""


@contextmanager
def sample(pid: int, picture: Path, title: str) -> Iterator[None]:
    """Sample a process while the context lasts, and draw what its event loop did.

    Raises CannotProfile.
    """
    program = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which(
        "py-spy"
    )
    if program is None:
        raise CannotProfile("py-spy is not installed: pip install py-spy")
    with tempfile.TemporaryDirectory() as folder:
        folded = Path(folder) / "folded"
        spy = subprocess.Popen(
            [
                *(
                    program,
                    "record",
                    "--pid",
                    str(pid),
                    "--format",
                    "raw",
                    "--function",
                    "--output",
                    str(folded),
                ),
                *("--rate", str(SAMPLES_PER_S), "--duration", str(LIMIT_S)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            # It says nothing once it looks; what it says when it can't comes within this.
            time.sleep(ATTACH_S)
            yield
        finally:
            spy.send_signal(signal.SIGINT)
            _, said = spy.communicate(timeout=STOP_TIMEOUT_S)
        if not folded.exists():
            raise CannotProfile(f"py-spy: {said.strip()}")
        picture.parent.mkdir(parents=True, exist_ok=True)
        with folded.open(encoding="utf-8") as lines:
            picture.write_text(write_svg(read_folded(lines, LOOP), title), encoding="utf-8")
