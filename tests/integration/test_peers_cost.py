"""What processes take, read of real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from bench.peers import cost

HELD_MB = 30
GRANDCHILD = f"held = bytearray(b'x' * {HELD_MB << 20}); print(1, flush=True); input()"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {GRANDCHILD!r}])"
IN_A_THREAD = f"import threading; threading.Thread(target=exec, args=({CHILD!r}, {{}})).start()"


@pytest.fixture(params=[CHILD, IN_A_THREAD], ids=["by itself", "by a thread"])
def root(request: pytest.FixtureRequest) -> Iterator[int]:
    """A process that has started one that holds memory."""
    command = [sys.executable, "-c", request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        yield process.pid
        process.stdin.close()


@pytest.mark.parametrize("kernel_lists", [True, False])
def test_what_a_process_has_started_belongs_to_it(
    root: int, kernel_lists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "_KERNEL_LISTS_CHILDREN", kernel_lists)
    assert cost.read_memory_mb([root]) > HELD_MB
    assert cost.read_cpu_s([root]) > 0


def test_a_process_that_has_ended_takes_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    assert cost.read_memory_mb([process.pid]) == cost.read_cpu_s([process.pid]) == 0.0


def test_the_most_of_each_group_is_kept() -> None:
    with cost.MemoryWatch({"ours": (os.getpid(),)}) as watch:
        pass
    assert watch.peak_mb["ours"] == watch.peak_sum_mb > 1
