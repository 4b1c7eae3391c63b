"""The address that receipts are called back to: answers at once, knows which message each is of.

Message n is called back at `/n`. It lives in the load generator's process and is counted there.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final, cast

import httptools

_BODY: Final = b"ACK/Jasmin"
"""What Jasmin takes for a success; others look at the status alone."""
_ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Sink:
    """One listening socket on loopback. Used in one event loop."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls = 0
        self.last_s = 0.0
        """When the last new one came, on the monotonic clock."""
        self._numbers: set[bytes] = set()
        self._server: asyncio.Server | None = None

    @property
    def distinct(self) -> int:
        """Messages that were called back at least once."""
        return len(self._numbers)

    def url(self, number: int | str) -> str:
        return f"http://127.0.0.1:{self.port}/{number}"

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Call(self), "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def take(self, target: bytes) -> None:
        self.calls += 1
        number = target.partition(b"?")[0]
        if number not in self._numbers:
            self._numbers.add(number)
            self.last_s = time.monotonic()


class _Call(asyncio.Protocol):
    """One caller's connection."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            assert self._transport is not None
            self._transport.close()

    def on_url(self, target: bytes) -> None:
        self._sink.take(target)

    def on_message_complete(self) -> None:
        assert self._transport is not None
        self._transport.write(_ANSWER)
        if not self._parser.should_keep_alive():
            self._transport.close()
