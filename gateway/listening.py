"""Where a node listens, and whether it can, asked before anything is made or started.

A port that is taken is found in a millisecond; after the database is made it would be found late.
Between here and the listening somebody may still take it, which then ends the start all the same.

Several nodes of one machine share the addresses of `[http]` and `[smpp]`: the kernel gives each new
connection to one of them (SO_REUSEPORT). `hold_addresses` is how whoever starts them has the ports
for as long as they run.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from gateway.config import Config
from gateway.errors import CannotListen, ConfigError

PORT_MAX = 65_535


class Seat(msgspec.Struct, frozen=True):
    """Which of the nodes that share this machine's ports a process is."""

    index: int
    """From 0."""
    count: int

    def metrics_address(self, config: Config) -> tuple[str, int]:
        """Return the host and port of this node alone; port 0 is any that is free."""
        host, port = config.node.metrics_host or config.http.host, config.node.metrics_port
        return host, port + self.index if port else 0


def port_of(server: asyncio.AbstractServer) -> int:
    """Return the port of a server that listens on one."""
    # uvloop's sockets are a list where asyncio's are a tuple: compiled files hold their types to
    # what they say, so it is asked here.
    port: int = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    return port


async def check_addresses(config: Config) -> None:
    """Try each address that is to be listened on; raises CannotListen for the first that can't."""
    for setting, host, port in _addresses(config):
        if port:
            await _check(setting, host, port)


async def check_seats(config: Config, count: int) -> None:
    """As `check_addresses`, for nodes that share those and have one more each for themselves.

    Raises ConfigError where they would meet.
    """
    await check_addresses(config)
    host, first = Seat(0, count).metrics_address(config)
    if not first:
        return
    own = range(first, first + count)
    if own[-1] > PORT_MAX:
        raise ConfigError("node.metrics_port", f"{count} nodes need ports from {first} on")
    for setting, _, port in _addresses(config):
        if port in own:
            raise ConfigError("node.metrics_port", f"{port} is the port of [{setting}] already")
    for port in own:
        await _check("node", host, port, keys="metrics_host and metrics_port")


async def hold_addresses(config: Config, held: ExitStack) -> Config:
    """Keep the shared addresses from other programs until `held` is closed, without listening.

    Returns the settings with ports in place of those that were 0. Raises CannotListen.
    """
    ports: dict[str, int] = {}
    for setting, host, port in _addresses(config):
        ports[setting] = await _hold(setting, host, port, held)
    return _with_ports(config, ports)


def keep_addresses(config: Config, held: Config) -> Config:
    """Return the settings with what others have settled for all nodes of this machine.

    Nodes that start later, after other settings were applied, still share the same ports.
    """
    return msgspec.structs.replace(
        config, node=held.node, http=held.http, smpp=held.smpp, log=held.log
    )


async def _hold(setting: str, host: str, port: int, held: ExitStack) -> int:
    with _explained(setting, host, port):
        for family, kind, protocol, _, address in await _resolve(host, port):
            holder = held.enter_context(_make_socket(family, kind, protocol))
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            holder.bind((address[0], port, *address[2:]))
            port = holder.getsockname()[1]
    return port


def _with_ports(config: Config, ports: dict[str, int]) -> Config:
    """Return the settings with these ports, by section."""
    replace = msgspec.structs.replace
    http, smpp = config.http, config.smpp
    return replace(
        config,
        http=replace(
            http,
            port=ports.get("http", http.port),
            tls=replace(http.tls, port=ports.get("http.tls", http.tls.port)),
        ),
        smpp=replace(
            smpp,
            port=ports.get("smpp", smpp.port),
            tls=replace(smpp.tls, port=ports.get("smpp.tls", smpp.tls.port)),
        ),
    )


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


async def _check(setting: str, host: str, port: int, keys: str = "host and port") -> None:
    with _explained(setting, host, port, keys):
        for family, kind, protocol, _, address in await _resolve(host, port):
            with _make_socket(family, kind, protocol) as probe:
                probe.bind(address)
                probe.listen()


@contextmanager
def _explained(setting: str, host: str, port: int, keys: str = "host and port") -> Iterator[None]:
    """Raise CannotListen with what is wrong and which settings say where."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        yield
    except OSError as error:
        why = str(error) if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise CannotListen(
            f"can't listen on {where}: {why}; [{setting}] {keys} say where"
        ) from error


async def _resolve(host: str, port: int) -> list[Any]:
    """Return every address of a host, each once, as getaddrinfo gives it."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    return list(dict.fromkeys(found))


def _make_socket(family: int, kind: int, protocol: int) -> socket.socket:
    """Return a socket with the options of those that listen."""
    made = socket.socket(family, kind, protocol)
    # What lingers of a former one is no obstacle.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
