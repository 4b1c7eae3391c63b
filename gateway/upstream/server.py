"""Listens for customers over SMPP, and keeps strangers' connections few.

Who is let in is `door.py`'s, what a bound customer may do `desk.py`'s. Here: sockets, TLS, how
many connections there may be, and the order of a stop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import cast

from gateway.config import ListenTls, Smpp
from gateway.errors import ConfigError
from gateway.logs import get_logger
from gateway.metrics import UpstreamMetrics
from gateway.smpp.link import Link
from gateway.smpp.protocol import Session
from gateway.smpp.states import Role
from gateway.smpp.timers import Timings
from gateway.upstream.bind import CustomerBind
from gateway.upstream.desk import CustomerDesk
from gateway.upstream.door import Door
from gateway.upstream.postman import Postman
from gateway.upstream.terms import WINDOW_SIZE_MAX, Address

UNBIND_S = 3.0
"""How long a stop waits for a customer's answer to our unbind."""
OWED_MAX = 2 * WINDOW_SIZE_MAX
"""What a session can owe before it turns requests away by itself. The desk does so at the
account's own window; this is for what one read of the socket brings at once."""
BACKLOG = 512

log = get_logger("upstream")


class CustomerLink(Link):
    """A link that asks whether there is room for its peer before it listens to it."""

    def __init__(self, server: SmppServer, session: Session, bind: CustomerBind) -> None:
        super().__init__(session, bind.hear, bind.resumed)
        self._server = server
        self._bind = bind
        self._counted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._bind.address = _address_of(transport)
        self._counted = self._server.arrived(self._bind)
        if not self._counted:
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._counted:
            self._server.gone(self._bind)


class SmppServer:
    """The listening sockets and every connection on them."""

    def __init__(
        self,
        settings: Smpp,
        door: Door,
        desk: CustomerDesk,
        postman: Postman,
        metrics: UpstreamMetrics,
    ) -> None:
        """Raises ConfigError for TLS files that can't be used."""
        self.port = 0
        """Where it listens without TLS, once started; 0: nowhere."""
        self.tls_port = 0
        self._settings = settings
        self._door = door
        self._desk = desk
        self._postman = postman
        self._metrics = metrics
        self._tls = _build_tls(settings.tls) if settings.tls.enabled else None
        self._timings = Timings(
            session_init_s=settings.session_init_s,
            enquire_link_s=settings.enquire_link_s,
            response_s=settings.response_timeout_s,
            inactivity_s=settings.inactivity_s,
            unbind_s=UNBIND_S,
        )
        self._servers: list[asyncio.Server] = []
        self._connections: set[CustomerBind] = set()
        self._by_address: Counter[Address] = Counter()
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self) -> None:
        """Listen; raises OSError when a port is taken."""
        settings = self._settings
        if settings.plain:
            self.port = await self._listen(settings.port, None)
        if self._tls is not None:
            self.tls_port = await self._listen(settings.tls.port, self._tls)

    async def stop(self) -> None:
        """Let nobody in any more, finish what is owed, unbind, and return when all are gone."""
        for server in self._servers:
            server.close()
        self._door.closing = self._postman.stopping = True
        binds = list(self._door.binds)
        for bind in self._connections.difference(binds):
            bind.link.abandon()
        for bind in binds:
            bind.note_idle()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.stop_timeout_s):
                for bind in binds:
                    await bind.idle.wait()
        now = self._loop.time()
        for bind in binds:
            bind.unbind(now)
        with contextlib.suppress(TimeoutError):
            # The session ends by itself after UNBIND_S; the rest is for the last octets to leave.
            async with asyncio.timeout(UNBIND_S * 2):
                for bind in binds:
                    await bind.link.gone.wait()
        for bind in list(self._connections):
            bind.link.abandon()

    # ── connections ──────────────────────────────────────────────────────────────────────────

    def arrived(self, bind: CustomerBind) -> bool:
        """Count a connection in; False when there are too many.

        A flood is counted and not logged: it is what would fill the disk.
        """
        settings = self._settings
        if len(self._connections) >= settings.connections_max:
            self._metrics.bind_refused("connections")
            return False
        if self._count_unbound(bind.address) >= settings.unbound_per_address_max:
            self._metrics.bind_refused("unbound")
            return False
        self._connections.add(bind)
        self._by_address[bind.address] += 1
        return True

    def gone(self, bind: CustomerBind) -> None:
        """Count out a connection that `arrived` counted in."""
        self._connections.discard(bind)
        self._by_address[bind.address] -= 1
        if not self._by_address[bind.address]:
            del self._by_address[bind.address]

    def _count_unbound(self, address: Address) -> int:
        count = self._by_address[address]
        if count < self._settings.unbound_per_address_max:
            return count  # at most: there is no need to look at each
        return sum(1 for each in self._connections if each.address == address and not each.bound)

    async def _listen(self, port: int, tls: ssl.SSLContext | None) -> int:
        server = await self._loop.create_server(
            self._make_link,
            self._settings.host,
            port,
            ssl=tls,
            backlog=BACKLOG,
            ssl_handshake_timeout=self._settings.session_init_s if tls is not None else None,
        )
        self._servers.append(server)
        listening = cast(int, server.sockets[0].getsockname()[1])
        log.info("listening", port=listening, tls=tls is not None)
        return listening

    def _make_link(self) -> CustomerLink:
        bind = CustomerBind(self._desk)
        session = Session(
            Role.SMSC,
            self._loop.time(),
            window_size=WINDOW_SIZE_MAX,
            timings=self._timings,
            owed_max=OWED_MAX,
        )
        bind.link = CustomerLink(self, session, bind)
        return bind.link


def _address_of(transport: asyncio.BaseTransport) -> Address:
    """Return where a connection comes from; an IPv4 address in IPv6's clothes is one of IPv4."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return IPv6Address(0)  # gone before it was looked at
    address = ip_address(peer[0].partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _build_tls(settings: ListenTls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(settings.cert_file, settings.key_file)
        if settings.client_ca_file:
            context.load_verify_locations(settings.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigError("smpp.tls", f"can't use these files: {error}") from error
    return context
