"""The simulated carrier that every system is measured against: one process, asked over TCP.

It answers each submit_sm at once and sends the receipt in the same turn, or after as long as a
system needs (`System.receipt_delay_s`). What is one message is told by its number, the `#n` in
its text, so that what comes twice or not at all is known whatever a system does with the text.
Its TCP acknowledges at once: Kannel and Jasmin leave Nagle's algorithm on and would wait for that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.peers.processes import CannotRun
from gateway.demo.children import Child

BOUND_TIMEOUT_S: Final = 60.0
ANSWER_BYTES_MAX: Final = 1 << 24
_SCRIPT: Final = """
identity = "tag"
[connection]
quick_ack = true
[[rule]]
latency = {latency_s}
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

    async def find_missing(self, numbers: Iterable[int]) -> set[int]:
        """Return the numbers of messages, among these, that never came."""
        wanted = set(numbers)
        if not wanted:
            return wanted
        answer = await self._ask({"do": "missing", "first": min(wanted), "last": max(wanted)})
        return wanted.intersection(answer["numbers"])

    async def change_pace(self, receipt_delay_s: float, latency_s: float) -> None:
        """Have what comes from now on answered so late, and its receipt sent so late."""
        await self._ask({"do": "script", "toml": _write_script(receipt_delay_s, latency_s)})

    async def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self._control_port, limit=ANSWER_BYTES_MAX
        )
        try:
            writer.write(json.dumps(command).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await reader.readline())
        finally:
            writer.close()
        return answer

    async def look(self) -> Seen:
        """Return what it has counted by now."""
        stats: dict[str, Any] = (await self._ask({"do": "stats"}))["carriers"][0]
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
def start_carrier(
    folder: Path, receipt_delay_s: float, latency_s: float = 0.0
) -> Iterator[SimulatedCarrier]:
    """Run a fresh one until the context is left; `latency_s` is how late it answers."""
    script = folder / "carrier.toml"
    script.write_text(_write_script(receipt_delay_s, latency_s))
    words = ("--port", "0", "--control-port", "0", "--script", str(script))
    with Child("bench.smsc", *words, stderr=folder / "carrier.log") as child:
        yield SimulatedCarrier(child)


def _write_script(receipt_delay_s: float, latency_s: float) -> str:
    return _SCRIPT.format(delay_s=receipt_delay_s, latency_s=latency_s)
