"""Which process this is, so that others on its machine can see that it is gone.

A name holds the machine's boot, the namespace of process numbers, the number, and when the process
began: together they never come again. Whoever can't see a process says that it may live.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

PROC = Path("/proc")
_STATE = 0
_STARTED = 19
"""Fields behind the command's name in `stat` (proc_pid_stat(5), 3 and 22)."""
_ENDED = {"Z", "X"}


def name_process(pid: int | None = None) -> str:
    """Return a process's name, this one's by default; "" where there is no telling."""
    pid = os.getpid() if pid is None else pid
    here, fields = _here(), _fields(pid)
    return f"{here} {pid} {fields[_STARTED]}" if here and fields else ""


def is_gone(name: str) -> bool:
    """Say whether a process is known to have ended."""
    here, _, rest = name.rpartition(" ")[0].rpartition(" ")
    started = name.rpartition(" ")[2]
    if not here or here != _here():
        return False
    fields = _fields(int(rest))
    if fields is None:
        return _sees_processes()
    return fields[_STARTED] != started or fields[_STATE] in _ENDED


def name_place() -> str:
    """Say for people where this process runs."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _here() -> str:
    """Name the machine since its boot and the namespace in which it counts processes."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        namespace = os.readlink(PROC / "self/ns/pid")
    except OSError:
        return ""
    return f"{boot} {namespace}"


def _fields(pid: int) -> list[str] | None:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _sees_processes() -> bool:
    """Whether /proc shows others at all (hidepid): the first process is always there."""
    return (PROC / "1" / "stat").exists()
