"""A tap between the gateway and PostgreSQL: passes octets on and counts the statements among them.

Frontend messages as in PostgreSQL's protocol 3: after the startup message, a type and a length.
What runs a statement is a simple Query ("Q") or an Execute ("E").
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

SOCKET = ".s.PGSQL.5432"
CHUNK_BYTES = 1 << 16
_RUNS = frozenset(b"QE")


class StatementReader:
    """Counts the statements in what a client sends, however it is cut."""

    def __init__(self) -> None:
        self.statements = 0
        self.application = ""
        """What the client calls itself, once its startup message is there."""
        self._octets = bytearray()
        self._started = False

    def feed(self, octets: bytes) -> int:
        """Return how many statements were completed."""
        self._octets += octets
        before, at = self.statements, 0
        while True:
            head = 0 if not self._started else 1
            if len(self._octets) - at < head + 4:
                break
            (length,) = struct.unpack_from(">I", self._octets, at + head)
            if len(self._octets) - at < head + length:
                break
            if self._started:
                self.statements += self._octets[at] in _RUNS
            else:
                self._started = True
                self._read_startup(bytes(self._octets[at + 8 : at + length]))
            at += head + length
        del self._octets[:at]
        return self.statements - before

    def _read_startup(self, parameters: bytes) -> None:
        words = parameters.decode(errors="replace").split("\0")
        for name, value in zip(words[::2], words[1::2], strict=False):
            if name == "application_name":
                self.application = value


class Tap:
    """Listens on a socket in a folder of its own for one server. Used in one event loop."""

    def __init__(self, url: str, folder: Path) -> None:
        self.statements: Counter[str] = Counter()
        """By the name that a connection gave itself."""
        self._parts = urlsplit(url)
        self._folder = folder
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The database's address through the tap."""
        user = f"{self._parts.username}@" if self._parts.username else ""
        query = f"host={quote(str(self._folder), safe='/')}&port=5432"
        return urlunsplit(self._parts._replace(netloc=user, query=query))

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._folder / SOCKET)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        statements = StatementReader()
        to_server: asyncio.StreamWriter | None = None
        try:
            from_server, to_server = await self._connect()
            async with asyncio.TaskGroup() as group:
                back = group.create_task(_pass_on(from_server, writer))
                while octets := await reader.read(CHUNK_BYTES):
                    found = statements.feed(octets)
                    if found:
                        self.statements[statements.application] += found
                    to_server.write(octets)
                    await to_server.drain()
                back.cancel()
        except* ConnectionError:
            pass  # one of the two has gone
        finally:
            self._tasks.discard(task)
            for each in (writer, to_server):
                if each is not None:
                    each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        query = parse_qs(self._parts.query)
        host = query.get("host", [self._parts.hostname or "127.0.0.1"])[0]
        port = int(query.get("port", [str(self._parts.port or 5432)])[0])
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while octets := await reader.read(CHUNK_BYTES):
            writer.write(octets)
            await writer.drain()
    writer.close()
