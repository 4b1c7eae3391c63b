"""Whose request a proxy passes on: the client's address, as far as proxies that we trust know it.

Pure. Every proxy writes at the right end whom it got the request from, so what is told is believed
from there to the left, for as long as trusted proxies tell it. What stands further left, or in a
header that the proxy doesn't write itself, is the client's own invention.

Not here: whose addresses may use a key (`gate.py`), where the headers are read (`serve.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

from gateway.scopes import Network, admits

Headers = Sequence[tuple[bytes, bytes]]

UNKNOWN: Final = "unknown"
"""The address of a client of whom a trusted proxy tells no address: in no network, and one for all
such clients when failed logins are counted."""
KNOWN_MAX: Final = 4_096
"""Headers remembered with their client, 2 MB at most."""
_KNOWN_BYTES_MAX: Final = 256
"""A longer one is read each time."""
HOPS_MAX: Final = 16
"""Trusted proxies behind each other; further left nobody looks."""
_COMMAS_MAX: Final = 16
"""Commas inside of quotes before an element of Forwarded is given up."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = rf'({_WORD})=(?:({_WORD})|"((?:[^"\\]|\\.)*)")'
_PAIRS = re.compile(rf"[ \t]*{_PAIR}[ \t]*(?:;|\Z)")
_IPV4_PORT = re.compile(r"([0-9.]+):[0-9]{1,5}")
_BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]{1,5})?")


class TrustedProxies:
    """The networks of our own proxies, and the header that they write."""

    def __init__(self, networks: tuple[Network, ...], header: str) -> None:
        """`header` is "forwarded" (RFC 7239) or "x-forwarded-for"."""
        self._networks = networks
        # The same few clients come again and again: 1.3 µs instead of 10.
        self._find = lru_cache(KNOWN_MAX)(self._find_client)
        self._header = header.encode()
        self._read = _read_forwarded if header == "forwarded" else _read_x_forwarded_for

    def trusts(self, address: str) -> bool:
        """Say whether this is a proxy of ours."""
        return bool(self._networks) and admits(self._networks, address)

    def find_client(self, proxy: str, headers: Headers) -> str:
        """Return whose request a trusted `proxy` passed on, in the form of a socket's address.

        Without the header the proxy asks for itself; UNKNOWN where it names no address.
        """
        lines = tuple([value for name, value in headers if name == self._header])
        if not lines:
            return proxy
        short = len(lines) == 1 and len(lines[0]) <= _KNOWN_BYTES_MAX
        return (self._find if short else self._find_client)(proxy, lines)

    def _find_client(self, proxy: str, lines: tuple[bytes, ...]) -> str:
        known, hops = proxy, 0
        for line in reversed(lines):
            for told in self._read(line.decode("latin-1")):
                hops += 1
                client = _read_address(told)
                if not client or hops > HOPS_MAX:
                    return UNKNOWN
                if not self.trusts(client):
                    return client
                known = client
        return known


def _read_x_forwarded_for(line: str) -> Iterator[str]:
    """Yield what one header line says, from right to left."""
    while True:
        line, comma, told = line.rpartition(",")
        yield told
        if not comma:
            return


def _read_forwarded(line: str) -> Iterator[str]:
    """Yield each element's `for`, from right to left; "" where that can't be read."""
    end = start = len(line)
    commas = 0
    while start >= 0:
        start = line.rfind(",", 0, start)
        told = _read_element(line[start + 1 : end])
        commas += 1
        if told is None and start >= 0 and commas <= _COMMAS_MAX:
            continue  # the comma may stand in quotes: the element begins further left
        yield told or ""
        end, commas = start, 0


def _read_element(element: str) -> str | None:
    """Return the `for` of an element; "" without a single one, None for what is no element."""
    at, told = 0, []
    while at < len(element):
        pair = _PAIRS.match(element, at)
        if pair is None:
            return None
        if pair[1].lower() == "for":
            told.append(pair[2] if pair[2] is not None else re.sub(r"\\(.)", r"\1", pair[3]))
        at = pair.end()
    return told[0] if len(told) == 1 else ""


def _read_address(told: str) -> str:
    """Return an address without its port, as sockets write it; "" for what is none."""
    told = told.strip(" \t")
    if match := _BRACKETS.fullmatch(told) or _IPV4_PORT.fullmatch(told):
        told = match[1]
    if "%" in told:
        return ""  # a zone of an interface of the proxy's, that means nothing here
    try:
        address = ip_address(told)
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
