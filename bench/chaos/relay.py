"""What stands between the gateway and its carrier: it can cut and halve, and sees what passes.

The carrier's own counts die with it; these don't. A message is known by the number that its text
begins with, "#17 …".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

from gateway.smpp import vocabulary as v
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import Frame, decode_submit_sm

READ_BYTES = 65_536


class Relay:
    """Forwards connections to a port on this machine."""

    def __init__(self, carrier_port: int) -> None:
        self.port = 0
        self.taken: Counter[int] = Counter()
        """How often the carrier answered each message's number with ESME_ROK."""
        self.sent: Counter[int] = Counter()
        """How often each number passed on its way to the carrier."""
        self.breaks = 0
        """Connections that ended."""
        self._carrier_port = carrier_port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._deaf = asyncio.Event()
        self._deaf.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection that stands."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def halve(self, seconds: float) -> None:
        """Let answers and receipts wait on their way, while submissions still pass."""
        self._deaf.clear()
        try:
            await asyncio.sleep(seconds)
        finally:
            self._deaf.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._carrier_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        waiting: dict[int, int] = {}
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, far_writer, waiting, up=True))
                group.create_task(self._pass_on(far_reader, writer, waiting, up=False))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self.breaks += 1
            self._writers -= {writer, far_writer}
            for each in (writer, far_writer):
                each.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        waiting: dict[int, int],
        *,
        up: bool,
    ) -> None:
        framer = Framer()
        while data := await reader.read(READ_BYTES):
            for frame in framer.receive(data):
                if up:
                    self._see_request(frame, waiting)
                else:
                    self._see_answer(frame, waiting)
            if not up:
                await self._deaf.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("one side has ended")

    def _see_request(self, frame: Frame, waiting: dict[int, int]) -> None:
        if frame.command_id != v.SUBMIT_SM:
            return
        text = decode_submit_sm(frame.body).short_message
        with contextlib.suppress(ValueError):
            number = int(text[1:].split(b" ", 1)[0])
            self.sent[number] += 1
            waiting[frame.sequence] = number

    def _see_answer(self, frame: Frame, waiting: dict[int, int]) -> None:
        if frame.command_id == v.SUBMIT_SM | v.RESPONSE:
            number = waiting.pop(frame.sequence, None)
            if number is not None and frame.status == 0:
                self.taken[number] += 1
