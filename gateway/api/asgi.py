"""ASGI's own vocabulary, and the two moves that every route shares: read a body, send an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from gateway.api.answers import Answer
from gateway.errors import Rejected

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

OnRequest = Callable[[str, int, float], None]
"""Told after every request: route as "POST /v1/messages", status, seconds."""
OnFault = Callable[[str, BaseException], None]
"""Told when a request met our own fault: route and the exception."""


async def read_body(receive: Receive, announced_bytes: int, bytes_max: int) -> bytes:
    """Return the whole body; raises Rejected (413) as soon as it is known to be too long.

    How long a client may take is the server's to limit (`serve.py`); a client that goes away or
    is cut off there raises Rejected (408), which then nobody reads.
    """
    if announced_bytes > bytes_max:
        raise _too_large(bytes_max)
    event = await receive()
    body: bytes = event.get("body", b"")
    if event["type"] == "http.request" and not event.get("more_body"):
        if len(body) > bytes_max:
            raise _too_large(bytes_max)
        return body
    chunks = []
    received = 0
    while event["type"] == "http.request":
        chunk: bytes = event.get("body", b"")
        received += len(chunk)
        if received > bytes_max:
            raise _too_large(bytes_max)
        chunks.append(chunk)
        if not event.get("more_body"):
            return b"".join(chunks)
        event = await receive()
    raise Rejected("incomplete_body", "the body did not arrive whole", status=408)


async def send_answer(send: Send, answer: Answer) -> None:
    """Send one whole response."""
    await send(
        {
            "type": "http.response.start",
            "status": answer.status,
            "headers": answer.header_list(),
        }
    )
    await send({"type": "http.response.body", "body": answer.body})


def address_of(scope: Scope) -> str:
    """Return the remote address, "" when the server knows none."""
    client = scope.get("client")
    return client[0] if client else ""


def _too_large(bytes_max: int) -> Rejected:
    return Rejected("body_too_large", f"a body has at most {bytes_max} bytes", status=413)
