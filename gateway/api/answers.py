"""What the API says: an answer as a value.

Pure. The bodies that go into one are in `shapes.py`; errors have their own (`problems.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from gateway.record import Record

JSON = b"application/json"
REPLAYED_HEADER = (b"idempotency-replayed", b"true")

API_HEADERS = (
    # Answers carry numbers, texts and balances: no cache may keep them, no browser guess at them.
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)

encode = msgspec.json.Encoder().encode


class Answer(Record):
    """One whole HTTP response: status, body and the headers that belong to it alone."""

    __slots__ = ("body", "content_type", "headers", "status")

    def __init__(
        self,
        status: int,
        body: bytes,
        content_type: bytes = JSON,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.status: Final = status
        self.body: Final = body
        self.content_type: Final = content_type
        self.headers: Final = headers

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """Return every header of the response, names in lower case as ASGI asks."""
        return [
            (b"content-type", self.content_type),
            (b"content-length", str(len(self.body)).encode()),
            *API_HEADERS,
            *self.headers,
        ]


def write_headers(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return headers as they travel (RFC 9112 §5), each with the end of its line."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])
