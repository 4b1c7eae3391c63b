"""What the simulator reaches by itself, with the barest client that keeps a window full.

The simulator runs in its own process. The client prebuilds its bytes, reads only headers, and
acknowledges every receipt, so that the simulator's core is the one that is busy.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final, cast

from gateway.smpp import vocabulary as v
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import encode, encode_deliver_sm_resp, encode_header, encode_submit_sm
from gateway.smpp.shapes import Pdu, SubmitSm

WINDOW_SIZE: Final = 100
TIMEOUT_S: Final = 120.0


def measure(messages: int, script: Path | None = None) -> dict[str, Any]:
    """Send `messages` through a simulator; return its rates and its CPU time a message.

    The script must answer every message and send one receipt for each.
    """
    command = [sys.executable, "-m", "bench.smsc", "--port", "0", "--control-port", "0"]
    command += ["--script", str(script)] if script else []
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            return _run(messages, ready["ports"][0], ready["control_port"])
        finally:
            process.terminate()


def _run(messages: int, port: int, control_port: int) -> dict[str, Any]:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_drive(messages, port, control_port))


async def _drive(messages: int, port: int, control_port: int) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    client = _Client([_write_submit(number) for number in range(1, messages + 1)])
    reader, writer = await asyncio.open_connection("127.0.0.1", control_port)
    before = await _fetch_stats(reader, writer)
    await loop.create_connection(lambda: client, "127.0.0.1", port)
    started_s = time.perf_counter()
    await asyncio.wait_for(client.finished.wait(), TIMEOUT_S)
    elapsed_s = time.perf_counter() - started_s
    after = await _fetch_stats(reader, writer)
    writer.close()
    carrier = after["carriers"][0]
    cpu_s = after["process_cpu_s"] - before["process_cpu_s"]
    return {
        "messages": messages,
        "window": WINDOW_SIZE,
        "receipts": client.receipts,
        "distinct": carrier["distinct"],
        "elapsed_s": round(elapsed_s, 3),
        "messages_per_s": round(messages / elapsed_s),
        "simulator_cpu_us_per_message": round(cpu_s / messages * 1e6, 1),
        "simulator_messages_per_cpu_s": round(messages / cpu_s),
    }


async def _fetch_stats(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Any:
    writer.write(b'{"do": "stats"}\n')
    return json.loads(await reader.readline())


def _write_submit(number: int) -> bytes:
    return encode_submit_sm(
        number,
        SubmitSm(
            source_addr_ton=5,
            source_addr="Selftest",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=f"4479111{number % 100_000:05d}",
            registered_delivery=v.RECEIPT_ALWAYS,
            short_message=b"Your parcel is on its way and comes before noon. #%d" % number,
        ),
    )


class _Client(asyncio.Protocol):
    """Binds, keeps the window full until everything is answered and every receipt is there."""

    def __init__(self, submits: list[bytes]) -> None:
        self.finished = asyncio.Event()
        self.receipts = 0
        self._submits = submits
        self._sent = 0
        self._answered = 0
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = cast(asyncio.Transport, transport)
        fields: dict[str, int | str] = {"system_id": "selftest", "interface_version": 0x34}
        self._transport.write(encode(Pdu(v.BIND_TRANSCEIVER, 1, 0, fields)))

    def connection_lost(self, exc: Exception | None) -> None:
        self.finished.set()

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        written: list[bytes] = []
        room = 0
        for frame in self._framer.receive(data):
            match frame.command_id:
                case v.SUBMIT_SM_RESP:
                    room += 1
                    self._answered += 1
                case v.DELIVER_SM:
                    self.receipts += 1
                    written.append(encode_deliver_sm_resp(frame.sequence))
                case v.BIND_TRANSCEIVER_RESP:
                    room = WINDOW_SIZE
        if room:
            written += self._submits[self._sent : self._sent + room]
            self._sent = min(self._sent + room, len(self._submits))
        if self._answered == self.receipts == len(self._submits):
            written.append(encode_header(v.UNBIND, 0x7FFFFFFF))
            self.finished.set()
        self._transport.write(b"".join(written))
