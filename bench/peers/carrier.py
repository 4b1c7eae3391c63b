"""The simulated carrier that every system is measured against: one process, asked over TCP.

It answers each submit_sm at once and sends the receipt in the same turn, or after as long as a
system needs (`System.receipt_delay_s`). What is one message is told by its number, the `#n` in
its text, so that what comes twice or not at all is known whatever a system does with the text.
Its TCP acknowledges at once: Kannel and Jasmin leave Nagle's algorithm on and would wait for that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.peers.processes import CannotRun
from gateway.demo.children import Child

BOUND_TIMEOUT_S: Final = 60.0
_SCRIPT: Final = """
identity = "tag"
[connection]
quick_ack = true
[[rule]]
delay = {delay_s}
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the carrier has counted since it started."""

    submitted: int
    distinct: int
    duplicates: int
    receipts: int
    """Made for what was taken."""
    acknowledged: int
    """Receipts that were answered with ESME_ROK."""
    submitted_s: float
    acknowledged_s: float
    """Of the last one; the machine's monotonic clock."""
    binds: int
    in_flight_max: int


class SimulatedCarrier:
    """Its ports, and what it counts."""

    def __init__(self, child: Child) -> None:
        line = child.read_line(BOUND_TIMEOUT_S)
        if not line:
            raise CannotRun("the simulated carrier did not start")
        ready = json.loads(line)
        self.pid = child.pid
        self.port: int = ready["ports"][0]
        self._control_port: int = ready["control_port"]

    async def wait_bound(self) -> None:
        """Return once somebody is bound; raises CannotRun when nobody comes."""
        try:
            async with asyncio.timeout(BOUND_TIMEOUT_S):
                # Another process's state has no event to wait on.
                while not (await self.look()).binds:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise CannotRun("nobody bound to the simulated carrier") from None

    async def look(self) -> Seen:
        """Return what it has counted by now."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._control_port)
        try:
            writer.write(b'{"do": "stats"}\n')
            answer = json.loads(await reader.readline())
        finally:
            writer.close()
        stats: dict[str, Any] = answer["carriers"][0]
        return Seen(
            stats["submit_sm"],
            stats["distinct"],
            stats["duplicates"],
            stats["receipts"]["made"],
            stats["receipts"]["acknowledged"],
            stats["submitted_s"],
            stats["acknowledged_s"],
            stats["binds"]["open"],
            stats["in_flight_max"],
        )


@contextmanager
def start_carrier(folder: Path, receipt_delay_s: float) -> Iterator[SimulatedCarrier]:
    """Run a fresh one until the context is left."""
    script = folder / "carrier.toml"
    script.write_text(_SCRIPT.format(delay_s=receipt_delay_s))
    words = ("--port", "0", "--control-port", "0", "--script", str(script))
    with Child("bench.smsc", *words, stderr=folder / "carrier.log") as child:
        yield SimulatedCarrier(child)
