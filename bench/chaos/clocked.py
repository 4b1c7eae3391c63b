"""Run the gateway with a time of day that can be moved while it runs.

    CHAOS_CLOCK=FILE python -m bench.chaos.clocked ARGUMENTS OF gateway …

The file holds one double: by how many seconds the gateway's time of day is ahead. Only `time.time`
is moved, as only that moves when somebody sets a machine's clock: `time.monotonic` and the event
loop's timers stay as they are.
"""

from __future__ import annotations

import mmap
import os
import runpy
import struct
import time

AHEAD_S = struct.Struct("d")


def main() -> None:
    with open(os.environ["CHAOS_CLOCK"], "rb") as file:
        ahead = mmap.mmap(file.fileno(), AHEAD_S.size, access=mmap.ACCESS_READ)
    true_time, read_ahead = time.time, AHEAD_S.unpack_from
    # Before anything of the gateway is imported, some of which keeps the function itself.
    time.time = lambda: true_time() + read_ahead(ahead)[0]
    runpy.run_module("gateway", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
