"""The short form of `python -m bench.chaos`: real processes, killed under load."""

from __future__ import annotations

import subprocess
import sys


def test_every_promise_is_kept_while_processes_are_killed() -> None:
    # Of this seed no carrier dies: its receipts would have to be waited for.
    command = [sys.executable, "-m", "bench.chaos", "--kills", "4", "--rate", "100", "--seed", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=420, check=False)
    assert "every promise kept" in run.stdout, run.stdout + run.stderr
    assert run.returncode == 0
