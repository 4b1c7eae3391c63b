"""Listens for customers over SMPP, and keeps strangers' connections few.

Who is let in is `door.py`'s, what a bound customer may do `desk.py`'s. Here: sockets, TLS, how
many connections there may be, and the order of a stop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from ipaddress import IPv6Address, ip_address

from gateway.config import Smpp
from gateway.listening import port_of
from gateway.logs import get_logger
from gateway.metrics import UpstreamMetrics
from gateway.smpp.link import Link
from gateway.smpp.protocol import Session
from gateway.smpp.states import Role
from gateway.smpp.timers import Timings
from gateway.tls.keeper import ListeningTls
from gateway.tls.listener import TlsListener
from gateway.tls.peers import names_of
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

    def arrive(self, peer: object) -> bool:
        """Say whether there is room for a connection from `peer`, and count it if so."""
        self._bind.address = _address_of(peer)
        self._counted = self._server.arrived(self._bind)
        return self._counted

    def give_up(self) -> None:
        """End what has not come to be a connection."""
        self.abandon()
        self._count_out()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._bind.certificate_names = names_of(transport)
        if not self._counted and not self.arrive(transport.get_extra_info("peername")):
            self.abandon()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._count_out()

    def _count_out(self) -> None:
        if self._counted:
            self._counted = False
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
        self.tls = ListeningTls(settings.tls, "smpp.tls") if settings.tls.enabled else None
        self.port = 0
        """Where it listens without TLS, once started; 0: nowhere."""
        self.tls_port = 0
        self._settings = settings
        self._door = door
        self._desk = desk
        self._postman = postman
        self._metrics = metrics
        self._timings = Timings(
            session_init_s=settings.session_init_s,
            enquire_link_s=settings.enquire_link_s,
            response_s=settings.response_timeout_s,
            inactivity_s=settings.inactivity_s,
            unbind_s=UNBIND_S,
        )
        self._plain: asyncio.Server | None = None
        self._secure: TlsListener[CustomerLink] | None = None
        self._connections: set[CustomerBind] = set()
        self._by_address: Counter[Address] = Counter()
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self, *, shared: bool = False) -> None:
        """Listen, `shared` with processes that do so too; raises OSError when a port is taken."""
        settings = self._settings
        if settings.plain:
            self._plain = await self._loop.create_server(
                self._make_link,
                settings.host,
                settings.port,
                backlog=BACKLOG,
                reuse_port=shared,
            )
            self.port = port_of(self._plain)
            log.info("listening", port=self.port, tls=False)
        if (tls := self.tls) is not None:
            self._secure = TlsListener(
                lambda: tls.context,
                self._greet,
                self._handshake_failed,
                handshake_s=settings.session_init_s,
            )
            await self._secure.start(settings.host, settings.tls.port, shared=shared)
            self.tls_port = self._secure.port
            log.info("listening", port=self.tls_port, tls=True)

    async def stop(self) -> None:
        """Let nobody in any more, finish what is owed, unbind, and return when all are gone."""
        self._door.closing = self._postman.stopping = True
        if self._secure is not None:
            await self._secure.close()
        if self._plain is not None:
            self._plain.close()
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
            self._metrics.connection_refused("full")
            return False
        if self._count_unbound(bind.address) >= settings.unbound_per_address_max:
            self._metrics.connection_refused("unbound")
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

    def _greet(self, peer: object) -> CustomerLink | None:
        """Count a connection before its handshake; None where there is no room for it."""
        link = self._make_link()
        return link if link.arrive(peer) else None

    def _handshake_failed(self, link: CustomerLink) -> None:
        self._metrics.connection_refused("tls")
        link.give_up()

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


def _address_of(peer: object) -> Address:
    """Return where a connection comes from; an IPv4 address in IPv6's clothes is one of IPv4."""
    if not isinstance(peer, tuple):
        return IPv6Address(0)  # gone before it was looked at
    address = ip_address(str(peer[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
