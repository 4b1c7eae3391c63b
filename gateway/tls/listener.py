"""Accepts connections and shakes hands on them, each with the context that holds then.

The loop's own server takes one context for good, and begins a handshake, whose buffers take
256 KiB and more, before anybody is asked. Here a connection is counted first, closed where there
is no room for it, and a renewed certificate is shown from the next connection on.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

from gateway.logs import get_logger

BACKLOG = 512
ACCEPT_PAUSE_S = 0.1
SHUTDOWN_S = 5.0
"""How long a peer's own goodbye is waited for; a connection without it is cut."""

P = TypeVar("P", bound=asyncio.Protocol)

log = get_logger("tls")


class TlsListener(Generic[P]):
    """Listening sockets on one port, and the handshakes on them."""

    def __init__(
        self,
        current: Callable[[], ssl.SSLContext],
        greet: Callable[[object], P | None],
        failed: Callable[[P], None],
        *,
        handshake_s: float,
    ) -> None:
        """`greet` makes the protocol for a peer, None where there is no room for it; `failed`
        hears of protocols whose connection never came to be."""
        self.port = 0
        """Where it listens, once started."""
        self._current = current
        self._greet = greet
        self._failed = failed
        self._handshake_s = handshake_s
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def handshakes(self) -> int:
        """How many are under way."""
        return len(self._handshakes)

    async def start(self, host: str, port: int, *, shared: bool = False) -> None:
        """Listen on every address of the host (port 0: any that is free), `shared` with processes
        that do so too; raises OSError."""
        found = await self._loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                listener = socket.create_server(
                    (address[0], self.port or port),
                    family=family,
                    backlog=BACKLOG,
                    reuse_port=shared,
                )
                listener.setblocking(False)
                self._sockets.append(listener)
                self.port = listener.getsockname()[1]
        except OSError:
            await self.close()
            raise
        self._accepting = [
            self._loop.create_task(self._accept(each), name="tls") for each in self._sockets
        ]

    async def close(self) -> None:
        """Accept nothing more, and break off handshakes."""
        await _cancel([*self._accepting, *self._handshakes])
        self._close_sockets()

    async def close_door(self) -> None:
        """Accept who waits already and nobody more; handshakes go on."""
        await _cancel(self._accepting)
        for each in self._sockets:
            with suppress(OSError):  # nobody is left, at the latest
                while True:
                    self._begin(*each.accept())
        self._close_sockets()

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()
        self._sockets, self._accepting = [], []

    async def settle(self) -> None:
        """Return when every handshake that is under way has ended."""
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    async def _accept(self, listener: socket.socket) -> None:
        """Accept until cancelled."""
        while True:
            try:
                self._begin(*await self._loop.sock_accept(listener))
            except Exception:
                # Out of descriptors, mostly; whatever it is, others are to get in afterwards.
                log.exception("accept_failed")
                await asyncio.sleep(ACCEPT_PAUSE_S)

    def _begin(self, connection: socket.socket, peer: object) -> None:
        connection.setblocking(False)
        protocol = self._greet(peer)
        if protocol is None:
            connection.close()
            return
        task = self._loop.create_task(self._secure(connection, protocol))
        self._handshakes.add(task)
        task.add_done_callback(partial(self._ended, connection, protocol))

    async def _secure(self, connection: socket.socket, protocol: P) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: protocol,
                connection,
                ssl=self._current(),
                ssl_handshake_timeout=self._handshake_s,
                ssl_shutdown_timeout=SHUTDOWN_S,
            )
        except OSError as error:  # of ssl too: no certificate, an old protocol, nothing in time
            log.debug("handshake_failed", port=self.port, reason=_reason_of(error))
            self._failed(protocol)

    def _ended(self, connection: socket.socket, protocol: P, task: asyncio.Task[None]) -> None:
        self._handshakes.discard(task)
        if task.cancelled():
            connection.close()
            self._failed(protocol)
        elif (error := task.exception()) is not None:
            log.error("handshake_broke", exc_info=error)
            self._failed(protocol)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _reason_of(error: OSError) -> str:
    return getattr(error, "reason", None) or str(error) or type(error).__name__
