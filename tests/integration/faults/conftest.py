"""A door between the gateway and PostgreSQL that can be cut, held shut or broken half-way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest

CHUNK_BYTES = 65_536


class Door:
    """A TCP proxy to the test's database.

    `cut` breaks what stands; while `shut`, nobody new comes in; `swallow_answers` lets requests
    through and loses what the server says, as a network does that dies at the worst moment.
    """

    def __init__(self, target: str) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.shut = False
        self.swallow_answers = False
        self.swallowed = asyncio.Event()
        """Set once the server has said something that nobody will hear."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    @property
    def url(self) -> str:
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        parts = urlsplit(self._target)
        user = parts.username or "postgres"
        return f"postgresql://{user}@127.0.0.1:{port}{parts.path}?sslmode=disable"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.shut:
            writer.transport.abort()
            return
        server_reader, server_writer = await self._connect()
        self._writers |= {writer, server_writer}
        await asyncio.gather(
            self._carry(reader, server_writer, answers=False),
            self._carry(server_reader, writer, answers=True),
        )

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self._target)
        host = parse_qs(parts.query).get("host", [""])[0] or parts.hostname or "127.0.0.1"
        port = parts.port or 5432
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while data := await reader.read(CHUNK_BYTES):
                if answers and self.swallow_answers:
                    self.swallowed.set()
                    continue
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(Exception):
            writer.close()


@pytest.fixture
async def door(database_url: str) -> AsyncIterator[Door]:
    door = Door(database_url)
    await door.open()
    yield door
    await door.close()
