"""One HTTP/1.1 connection that is kept open: one request at a time, whole answers back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools
import msgspec


class Response(msgspec.Struct, frozen=True):
    """One whole answer."""

    status: int
    body: bytes
    retry_after_s: float | None


class Connection(asyncio.Protocol):
    """Calls `on_response` for each answer and `on_lost` once, when it can't be used any more."""

    def __init__(
        self,
        on_response: Callable[[Connection, Response], None],
        on_lost: Callable[[Connection], None],
    ) -> None:
        self.open = False
        self._on_response = on_response
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._retry_after_s: float | None = None

    def send(self, request: bytes) -> None:
        """Send one request; the one before it must have been answered."""
        assert self._transport is not None, "a connection sends once it is open"
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # ── asyncio's side ───────────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio.Transport by class, only by what they do.
        self._transport = cast(asyncio.Transport, transport)
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail()
            self.close()

    def _fail(self) -> None:
        if self.open:
            self.open = False
            self._on_lost(self)

    # ── httptools' side ──────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 11 and name.lower() == b"retry-after" and value.isdigit():
            self._retry_after_s = float(value)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        response = Response(self._parser.get_status_code(), body, self._retry_after_s)
        self._body.clear()
        self._retry_after_s = None
        if not self._parser.should_keep_alive():
            # The answer counts, the connection is not used again.
            self.open = False
            self._on_response(self, response)
            self._on_lost(self)
            self.close()
            return
        self._on_response(self, response)
