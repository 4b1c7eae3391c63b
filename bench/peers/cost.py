"""What groups of processes take: CPU time and memory, read from /proc."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

Groups = Mapping[str, tuple[int, ...]]
"""The processes at the root of each group, by its name; whatever they start belongs to it too."""

SAMPLE_S: Final = 0.5
"""One look at a dozen processes takes about 5 ms of a core."""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


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
    for root in roots:
        try:
            family |= {root, *(p.pid for p in psutil.Process(root).children(recursive=True))}
        except psutil.NoSuchProcess:
            continue
    return family


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
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
