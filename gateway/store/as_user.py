"""Run a program as another user: `python as_user.py UID GID [--through-closed-folders] PROGRAM …`.

PostgreSQL refuses to run as root. When the gateway itself is root (a container, a first try on a
fresh machine) its server is started through this. `--through-closed-folders` keeps one capability,
CAP_DAC_OVERRIDE, so that a checkout under /root works without opening /root to everybody.

Not here: who that user is and when folders are closed (`embedded.py`). This is a program of its
own because capabilities must be set in the process that becomes PostgreSQL, and running Python
between fork and exec of a process with threads is not safe.
"""

from __future__ import annotations

import ctypes
import os
import sys

_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def main(arguments: list[str]) -> None:
    uid, gid, *command = arguments
    through_closed_folders = command[0] == "--through-closed-folders"
    if through_closed_folders:
        del command[0]
        _call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
        # initdb asks access(2) for its neighbours, which forgets capabilities unless this is set.
        _call("prctl", _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(int(gid), int(gid), int(gid))
    os.setresuid(int(uid), int(uid), int(uid))
    if through_closed_folders:
        _keep_only_dac_override()
    os.execv(command[0], command)  # noqa: S606 - the whole purpose; no shell is involved


def _keep_only_dac_override() -> None:
    """Give up every capability but one, and let that one survive exec (capabilities(7))."""
    bit = 1 << _CAP_DAC_OVERRIDE
    header = _Header(_CAPABILITY_VERSION_3, 0)
    sets = (_Sets * 2)(_Sets(bit, bit, bit), _Sets(0, 0, 0))
    _call("capset", ctypes.byref(header), sets)
    _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _call(name: str, *arguments: object) -> None:
    function = getattr(ctypes.CDLL(None, use_errno=True), name)
    if function(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


if __name__ == "__main__":
    main(sys.argv[1:])
