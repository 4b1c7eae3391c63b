"""One request that is answered without a task, in the shape that uvicorn's protocol looks at.

uvicorn's connection keeps its newest request as `cycle` and reads and writes the attributes below;
this one has nobody waiting inside, so waking it wakes nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from gateway.api.answers import API_HEADERS, Answer, write_headers

_API_LINES: Final = write_headers(API_HEADERS)
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
        "server_lines",
    )

    def __init__(
        self,
        scope: object,
        transport: asyncio.Transport,
        server_lines: bytes,
        on_response: Callable[[], None],
        *,
        keep_alive: bool,
    ) -> None:
        self.scope = scope
        self.server_lines = server_lines
        """The headers of all answers of the server, as `write_headers` writes them."""
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
        own = write_headers(answer.headers) if answer.headers else b""
        last = b"" if self.keep_alive else b"connection: close\r\n"
        self._transport.write(
            b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n%b%b%b\r\n%b"
            % (
                _STATUS_LINES[answer.status],
                self.server_lines,
                answer.content_type,
                len(answer.body),
                _API_LINES,
                own,
                last,
                answer.body,
            )
        )
        self.response_started = self.response_complete = True
        if not self.keep_alive:
            self._transport.close()
        self._on_response()
