"""Wrong keys, counted by remote address and minute; and which refusals are worth a line in the log.

Pure. It answers how long an address has to wait; who asks and what is said then is `gate.py`.
"""

from __future__ import annotations

import enum
from ipaddress import IPv6Address, ip_address

WINDOW_S = 60.0
ADDRESSES_MAX = 10_000
"""Addresses remembered a minute, about 1 MB; what comes beyond them shares one count."""

_OTHERS = "others"
LINES_MAX = 1_000
"""Refusals logged a minute: a flood is counted, it must not fill the disk."""


class LoginRefusal(enum.StrEnum):
    """Why a request is not let in, for the log and the counter."""

    NO_KEY = "no_key"
    KEY = "key"
    """Unknown, revoked or expired; or beside another account's name."""
    SLOWED = "slowed"
    """So many wrong keys came from its address that nobody looks at this one."""
    INACTIVE = "inactive"
    ADDRESS = "address"
    """A right key, from where it may not come."""
    SCOPE = "scope"


class News:
    """Which refusals were not logged yet in this minute: one line an address and reason."""

    def __init__(self) -> None:
        self._told: set[tuple[LoginRefusal, str]] = set()
        self._window = -1

    def is_news(self, reason: LoginRefusal, address: str, now: float) -> bool:
        """Say whether this is worth a line, and take it for logged if so."""
        window = int(now // WINDOW_S)
        if window != self._window:
            self._window = window
            self._told.clear()
        refusal = reason, network_of(address)
        if refusal in self._told or len(self._told) >= LINES_MAX:
            return False
        self._told.add(refusal)
        return True


class FailedLogins:
    """How often each address came with a wrong key in the minute that runs."""

    def __init__(self, failures_per_min: int) -> None:
        self._failures_max = failures_per_min
        self._counts: dict[str, int] = {}
        self._window = -1

    def wait_s(self, address: str, now: float) -> float:
        """Return how long this address has to wait before its next key is looked at; 0: not."""
        self._turn(now)
        if self._counts.get(self._slot(address), 0) < self._failures_max:
            return 0.0
        return (self._window + 1) * WINDOW_S - now

    def count(self, address: str, now: float) -> None:
        """Count one wrong key."""
        self._turn(now)
        slot = self._slot(address)
        self._counts[slot] = self._counts.get(slot, 0) + 1

    def _turn(self, now: float) -> None:
        window = int(now // WINDOW_S)
        if window != self._window:
            self._window = window
            self._counts.clear()

    def _slot(self, address: str) -> str:
        slot = network_of(address)
        if slot in self._counts or len(self._counts) < ADDRESSES_MAX:
            return slot
        return _OTHERS


def network_of(address: str) -> str:
    """Return what counts as one address: an IPv6 customer holds a whole /64."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    assert isinstance(parsed, IPv6Address)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return parsed.packed[:8].hex()
