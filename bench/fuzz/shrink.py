"""Make a finding small: the shorter the octets, the plainer the fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

TRIES_MAX: Final = 5_000


def shrink(case: bytes, fails: Callable[[bytes], bool], tries_max: int = TRIES_MAX) -> bytes:
    """Return the smallest case that was found for which `fails` still says True."""
    assert fails(case), "only a failing case is made smaller"
    tries = 0
    improved = True
    while improved:
        improved = False
        for smaller in _smaller(case):
            tries += 1
            if tries > tries_max:
                return case
            if fails(smaller):
                case, improved = smaller, True
                break
    return case


def _smaller(case: bytes) -> Iterator[bytes]:
    """Yield cases without a piece, the largest pieces first, then with octets set to 0."""
    size = len(case)
    piece = size
    while piece:
        for at in range(0, size - piece + 1, max(piece // 2, 1)):
            yield case[:at] + case[at + piece :]
        piece //= 2
    for at in range(size):
        if case[at]:
            yield case[:at] + b"\0" + case[at + 1 :]
