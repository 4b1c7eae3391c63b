"""Which submissions are one message, and the dice that its identity throws.

Draws come from the message and the attempt, not from the order of arrival: with several binds that
order changes from run to run, and the same message must meet the same fate in each of them.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from hashlib import blake2b
from typing import Literal

_TAG = re.compile(rb"#(\d{1,18})")
_TAG_UCS2 = re.compile(rb"\x00#((?:\x00\d){1,18})")
_DATA_CODING_UCS2 = 8
_SCALE = 2.0**-32


class Draw(IntEnum):
    """Which question a draw answers; each has its own, so that answers are independent."""

    RULE = 0
    TROUBLE = 1
    REFUSE = 2
    LATENCY = 3
    STATE = 4
    DELAY = 5
    LATE = 6
    EARLY = 7
    DUPLICATE = 8
    MISSING = 9
    MALFORMED = 10
    VARIANT = 11


_UNPACK = struct.Struct(f"<{len(Draw)}I").unpack
_KEY = struct.Struct("<QI").pack


def find_tag(content: bytes, data_coding: int) -> int | None:
    """Return the number after the first `#` in the text, None without one."""
    if data_coding == _DATA_CODING_UCS2:
        found = _TAG_UCS2.search(content)
        return int(found[1].replace(b"\x00", b"")) if found else None
    found = _TAG.search(content)
    return int(found[1]) if found else None


def identify(
    kind: Literal["content", "tag"],
    source: str,
    destination: str,
    content: bytes,
    data_coding: int,
) -> int:
    """Return 64 bits that name the message; `content` is its header, text and SAR fields."""
    if kind == "tag":
        tag = find_tag(content, data_coding)
        if tag is not None:
            return tag
    whole = b"%b\0%b\0%b" % (source.encode("latin-1"), destination.encode("latin-1"), content)
    return int.from_bytes(blake2b(whole, digest_size=8).digest(), "little")


def draw(seed: int, key: int, attempt: int) -> tuple[float, ...]:
    """Return one number from [0, 1) for each `Draw`, the same for the same arguments."""
    digest = blake2b(
        _KEY(key, attempt), digest_size=4 * len(Draw), key=seed.to_bytes(8, "little")
    ).digest()
    return tuple([part * _SCALE for part in _UNPACK(digest)])
