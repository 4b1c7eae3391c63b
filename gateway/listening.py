"""Whether a node can listen where its settings say, asked before anything is made or started.

A port that is taken is found in a millisecond; after the database is made it would be found late.
Between here and the listening somebody may still take it, which then ends the start all the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

from gateway.config import Config
from gateway.errors import CannotListen


async def check_addresses(config: Config) -> None:
    """Try each address that is to be listened on; raises CannotListen for the first that can't."""
    for setting, host, port in _addresses(config):
        if port:
            await _check(setting, host, port)


def _addresses(config: Config) -> Iterator[tuple[str, str, int]]:
    """Yield the settings' section, host and port of each; port 0 is any that is free."""
    http = config.http
    if http.plain:
        yield "http", http.host, http.port
    if http.tls.enabled:
        yield "http.tls", http.host, http.tls.port
    smpp = config.smpp
    if smpp.enabled and smpp.plain:
        yield "smpp", smpp.host, smpp.port
    if smpp.enabled and smpp.tls.enabled:
        yield "smpp.tls", smpp.host, smpp.tls.port


async def _check(setting: str, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(found):
            with socket.socket(family, kind, protocol) as probe:
                # As the listening socket has them: what lingers of a former one is no obstacle.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
                probe.listen()
    except OSError as error:
        why = str(error) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise CannotListen(
            f"can't listen on {where}: {why}; [{setting}] host and port say where"
        ) from error
