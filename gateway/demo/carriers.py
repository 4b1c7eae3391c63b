"""Two simulated carriers: what they do, how a gateway is set up for them, and their process.

    north   German numbers; its ids are decimal everywhere
    south   numbers of +1, and what north does not want; its ids are hexadecimal in responses and
            decimal in receipts, as some carriers write them

Numbers that end in 13 are refused, and those that end in 27 come back undelivered. Both run in
one process beside the gateway, `python -m gateway.demo.carriers`.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from gateway.demo.children import Child, DidNotStart

NORTH: Final = "north"
SOUTH: Final = "south"
CURRENCY: Final = "EUR"

_READY_TIMEOUT_S: Final = 30.0
"""It takes half a second; a machine that is busy with other things takes longer."""

# Numbers are of the ranges that are kept for films, so that nobody is ever behind one.
_FILMED_DE: Final = "4917139200"
_FILMED_US: Final = "120255501"
_UNWANTED: Final = "49171392009"
"""North refuses these as ESME_RX_R_APPN: another carrier may take them."""

_REFUSED: Final = {"suffix": "13", "latency": 0.3, "refuse": [{"status": 0x0B}]}
_UNDELIVERED: Final = {
    "suffix": "27",
    "latency": 0.2,
    "delay": 1.2,
    "receipts": [{"state": "UNDELIV", "err": "027"}],
}
_FAST: Final = {
    "latency": 0.005,
    "delay": {"kind": "exponential", "mean_s": 0.2, "max_s": 2.0},
}
"""Every other number: never what limits a load that is driven against it."""


def _at_real_pace(prefix: str) -> dict[str, Any]:
    """Numbers that are answered as slowly as carriers do, so that people can watch."""
    return {
        "prefix": prefix,
        "latency": {"kind": "uniform", "min_s": 0.1, "max_s": 0.4},
        "delay": {"kind": "uniform", "min_s": 0.6, "max_s": 2.2},
    }


_ACCOUNTS: Final = [{"system_id": "demo", "password": "simulated"}]
_SCRIPTS: Final[tuple[dict[str, Any], ...]] = (
    {
        "seed": 12,
        "server": {"system_id": NORTH},
        "ids": {"first": 70_154_001},
        "account": _ACCOUNTS,
        "rule": [
            {"prefix": _UNWANTED, "latency": 0.3, "refuse": [{"status": 0x66}]},
            _REFUSED,
            _UNDELIVERED,
            _at_real_pace(_FILMED_DE),
            _FAST,
        ],
    },
    {
        "seed": 34,
        "server": {"system_id": SOUTH},
        "ids": {"first": 0x0AC4_0001, "response": "hex_upper", "receipt": "decimal"},
        "account": _ACCOUNTS,
        "rule": [
            _REFUSED,
            _UNDELIVERED,
            _at_real_pace(_FILMED_DE),
            _at_real_pace(_FILMED_US),
            _FAST,
        ],
    },
)

_SETTINGS: Final = f"""\
# The windows are wide so that load can be driven against these carriers.
[[carrier]]
name = "{NORTH}"
host = "127.0.0.1"
port = {{north_port}}
system_id = "demo"
password = "simulated"
window_size = 500
reconnect_first_s = 0.2
reconnect_max_s = 2.0

[[carrier]]
name = "{SOUTH}"
host = "127.0.0.1"
port = {{south_port}}
system_id = "demo"
password = "simulated"
window_size = 500
reconnect_first_s = 0.2
reconnect_max_s = 2.0
# The same number, written differently in its responses and in its receipts.
ids = {{{{ response = "hex", receipt = "decimal" }}}}

[[route]]
countries = ["DE"]
carriers = ["{NORTH}"]

[[route]]
prefixes = ["{_UNWANTED}"]
carriers = ["{NORTH}", "{SOUTH}"]

[[route]]
prefixes = ["1"]
carriers = ["{SOUTH}"]

[[route]]
carriers = ["{NORTH}", "{SOUTH}"]

[[price]]
prefix = "49"
price = "0.075"

[[price]]
prefix = "1"
price = "0.04"

[[price]]
price = "0.01"
"""


class Simulator:
    """Both carriers in a child process; leaving the context stops it."""

    def __init__(self, stderr: Path | None = None) -> None:
        """Start them without waiting for it; what they say of errors goes to `stderr`, or ours."""
        self._child = Child("gateway.demo.carriers", stderr=stderr)
        self._ports: list[int] = []
        self.control_port = 0
        """Counts and commands (bench/simulator/control.py), after `wait_ready`."""

    def wait_ready(self) -> None:
        """Return when they listen; raises DidNotStart."""
        said = self._child.read_line(_READY_TIMEOUT_S)
        if not said:
            raise DidNotStart("the simulated carriers did not start")
        ready = json.loads(said)
        self._ports = ready["ports"]
        self.control_port = ready["control_port"]

    def settings(self) -> str:
        """Return the TOML with which a gateway uses them: carriers, routes and prices."""
        north_port, south_port = self._ports
        return _SETTINGS.format(north_port=north_port, south_port=south_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.__exit__(kind, error, traceback)


def main() -> None:
    """Be the child process: listen on free ports until SIGTERM."""
    from bench.simulator.script import build_script
    from bench.smsc import Smsc, run_fast, serve

    run_fast(serve([Smsc(build_script(script)) for script in _SCRIPTS], control_port=0))


if __name__ == "__main__":
    main()
