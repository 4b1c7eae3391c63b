"""One of several nodes of a machine as a process: `python -m gateway.supervisor.member 2/3`.

Started by `children.py`: its orders are the first line of standard input, which then is its leash:
when that ends, so does the node, as by SIGTERM. It says once on standard output that it serves.
"""

from __future__ import annotations

import sys
import threading

import msgspec
import structlog

from gateway.app import Gateway
from gateway.demo.leash import end_with_the_parent
from gateway.live.settings import Given
from gateway.serve import serve_seat
from gateway.supervisor.orders import Orders, Ready


def main() -> int:
    """Serve until asked to stop, and return the exit status."""
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    threading.Thread(target=end_with_the_parent, name="leash", daemon=True).start()
    structlog.contextvars.bind_contextvars(seat=orders.seat.index + 1)
    # Its settings are those that hold: whoever started us has stored the file that it was given.
    given = None if orders.author is None else Given(None, "", orders.author)
    return serve_seat(orders.config, given, orders.seat, _say_ready)


def _say_ready(gateway: Gateway) -> None:
    ready = Ready(
        node=gateway.node,
        port=gateway.port,
        https_port=gateway.https_port,
        metrics_port=gateway.metrics_port,
    )
    print(msgspec.json.encode(ready).decode(), flush=True)


if __name__ == "__main__":
    sys.exit(main())
