"""One request that is answered without a task, in the shape that uvicorn's protocol looks at.

uvicorn's connection keeps its newest request as `cycle` and reads and writes the attributes below;
this one has nobody waiting inside, so waking it wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from gateway.api.answers import Answer

Header = tuple[bytes, bytes]

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class _Nobody:
    """Stands for the event on which a task would wait for the rest of its request."""

    def set(self) -> None:
        pass


_NOBODY: Final = _Nobody()


class DirectCycle:
    """A request from its headers to its answer."""

    __slots__ = (
        "_on_response",
        "_transport",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "scope",
        "server_headers",
    )

    def __init__(
        self,
        scope: object,
        transport: asyncio.Transport,
        server_headers: Iterable[Header],
        on_response: Callable[[], None],
        *,
        keep_alive: bool,
    ) -> None:
        self.scope = scope
        self.server_headers = server_headers
        self.keep_alive = keep_alive
        self.message_event = _NOBODY
        self.disconnected = False
        self.body = b""
        self.more_body = True
        self.response_started = False
        self.response_complete = False
        self._transport = transport
        self._on_response = on_response

    def reply(self, answer: Answer) -> None:
        """Write the answer, whole and at once; what the peer left is not written any more."""
        if self.disconnected:
            return
        headers = [*self.server_headers, *answer.header_list()]
        if not self.keep_alive:
            headers.append((b"connection", b"close"))
        head = b"".join([b"%b: %b\r\n" % header for header in headers])
        self._transport.write(b"%b%b\r\n%b" % (_STATUS_LINES[answer.status], head, answer.body))
        self.response_started = self.response_complete = True
        if not self.keep_alive:
            self._transport.close()
        self._on_response()
