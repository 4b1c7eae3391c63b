"""`gateway demo`: real texts through two simulated carriers, watched, charged and checked.

    cases ◆     what is sent and what has to come of it     carriers   the simulated carriers
    journey ◆   one request on its way                      customer   an account that can send
    checks ◆    whether it came as it had to                stage      the running processes
    screen      what is shown                               play       the demonstration itself

`children` and `leash` run processes that end with us, `interrupts` lets them be noted first.
"""

from __future__ import annotations

from pathlib import Path

from gateway.config import Config

DATA_DIR = Path(".gateway/demo")


def main(config: Config, *, data_dir: Path | None = None) -> int:
    """Play the demonstration in `data_dir` and return its exit status.

    It has settings of its own: `config` is not looked at, so that none can make it fail.
    """
    # Late: its child processes come through this package too, and start sooner without it.
    from gateway.demo.play import run

    return run(data_dir or DATA_DIR)
