"""What keys may do, and where they may come from. Values only.

A key's scopes are bits of a plain int: they are tested for every message, and an enum.Flag costs
ten times as much.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from gateway.errors import Rejected

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

SEND: Final = 1
"""Submit, cancel, and deliver events again."""
READ: Final = 2
"""See messages, events, prices and money."""
ALL: Final = SEND | READ
"""What a key may do that is made without saying more."""
ADMIN: Final = 4
"""Add credit to any account; only said so."""

SCOPES: Final = {"send": SEND, "read": READ, "admin": ADMIN}
"""By the words that the API, the store and the command line use."""
NETWORKS_MAX: Final = 64


def read_scopes(words: Iterable[str]) -> int:
    """Return the bits of these words; one that is unknown here allows nothing."""
    bits = 0
    for word in words:
        bits |= SCOPES.get(word, 0)
    return bits


def write_scopes(scopes: int) -> list[str]:
    """Return the words of these bits."""
    return [word for word, bit in SCOPES.items() if scopes & bit]


def read_networks(texts: Collection[str]) -> tuple[Network, ...]:
    """Return networks, a single address as the network of it alone; raises Rejected."""
    if len(texts) > NETWORKS_MAX:
        raise Rejected("out_of_range", f"at most {NETWORKS_MAX}", field="networks")
    try:
        return tuple(ip_network(text) for text in texts)
    except ValueError as error:
        raise Rejected(
            "out_of_range", f"must be addresses or CIDR networks ({error})", field="networks"
        ) from None


@lru_cache(maxsize=4096)
def admits(networks: tuple[Network, ...], remote: str) -> bool:
    """Say whether one of the networks has this remote address; what is no address is in none."""
    address = _read_address(remote)
    return address is not None and any(address in network for network in networks)


def _read_address(remote: str) -> Address | None:
    try:
        address = ip_address(remote)
    except ValueError:
        return None
    # A socket that takes both families shows IPv4 clients inside of IPv6.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
