"""What stands between two parts of the run: it can cut and halve connections, and sees what passes.

The carrier's own counts die with it; those of the relay before it don't. A message is known by the
number that its text begins with, "#17 …".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.smpp import vocabulary as v
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import decode_submit_sm
from gateway.smpp.shapes import Frame

READ_BYTES = 65_536

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Sight = Callable[[bytes, bool], None]
"""Is told what passes on one connection, and whether it goes up, towards who was called."""


class Relay:
    """Forwards connections to one address on this machine."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        self.port = 0
        self.breaks = 0
        """Connections that ended."""
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._passes = {up: asyncio.Event() for up in (True, False)}
        for event in self._passes.values():
            event.set()

    async def start(self) -> None:
        """Listen on a port of this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def start_at(self, path: Path) -> None:
        """Listen on a socket in the file system."""
        self._server = await asyncio.start_unix_server(self._serve, path)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection that stands."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def halve(self, seconds: float, *, up: bool, then_cut: bool) -> None:
        """Let nothing pass in one direction for a while; what waits then arrives, or is lost."""
        self._passes[up].clear()
        try:
            await asyncio.sleep(seconds)
            if then_cut:
                self.cut()
        finally:
            self._passes[up].set()

    def watch(self) -> Sight | None:
        """Return who looks at what passes on a new connection, if anybody does."""
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        sight = self.watch()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, far_writer, sight, up=True))
                group.create_task(self._pass_on(far_reader, writer, sight, up=False))
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
        sight: Sight | None,
        *,
        up: bool,
    ) -> None:
        while data := await reader.read(READ_BYTES):
            await self._passes[up].wait()
            if writer.transport.is_closing():
                break
            if sight is not None:
                sight(data, up)
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError("one side has ended")


class CarrierRelay(Relay):
    """Stands before the carrier, and knows what was sent to it and what it took."""

    def __init__(self, connect: Callable[[], Awaitable[Streams]]) -> None:
        super().__init__(connect)
        self.sent: Counter[int] = Counter()
        """How often each number passed on its way to the carrier."""
        self.reported: set[int] = set()
        """Numbers of which the gateway has acknowledged a receipt."""
        self._names: dict[str, int] = {}
        """Numbers by the carrier's ids, of answers that passed."""

    def watch(self) -> Sight:
        framers = {up: Framer() for up in (True, False)}
        waiting: dict[int, int] = {}
        receipts: dict[int, str] = {}

        def see(data: bytes, up: bool) -> None:
            for frame in framers[up].receive(data):
                match frame.command_id, up:
                    case v.SUBMIT_SM, True:
                        self._see_submission(frame, waiting)
                    case v.SUBMIT_SM_RESP, False:
                        self._see_answer(frame, waiting)
                    case v.DELIVER_SM, False:
                        receipts[frame.sequence] = _read_name(frame.body)
                    case v.DELIVER_SM_RESP, True:
                        name = receipts.pop(frame.sequence, "")
                        if frame.status == 0 and name in self._names:
                            self.reported.add(self._names[name])

        return see

    def _see_submission(self, frame: Frame, waiting: dict[int, int]) -> None:
        text = decode_submit_sm(frame.body).short_message
        with contextlib.suppress(ValueError):
            number = int(text[1:].split(b" ", 1)[0])
            self.sent[number] += 1
            waiting[frame.sequence] = number

    def _see_answer(self, frame: Frame, waiting: dict[int, int]) -> None:
        number = waiting.pop(frame.sequence, None)
        if number is not None and frame.status == 0:
            self._names[frame.body.rstrip(b"\0").decode("latin-1")] = number


def _read_name(body: bytes) -> str:
    """Return the id in a receipt's text, "id:…"."""
    _, found, rest = body.partition(b"id:")
    return rest.split(b" ", 1)[0].decode("latin-1") if found else ""
