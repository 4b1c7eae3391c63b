"""Passwords as the store keeps them: scrypt, with its parameters and salt beside the digest.

SMPP's passwords are short and travel in the clear without TLS, so a stolen table must at least
cost its thief 50 ms of one core and 16 MB a guess.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

N, R, P = 2**14, 8, 1
SALT_BYTES = 16
_DIGEST_BYTES = 32
_MEMORY_BYTES_MAX = 64 * 1024 * 1024


def hash_password(password: str, salt: bytes) -> str:
    """Return what the store keeps; takes about 50 ms of a core, without Python's lock."""
    digest = _scrypt(password, salt, N, R, P)
    return "$".join(("scrypt", str(N), str(R), str(P), _write(salt), _write(digest)))


def check_password(password: str, kept: str) -> bool:
    """Say whether `kept` was made of this password; as slow as `hash_password`."""
    kind, n, r, p, salt, digest = kept.split("$")
    assert kind == "scrypt", f"nobody here writes {kind}"
    found = _scrypt(password, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


NOBODYS_HASH = "$".join(("scrypt", str(N), str(R), str(P), "AAAAAAAAAAAAAAAAAAAAAA==", "AAAA"))
"""No password makes it: what an unknown system_id is compared with, to cost the same time."""


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    octets = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(
        octets, salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_BYTES_MAX, dklen=_DIGEST_BYTES
    )


def _write(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
