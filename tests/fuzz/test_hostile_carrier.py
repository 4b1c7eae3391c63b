"""A bind against carriers that say anything, over real sockets: it goes on, and nothing leaks.

What a session does with octets is the targets' matter; here it is the connection around it: what
is not caught would end the bind, what is not freed would grow with every connection.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections.abc import Sequence

import structlog

from bench.fuzz.mutate import make_noise
from bench.fuzz.source import Source
from bench.fuzz.wellformed import COMMANDS, make_pdu
from gateway.smpp import vocabulary as v
from gateway.smpp.client import CarrierBind
from gateway.smpp.pdu import encode_header, encode_submission
from gateway.smpp.settings import BindSettings, Pace
from gateway.smpp.shapes import DeliverSm, SubmitTemplate
from gateway.smpp.timers import Timings

SEED = int(os.environ.get("GATEWAY_FUZZ_SEED", "20261122"))
CONNECTIONS = 100
TIMEOUT_S = 60.0 * float(os.environ.get("GATEWAY_TEST_TIMEOUT_FACTOR", "1"))
BODY = encode_submission(SubmitTemplate(), 5, 0, "Shop", "447700900123", b"Hello")
AT_ONCE = Pace(first_s=0.0, max_s=0.0, slow_first_s=0.0, slow_max_s=0.0)


class Keeper:
    """Keeps the books of a bind's listener: what was submitted must come back."""

    def __init__(self) -> None:
        self.open: set[object] = set()
        self.bounds = 0
        self._next = 0

    def bound(self, bind: CarrierBind) -> None:
        self.bounds += 1
        self.room(bind)

    def lost(self, bind: CarrierBind, reason: str, in_flight: Sequence[object]) -> None:
        self.open -= set(in_flight)

    def room(self, bind: CarrierBind) -> None:
        while bind.room > 2:
            self._next += 1
            bind.submit(BODY, self._next)
            self.open.add(self._next)

    def responded(
        self, bind: CarrierBind, context: object, status: int, message_id: str, latency_s: float
    ) -> None:
        self.open.remove(context)

    def delivered(self, bind: CarrierBind, token: int, pdu: DeliverSm) -> None:
        bind.acknowledge(token)
        bind.acknowledge(token)  # a second answer must not go out


class HostileCarrier:
    """Takes most binds, then says something else on each connection, and hangs up."""

    def __init__(self, rng: random.Random, connections: int) -> None:
        self._rng = rng
        self._left = connections
        self.done = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rng = self._rng
        try:
            bind = await reader.readexactly(16)
            if rng.random() < 0.8:
                writer.write(
                    encode_header(v.BIND_TRANSCEIVER_RESP, int.from_bytes(bind[12:], "big"))
                )
            for _ in range(rng.randrange(1, 12)):
                writer.write(self._say())
                await writer.drain()
                if rng.random() < 0.3:
                    await asyncio.wait_for(reader.read(4_096), 5)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort() if rng.random() < 0.5 else writer.close()
            self._left -= 1
            if self._left <= 0:
                self.done.set()

    def _say(self) -> bytes:
        rng = self._rng
        match rng.randrange(6):
            case 0:
                return make_noise(rng, (b"\0\0\0\x10",), 64)
            case 1:
                return encode_header(v.SUBMIT_SM_RESP, rng.randrange(1, 12), rng.randrange(3))
            case 2:  # an announced PDU that never comes whole
                return encode_header(v.DELIVER_SM, 5, 0, 4_000) + rng.randbytes(100)
            case _:
                source = Source(rng.randbytes(200))
                return make_pdu(source, rng.choice(COMMANDS), rng.randrange(1, 12))


async def _bind_through(connections: int, rng: random.Random, keeper: Keeper) -> CarrierBind:
    """Hold a bind until the carrier has hung up so many times."""
    carrier = HostileCarrier(rng, connections)
    server = await asyncio.start_server(carrier.serve, "127.0.0.1", 0)
    settings = BindSettings(
        host="127.0.0.1",
        port=server.sockets[0].getsockname()[1],
        system_id="me",
        window_size=10,
        timings=Timings(session_init_s=0.2, enquire_link_s=0.1, response_s=0.2, unbind_s=0.2),
        pace=AT_ONCE,
    )
    bind = CarrierBind("hostile/1", 1, settings, keeper, random=lambda: 0.0)
    running = asyncio.create_task(bind.run())
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await carrier.done.wait()
    finally:
        await bind.stop(0.1)
        await running
        server.close()
    return bind


async def test_a_bind_outlives_any_number_of_hostile_connections() -> None:
    faults: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, fault: faults.append(fault))
    keeper = Keeper()
    with structlog.testing.capture_logs() as logs:
        bind = await _bind_through(CONNECTIONS, random.Random(SEED), keeper)
    assert faults == [], f"seed {SEED}"
    assert {"bind_bound", "bind_lost"} <= {line["event"] for line in logs}
    assert "listener_failed" not in {line["event"] for line in logs}
    assert keeper.open == set(), "a submission that never came back"
    assert keeper.bounds > CONNECTIONS / 3
    assert bind.garbage > 0
    # The last one may have been cut off by the stop.
    assert bind.binds + bind.refusals + bind.failures >= CONNECTIONS - 1


async def test_what_a_hostile_connection_used_is_freed() -> None:
    keeper = Keeper()
    await _bind_through(10, random.Random(SEED), keeper)
    before = _count_our_objects()
    await _bind_through(40, random.Random(SEED + 1), keeper)
    assert _count_our_objects() <= before


def _count_our_objects() -> int:
    """Sessions, links and what belongs to them; the collector sees all of those."""
    gc.collect()
    # Some classes of other packages have a descriptor where their module's name should be.
    modules = (str(type(each).__module__) for each in gc.get_objects())
    return sum(module.startswith("gateway.smpp") for module in modules)
