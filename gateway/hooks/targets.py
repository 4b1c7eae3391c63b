"""Which addresses a webhook may call: the public internet and nothing nearer.

A customer names the address, so it could name ours: the database, a cloud's metadata service, a
neighbour behind the firewall. The check that counts is made on the address to which a socket is
about to connect (`connect.py`), after names were resolved. `find_url_fault` is the early word for
whoever writes such an address down.
"""

from __future__ import annotations

import ipaddress
import urllib.parse

URL_CHARS_MAX = 2048
NOT_PUBLIC = "is not a public address"

# The IANA special-purpose registries (RFC 6890 and its updates). A table of our own, because
# `ipaddress.is_global` has changed its mind between Python versions.
_FORBIDDEN_V4 = {
    ipaddress.IPv4Network(network): what
    for network, what in {
        "0.0.0.0/8": "this host",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "a provider's shared network",
        "127.0.0.0/8": "loopback",
        "168.63.129.16/32": "a cloud's own services",  # Azure's, though the number is public
        "169.254.0.0/16": "link-local",  # with the metadata services of most clouds
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved",
        "192.0.2.0/24": "documentation",
        "192.88.99.0/24": "reserved",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "benchmarking",
        "198.51.100.0/24": "documentation",
        "203.0.113.0/24": "documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
    }.items()
}

_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
"""Everything that is allocated at all; what lies outside is local in one way or another."""

_FORBIDDEN_V6 = {
    ipaddress.IPv6Network(network): what
    for network, what in {
        "2001::/23": "reserved",  # Teredo (2001::/32) among them, which hides an IPv4 address
        "2001:db8::/32": "documentation",
        "3fff::/20": "documentation",
    }.items()
}

_CARRY_V4 = {
    ipaddress.IPv6Network("::ffff:0:0/96"): 0,
    ipaddress.IPv6Network("64:ff9b::/96"): 0,  # NAT64 (RFC 6052)
    ipaddress.IPv6Network("2002::/16"): 80,  # 6to4 (RFC 3056)
}
"""IPv6 networks whose addresses lead to an IPv4 address, and how many bits follow that."""


def find_address_fault(address: str) -> str:
    """Say why a socket must not connect to an IP address; empty when it may."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return f"{address!r} is not an IP address"
    kind = _find_kind_v4(parsed) if parsed.version == 4 else _find_kind_v6(parsed)
    return f"{parsed} {NOT_PUBLIC} ({kind})" if kind else ""


def find_url_fault(url: str, *, allow_private: bool) -> str:
    """Say why an address can't be called, as far as its text tells; empty when it can."""
    if len(url) > URL_CHARS_MAX:
        return f"the address is longer than {URL_CHARS_MAX} characters"
    if not url.isprintable() or " " in url:
        return "the address has blanks or control characters"
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        return f"the address can't be read: {error}"
    if parts.scheme not in ("http", "https"):
        return "the address does not begin with https:// or http://"
    if not host or port == 0:
        return "the address names no host or no port that could be called"
    if allow_private:
        return ""
    if f".{host}".rstrip(".").endswith(".localhost"):
        return f"{host} {NOT_PUBLIC} (loopback)"
    return find_address_fault(host) if _is_ip(host) else ""


def _find_kind_v4(address: ipaddress.IPv4Address) -> str:
    return next((what for network, what in _FORBIDDEN_V4.items() if address in network), "")


def _find_kind_v6(address: ipaddress.IPv6Address) -> str:
    for network, bits_after in _CARRY_V4.items():
        if address in network:
            carried = (int(address) >> bits_after) & 0xFFFF_FFFF
            return _find_kind_v4(ipaddress.IPv4Address(carried))
    if address not in _PUBLIC_V6:
        return "local or reserved"
    return next((what for network, what in _FORBIDDEN_V6.items() if address in network), "")


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
