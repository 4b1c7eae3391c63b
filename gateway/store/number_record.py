"""What is recorded of whoever asks about a person's number: a reason, an author, the number's hash.

The number itself is not kept. Who has the key and a number can tell whether it was asked about.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

from gateway.errors import Rejected
from gateway.store.queries import query

if TYPE_CHECKING:
    from gateway.store.postgres import AnyConnection

REASON_CHARS_MAX = 500
AUTHOR_CHARS_MAX = 300

_KEY = query("fetch_number_key")


def hash_number(key: bytes, number: str) -> bytes:
    """Return what tells whether a number was erased, to who has the key and the number."""
    return hmac.new(key, number.encode(), hashlib.sha256).digest()


async def fetch_number_hash(connection: AnyConnection, hash_key: str, number: str) -> bytes:
    """Return a number's hash; without a `hash_key`, by the one that the database made."""
    return hash_number(hash_key.encode() or await connection.fetchval(_KEY), number)


def check_reason(reason: str, author: str) -> None:
    """Raise Rejected unless it is said why, and by whom in words that can be kept."""
    if not reason.strip() or len(reason) > REASON_CHARS_MAX or "\0" in reason:
        raise Rejected(
            "invalid_reason", f"say why, in at most {REASON_CHARS_MAX} characters", field="reason"
        )
    if len(author) > AUTHOR_CHARS_MAX or "\0" in author:
        raise Rejected(
            "invalid_author", f"an author has at most {AUTHOR_CHARS_MAX} characters", field="author"
        )
