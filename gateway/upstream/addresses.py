"""TON and NPI of an address, by its form."""

from __future__ import annotations

from functools import lru_cache

from gateway.routing.numbers import Ineligible
from gateway.routing.sender import parse_sender

_ALPHANUMERIC = (5, 0)


@lru_cache(maxsize=4096)
def address_type(address: str) -> tuple[int, int]:
    """Return TON and NPI; what is no number is a name."""
    parsed = parse_sender(address)
    return _ALPHANUMERIC if isinstance(parsed, Ineligible) else (parsed.ton, parsed.npi)
