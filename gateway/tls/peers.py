"""Who a peer is by its certificate."""

from __future__ import annotations

import asyncio


def names_of(transport: asyncio.BaseTransport) -> frozenset[str]:
    """Return the names in a peer's certificate: its common name and its DNS names.

    Empty without TLS, or where it showed no certificate that one of our authorities vouches for.
    """
    shown = transport.get_extra_info("peercert") or {}
    subject = (pair for parts in shown.get("subject", ()) for pair in parts)
    named = (pair for pair in shown.get("subjectAltName", ()) if pair[0] == "DNS")
    common = (value for key, value in subject if key == "commonName")
    return frozenset([*common, *(value for _, value in named)])
