"""Run one of our modules so that it ends with whoever started it.

    python -m gateway.demo.leash MODULE ARGUMENTS …

Standard input is the leash: a pipe whose other end only the parent holds. However the parent
dies, kill -9 included, the pipe ends, and the module is asked to stop as by SIGTERM. Nothing of
this depends on the operating system or on which of the parent's threads started us.

Not here: starting it and holding the other end (`children.py`).
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

STDIN = 0
GRACE_S = 60.0
"""A gateway that drains its windows and stops its database is done long before."""


def main() -> None:
    """Run the module that the command line names, on the leash."""
    threading.Thread(target=end_with_the_parent, name="leash", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def end_with_the_parent() -> None:
    """Wait until the pipe ends; then stop this process, in order if it does."""
    while os.read(STDIN, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
