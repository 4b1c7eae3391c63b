"""What groups of processes take: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

Groups = Mapping[str, tuple[int, ...]]
"""The processes at the root of each group, by its name; whatever they start belongs to it too."""

SAMPLE_S: Final = 0.5
"""One look at a dozen processes takes 1.5 ms of a core and more, by how many pages they have."""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_PSS: Final = re.compile(rb"^Pss: +(\d+) kB$", re.MULTILINE).search
_KERNEL_LISTS_CHILDREN: Final = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists()
"""Most kernels do (CONFIG_PROC_CHILDREN); without, every process of the machine is looked at, which
takes ten times as long."""


def read_cpu_s(roots: Iterable[int]) -> float:
    """Return the CPU seconds, user and system, that processes and their children have taken.

    Children that have ended are in it as soon as their parent has seen their end.
    """
    return sum(_cpu_s(pid) for pid in _family(roots))


def read_memory_mb(roots: Iterable[int]) -> float:
    """Return the proportional set size: shared pages are divided among those who share them."""
    return sum(_pss_kb(pid) for pid in _family(roots)) / 1024


class MemoryWatch:
    """Looks at the memory of groups now and then, in a thread, and keeps the most of each."""

    def __init__(self, groups: Groups) -> None:
        self.peak_mb = dict.fromkeys(groups, 0.0)
        self.peak_sum_mb = 0.0
        """Of all groups at one moment."""
        self._groups = groups
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def _run(self) -> None:
        while True:
            self._look()
            if self._stop.wait(SAMPLE_S):
                return

    def _look(self) -> None:
        now = {name: read_memory_mb(roots) for name, roots in self._groups.items()}
        for name, mb in now.items():
            self.peak_mb[name] = max(self.peak_mb[name], mb)
        self.peak_sum_mb = max(self.peak_sum_mb, sum(now.values()))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self._look()


class MachineWatch:
    """How busy the machine was beside the measurement, in cores, from its making on."""

    def __init__(self) -> None:
        self._before = psutil.cpu_times()
        self._started_s = time.monotonic()

    def report(self, own_cpu_s: float) -> dict[str, float]:
        """Return how loud it was; `own_cpu_s` is what the measurement itself has taken."""
        now = psutil.cpu_times()
        elapsed_s = time.monotonic() - self._started_s
        busy_s = _busy_s(now) - _busy_s(self._before)
        return {
            "load_average": round(os.getloadavg()[0], 2),
            "other_cores": round(max(0.0, busy_s - own_cpu_s) / elapsed_s, 2),
            "stolen_cores": round((now.steal - self._before.steal) / elapsed_s, 2),
        }


def _busy_s(times: Any) -> float:
    return float(times.user + times.nice + times.system + times.irq + times.softirq)


def _family(roots: Iterable[int]) -> set[int]:
    """Return the processes and all that descends from them."""
    family: set[int] = set()
    left = list(roots)
    while left:
        pid = left.pop()
        if pid not in family:
            family.add(pid)
            left += _list_children(pid) if _KERNEL_LISTS_CHILDREN else _find_children(pid)
    return family


def _list_children(pid: int) -> list[int]:
    """Return a process's children, whichever of its threads has started them; none if it ended."""
    children: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children += map(int, file.read().split())
    except OSError:
        pass
    return children


def _find_children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children()]
    except psutil.NoSuchProcess:
        return []


def _cpu_s(pid: int) -> float:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    # The name in parentheses may hold anything; utime, stime, cutime, cstime follow (proc(5)).
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / _TICKS_PER_S


def _pss_kb(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            found = _PSS(file.read())
    except OSError:
        return 0
    return int(found[1]) if found else 0
