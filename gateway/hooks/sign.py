"""Signatures of webhook calls, so that a customer knows that a call is ours and fresh.

    Gateway-Signature: t=1763769600,v1=5257a869e7…

`t` is when the call was made, in seconds since the epoch, and `v1` the hex HMAC-SHA-256 of
`t`, a full stop and the body's bytes, under the account's webhook secret. While a secret is being
rotated there are two `v1`, under the new and the old one: either is enough. A later scheme would
stand beside them as `v2`.
"""

from __future__ import annotations

import enum
import hashlib
import hmac

HEADER = "Gateway-Signature"
TOLERANCE_S = 300.0
"""How old a call may be before it could be a replay: clocks differ, and retries sign anew."""


class Verdict(enum.Enum):
    GENUINE = "genuine"
    MALFORMED = "malformed"
    """There is no signature that could be checked."""
    FORGED = "forged"
    """Another secret, or the body was changed."""
    STALE = "stale"
    """Signed with our secret, but too long ago or in the future."""


def build_signature(secret: str, body: bytes, now: float, old_secret: str = "") -> str:
    """Return the header's value for a call made at `now` (epoch seconds)."""
    timestamp = int(now)
    signature = f"t={timestamp},v1={_digest(secret, timestamp, body)}"
    if old_secret:
        signature += f",v1={_digest(old_secret, timestamp, body)}"
    return signature


def judge_signature(
    secret: str, header: str, body: bytes, now: float, tolerance_s: float = TOLERANCE_S
) -> Verdict:
    """Say whether a call is what it claims; what our customers do, and our tests."""
    timestamp, digests = _parse_header(header)
    if timestamp is None or not digests:
        return Verdict.MALFORMED
    expected = _digest(secret, timestamp, body).encode()
    if not any(hmac.compare_digest(expected, digest.encode()) for digest in digests):
        return Verdict.FORGED
    return Verdict.GENUINE if abs(now - timestamp) <= tolerance_s else Verdict.STALE


def _parse_header(header: str) -> tuple[int | None, list[str]]:
    timestamp: int | None = None
    digests = []
    for part in header.split(","):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isascii() and value.isdigit() and len(value) <= 12:
            timestamp = int(value)
        elif name == "v1":
            digests.append(value)
    return timestamp, digests


def _digest(secret: str, timestamp: int, body: bytes) -> str:
    signed = b"%d." % timestamp + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
