"""The HTTP client for addresses that customers name: it reaches public addresses only.

The check sits where a socket is made for an address that is already a number, so neither a name
that resolves to our network, nor one that resolves differently the second time, nor a number in
an odd notation gets past it. Redirects are not followed at all.

Not here: which addresses are public (`targets.py`).
"""

from __future__ import annotations

import asyncio
import errno
import socket
from concurrent.futures import ThreadPoolExecutor

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import AddrInfoType

from gateway import __version__
from gateway.hooks.targets import NOT_PUBLIC, find_address_fault

_LOOKUPS_MAX = 16
"""Threads for names. A look-up can't be canceled, and a name server that is silent holds one for
half a minute; with a pool of their own they never hold the event loop's, which carriers use."""

_NAMES_CACHED_S = 30


LEADS_NOWHERE = "the name in the address leads to no public address"


class TargetRefused(OSError):
    """The address is not public; nothing was sent."""

    def __init__(self, fault: str) -> None:
        super().__init__(errno.EACCES, fault)


class Resolver(AbstractResolver):
    """Looks names up in threads of its own."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_LOOKUPS_MAX, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, _look_up, host, port, family
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found_family,
                proto=proto,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for found_family, _, proto, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def open_session(
    *,
    timeout_s: float,
    allow_private: bool,
    connections_max: int,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """Return a session for calls to customers; whoever closes it closes `resolver` too."""

    def make_socket(target: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = target
        fault = "" if allow_private else find_address_fault(str(address[0]))
        if fault:
            raise TargetRefused(fault)
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        limit=connections_max,
        resolver=resolver,
        ttl_dns_cache=_NAMES_CACHED_S,
        socket_factory=make_socket,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        cookie_jar=aiohttp.DummyCookieJar(),
        # A few compressed bytes could unfold to gigabytes, and nobody reads them.
        auto_decompress=False,
        headers={"User-Agent": f"sms-gateway/{__version__}", "Accept-Encoding": "identity"},
    )


def explain(error: Exception) -> str:
    """Say to a customer why a call could not be made.

    Whether a name is unknown or one of our own network is the same to it: it could ask for any,
    and would learn what is in there.
    """
    text = f"{type(error).__name__}: {error}"
    # Of several addresses the client puts what was wrong with each into one error's text.
    hidden = isinstance(error, aiohttp.ClientConnectorDNSError) or NOT_PUBLIC in text
    return LEADS_NOWHERE if hidden else text


def _look_up(
    host: str, port: int, family: socket.AddressFamily
) -> list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[object, ...]]]:
    return list(socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM))
