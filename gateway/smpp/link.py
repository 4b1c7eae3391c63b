"""The shell around one session: a connection, one timer and one write a loop turn.

    receive → events → owner → transmit → re-arm

Nothing is decided here: the octets go to `protocol.Session`, its events to the owner.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Final, cast

from gateway.logs import get_logger
from gateway.smpp.events import Event, Reason
from gateway.smpp.protocol import Session

OUTPUT_BYTES_MAX: Final = 1 << 20
"""Output that waits for a peer who does not read: more than any window of submissions between
two pauses, or 60,000 answers. Above it the peer is as good as gone."""

LINGER_S: Final = 2.0
"""How long the last octets (unbind, a nack) may take to leave before the connection is cut."""

log = get_logger("smpp")


class Link(asyncio.Protocol):
    """One session on one connection. `gone` is set when both are over."""

    def __init__(
        self,
        session: Session,
        hear: Callable[[Link, Sequence[Event]], None],
        resumed: Callable[[Link], None],
    ) -> None:
        """Join a session to its owner: `hear` takes all events, `resumed` says that what the
        peer left unread has drained. Neither may raise."""
        self.session = session
        self.paused = False
        """Whether the peer reads slower than we write."""
        self.gone = asyncio.Event()
        self._hear = hear
        self._resumed = resumed
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_asked = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    # ── what asyncio calls ───────────────────────────────────────────────────────────────────

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        connection = transport.get_extra_info("socket")
        if connection is not None:
            # Batched writes and a windowed peer: waiting for more to send only adds latency.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.touch()

    def data_received(self, data: bytes) -> None:
        self._tell(self.session.receive_data(data, self._loop.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._tell(self.session.close(Reason.CONNECTION_LOST, str(exc or "")))
        self._disarm()
        self.gone.set()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.touch()
        self._resumed(self)

    # ── what the owner calls ─────────────────────────────────────────────────────────────────

    def touch(self) -> None:
        """Ask for the session's output to be written at the end of this turn of the loop."""
        if not self._flush_asked:
            self._flush_asked = True
            self._loop.call_soon(self._flush)

    def abandon(self) -> None:
        """End the session at once and cut the connection."""
        self._tell(self.session.close(Reason.ABANDONED))
        self._cut()

    # ── inside ───────────────────────────────────────────────────────────────────────────────

    def _tell(self, events: Sequence[Event]) -> None:
        if events:
            self._hear(self, events)
        self.touch()

    def _flush(self) -> None:
        self._flush_asked = False
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        session = self.session
        if session.closed:
            transport.write(session.data_to_send())
            transport.close()
            self._disarm()
            # close() waits for the peer to read; a peer that does not is cut off.
            self._timer = self._loop.call_later(LINGER_S, self._cut)
            return
        if not self.paused:
            data = session.data_to_send()
            if data:
                transport.write(data)
        elif session.pending_bytes > OUTPUT_BYTES_MAX:
            log.warning("peer_does_not_read", pending_bytes=session.pending_bytes)
            self.abandon()
            return
        self._rearm()

    def _rearm(self) -> None:
        # A deadline that moved away is left alone: firing early is harmless and rare, while
        # re-arming at every answer is not.
        at = self.session.next_timer()
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        self._disarm()
        self._timer_at = at
        self._timer = self._loop.call_at(at, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._tell(self.session.handle_timer(self._loop.time()))

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cut(self) -> None:
        if self._transport is not None:
            self._transport.abort()
