"""What the headers of a request say, strictly read.

Pure. Header names are lower-case bytes, as ASGI promises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from gateway.errors import Rejected

Fields = Mapping[bytes, bytes]

_SINGLE = {
    b"authorization": "Authorization",
    b"content-type": "Content-Type",
    b"content-encoding": "Content-Encoding",
    b"idempotency-key": "Idempotency-Key",
}
"""Headers whose second appearance would leave open which one counts."""

_IDEMPOTENCY_KEY = re.compile(rb"[!-~]{1,255}")
_BEARER = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]{1,512}) *")


def read_fields(headers: Sequence[tuple[bytes, bytes]]) -> Fields:
    """Return the headers by name; raises Rejected (400) when one that counts stands twice."""
    fields = dict(headers)
    if len(fields) != len(headers):
        names = [name for name, _ in headers]
        for name, shown in _SINGLE.items():
            if names.count(name) > 1:
                raise Rejected("duplicate_header", f"{shown} stands twice", field=shown, status=400)
    return fields


def bearer_key(fields: Fields) -> str | None:
    """Return the key of `Authorization: Bearer KEY`, or None when there is none in that form."""
    value = fields.get(b"authorization")
    match = _BEARER.fullmatch(value) if value else None
    return match[1].decode() if match else None


def check_json(fields: Fields) -> None:
    """Raise Rejected (415) unless the body is announced as plain JSON in UTF-8."""
    content_type = fields.get(b"content-type", b"")
    if content_type != b"application/json" and not _is_json(content_type):
        raise Rejected(
            "unsupported_media_type",
            "send Content-Type: application/json",
            field="Content-Type",
            status=415,
        )
    if fields.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Rejected(
            "unsupported_media_type",
            "send the body uncompressed",
            field="Content-Encoding",
            status=415,
        )


def idempotency_key(fields: Fields) -> str:
    """Return the Idempotency-Key, "" without one; raises Rejected (400) for one that is none."""
    key = fields.get(b"idempotency-key")
    if key is None:
        return ""
    if not _IDEMPOTENCY_KEY.fullmatch(key):
        raise Rejected(
            "invalid_idempotency_key",
            "an Idempotency-Key is 1 to 255 visible ASCII characters",
            field="Idempotency-Key",
            status=400,
        )
    return key.decode()


def announced_bytes(fields: Fields) -> int:
    """Return the body's length as announced; 0 when it isn't (chunked)."""
    length = fields.get(b"content-length", b"0")
    # Twenty digits are more than any body; the server has refused what is no length at all.
    return int(length[:20]) if length.isdigit() else 0


def _is_json(content_type: bytes) -> bool:
    kind, *parameters = content_type.lower().split(b";")
    if kind.strip() != b"application/json":
        return False
    for parameter in parameters:
        name, _, value = parameter.strip().partition(b"=")
        if name == b"charset" and value.strip(b'"') not in (b"utf-8", b"utf8"):
            return False
    return True
