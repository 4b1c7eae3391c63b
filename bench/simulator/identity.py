"""Which submissions are one message, and the dice that its identity throws.

Draws come from the message and the attempt, not from the order of arrival: with several binds that
order changes from run to run, and the same message must meet the same fate in each of them.
"""

from __future__ import annotations

import re
import struct
from hashlib import blake2b
from typing import Final, Literal

from bench.simulator.submit import Submit

_TAG = re.compile(rb"#(\d{1,18})")
_TAG_UCS2 = re.compile(rb"\x00#((?:\x00\d){1,18})")
_DATA_CODING_UCS2 = 8
_SCALE = 2.0**-32


# Which question a draw answers; each has its own, so that answers are independent. Plain integers,
# because an IntEnum's member costs as much to look up as the draw itself.
DRAW_RULE: Final = 0
DRAW_TROUBLE: Final = 1
DRAW_REFUSE: Final = 2
DRAW_LATENCY: Final = 3
DRAW_STATE: Final = 4
DRAW_DELAY: Final = 5
DRAW_LATE: Final = 6
DRAW_EARLY: Final = 7
DRAW_DUPLICATE: Final = 8
DRAW_MISSING: Final = 9
DRAW_MALFORMED: Final = 10
DRAW_VARIANT: Final = 11
DRAWS: Final = 12


_UNPACK = struct.Struct(f"<{DRAWS}I").unpack
_KEY = struct.Struct("<QI").pack


def find_tag(content: bytes, data_coding: int) -> int | None:
    """Return the number after the first `#` in the text, None without one."""
    if data_coding == _DATA_CODING_UCS2:
        found = _TAG_UCS2.search(content)
        return int(found[1].replace(b"\x00", b"")) if found else None
    found = _TAG.search(content)
    return int(found[1]) if found else None


def identify(kind: Literal["content", "tag"], submit: Submit) -> int:
    """Return 64 bits that name the message."""
    if kind == "tag":
        tag = find_tag(submit.content, submit.data_coding)
        if tag is not None:
            return tag
    whole = b"%b\0%b\0%b%b" % (
        submit.source_addr,
        submit.destination_addr,
        submit.content,
        submit.sar,
    )
    return int.from_bytes(blake2b(whole, digest_size=8).digest(), "little")


def draw(seed: int, key: int, attempt: int) -> tuple[float, ...]:
    """Return one number from [0, 1) for each `DRAW_…`, the same for the same arguments."""
    digest = blake2b(
        _KEY(key, attempt), digest_size=4 * DRAWS, key=seed.to_bytes(8, "little")
    ).digest()
    return tuple([part * _SCALE for part in _UNPACK(digest)])
