"""Waiting until every message of a run is final, by asking the gateway's own search."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import urlencode

import msgspec

from bench.generator.http import Connection, Response

UNDER_WAY: Final = ("accepted", "sending", "submitted")
"""In the order in which messages pass through them: one that moves on while we ask is met again."""
FINAL: Final = (
    "delivered",
    "undelivered",
    "expired",
    "rejected",
    "deleted",
    "canceled",
    "unknown",
)
POLL_S: Final = 0.25
_PAGE_MESSAGES: Final = 500


class _Message(msgspec.Struct):
    id: str


class _Page(msgspec.Struct):
    messages: list[_Message]
    next_cursor: str = ""


_decode_page = msgspec.json.Decoder(_Page).decode


class Refused(Exception):
    """The search can't be used: wrong key, wrong address."""


class Finals:
    """Asks about the messages of one account that were accepted since `accepted_from`.

    `accepted_from` is RFC 3339 in UTC.
    """

    def __init__(self, host: str, port: int, host_header: str, key: str, accepted_from: str):
        self._host = host
        self._port = port
        self._accepted_from = accepted_from
        self._head = (
            f" HTTP/1.1\r\nHost: {host_header}\r\nAuthorization: Bearer {key}\r\n\r\n"
        ).encode("latin-1")
        self._connection: Connection | None = None
        self._answer: asyncio.Future[Response] | None = None

    async def wait(self, timeout_s: float) -> bool:
        """Return True once no message is under way, False after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                # The last state first: while it is not empty, the others need no look.
                # Another process's state has no event to wait on.
                while await self._any("submitted") or await self._any_under_way():  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            self.close()
            return False
        return True

    async def count(self) -> dict[str, int]:
        """Return how many messages are in each state, final or not; those of none are left out."""
        counts = {status: await self._count(status) for status in (*UNDER_WAY, *FINAL)}
        return {status: n for status, n in counts.items() if n}

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _any_under_way(self) -> bool:
        for status in UNDER_WAY:
            if await self._any(status):
                return True
        return False

    async def _any(self, status: str) -> bool:
        cursor = ""
        while True:
            page = await self._fetch_page(status, 1, cursor)
            if page.messages:
                return True
            # A page without messages may still have a cursor: it looked at as many as it may.
            if not page.next_cursor:
                return False
            cursor = page.next_cursor

    async def _count(self, status: str) -> int:
        count, cursor = 0, ""
        while True:
            page = await self._fetch_page(status, _PAGE_MESSAGES, cursor)
            count += len(page.messages)
            if not page.next_cursor:
                return count
            cursor = page.next_cursor

    async def _fetch_page(self, status: str, limit: int, cursor: str) -> _Page:
        query = {"status": status, "limit": limit, "from": self._accepted_from}
        if cursor:
            query["cursor"] = cursor
        request = f"GET /v1/messages?{urlencode(query)}".encode() + self._head
        while True:
            try:
                response = await self._fetch(request)
            except OSError:
                self.close()
                await asyncio.sleep(POLL_S)
                continue
            if response.status == 200:
                return _decode_page(response.body)
            if response.status not in (429, 503):
                raise Refused(f"GET /v1/messages answers {response.status}: {response.body!r}")
            await asyncio.sleep(response.retry_after_s or POLL_S)

    async def _fetch(self, request: bytes) -> Response:
        """Return the answer to one request. Raises OSError when the connection is lost."""
        loop = asyncio.get_running_loop()
        self._answer = loop.create_future()
        if self._connection is None:
            _, self._connection = await loop.create_connection(
                lambda: Connection(self._take_response, self._take_loss), self._host, self._port
            )
        self._connection.send(request)
        return await self._answer

    def _take_response(self, connection: Connection, response: Response) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)

    def _take_loss(self, connection: Connection) -> None:
        self._connection = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("lost before the answer"))
