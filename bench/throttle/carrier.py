"""A simulated carrier in this process that notes every submission: when, what, and its answer."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from bench.simulator.carrier import Carrier
from bench.simulator.fate import Fate
from bench.simulator.intake import Intake
from bench.simulator.script import parse_script
from bench.simulator.submit import Submit
from bench.smsc import Smsc
from gateway.smpp import vocabulary as v

LATENCY_S: Final = 0.02

SCRIPT: Final = """
identity = "content"
[server]
rate_per_s = {rate_per_s}
burst = {burst}
[[rule]]
latency = {latency_s}
"""


class Seen(NamedTuple):
    """One submission as the carrier saw it."""

    at: float
    """Monotonic seconds."""
    text: str
    taken: bool


class NotingIntake(Intake):
    """Decides as any simulated carrier, and notes what came."""

    seen: list[Seen]

    def judge(self, submit: Submit, in_flight: int, now: float) -> Fate:
        fate = super().judge(submit, in_flight, now)
        text = submit.content.decode("latin-1")
        self.seen.append(Seen(time.monotonic(), text, fate.status == v.ESME_ROK))
        return fate


class NotingCarrier:
    """A carrier on a port of its own, whose limit can be changed while it runs."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._smsc = Smsc(parse_script(_script(0.0, 0)))

    @property
    def port(self) -> int:
        return self._smsc.port

    async def start(self) -> None:
        await self._smsc.start()
        self.limit(0.0, 0)

    async def stop(self) -> None:
        await self._smsc.stop()

    def limit(self, rate_per_s: float, burst: int) -> None:
        """Refuse what is above this rate from now on; 0: nothing."""
        carrier: Carrier = self._smsc.carrier
        carrier.follow(parse_script(_script(rate_per_s, burst)))
        noting = NotingIntake(carrier.script, carrier.tally)
        noting.seen = self.seen
        carrier.intake = noting

    async def wait_for_bind(self) -> None:
        for _ in range(600):
            if self._smsc.carrier.tally.open_binds:
                return
            await asyncio.sleep(0.05)
        raise RuntimeError("the gateway has not bound")


def _script(rate_per_s: float, burst: int) -> str:
    return SCRIPT.format(rate_per_s=rate_per_s, burst=burst, latency_s=LATENCY_S)
