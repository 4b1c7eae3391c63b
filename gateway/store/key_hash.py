"""What the store, and memory, keep of a key in its place.

Keys are 256 random bits: a slow hash guards what people choose, and nobody guesses these.
"""

from __future__ import annotations

import hashlib


def hash_key(plaintext: str) -> bytes:
    """Return the SHA-256 of a key."""
    return hashlib.sha256(plaintext.encode("utf-8", "surrogatepass")).digest()
