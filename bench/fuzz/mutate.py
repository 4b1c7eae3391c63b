"""New cases out of old ones.

Pure but for the `random.Random` that the caller hands in: one seed, one row of cases.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final

STEPS_MAX: Final = 6
"""Changes stacked on one case; most cases get one or two."""

_TELLING_OCTETS: Final = (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x0F, 0x10, 0x1B, 0x20, 0x40, 0x7F, 0x80, 0xFF)
"""Borders of lengths and flags, the escape, NUL and space."""
_TELLING_NUMBERS: Final = (0, 1, 15, 16, 17, 254, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)


def mutate(
    case: bytes,
    rng: random.Random,
    others: Sequence[bytes],
    words: Sequence[bytes],
    size_max: int,
) -> bytes:
    """Return `case` after one to `STEPS_MAX` changes, cut to `size_max` octets.

    `others` lend pieces, `words` are put in whole.
    """
    changed = bytearray(case)
    for _ in range(min(STEPS_MAX, 1 + int(rng.expovariate(0.8)))):
        change = rng.choice(_CHANGES)
        change(changed, rng, others, words)
    return bytes(changed[:size_max])


def make_noise(rng: random.Random, words: Sequence[bytes], size_max: int) -> bytes:
    """Return a case out of nothing: octets of chance with words between them."""
    noise = bytearray()
    size = rng.randrange(min(64, size_max) + 1)
    while len(noise) < size:
        noise += rng.choice(words) if words and rng.random() < 0.3 else rng.randbytes(4)
    return bytes(noise[:size])


_Change = Callable[[bytearray, random.Random, Sequence[bytes], Sequence[bytes]], None]


def _flip_bit(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if case:
        case[rng.randrange(len(case))] ^= 1 << rng.randrange(8)


def _set_octet(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if case:
        case[rng.randrange(len(case))] = rng.choice(_TELLING_OCTETS)


def _step_octet(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if case:
        at = rng.randrange(len(case))
        case[at] = (case[at] + rng.choice((-1, 1))) & 0xFF


def _set_number(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    """Overwrite two or four octets with a number that lengths break at."""
    size = rng.choice((2, 4))
    if len(case) >= size:
        at = rng.randrange(len(case) - size + 1)
        number = rng.choice((*_TELLING_NUMBERS, len(case), len(case) - at))
        case[at : at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, "big")


def _insert_octets(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    at = rng.randrange(len(case) + 1)
    case[at:at] = rng.randbytes(rng.randrange(1, 9))


def _delete_piece(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if case:
        at = rng.randrange(len(case))
        del case[at : at + rng.randrange(1, 17)]


def _repeat_piece(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if case:
        at = rng.randrange(len(case))
        piece = case[at : at + rng.randrange(1, 65)]
        to = rng.randrange(len(case) + 1)
        case[to:to] = piece


def _insert_word(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    if words:
        at = rng.randrange(len(case) + 1)
        word = rng.choice(words)
        end = at + (len(word) if rng.random() < 0.5 else 0)  # over what is there, or between it
        case[at:end] = word


def _splice(
    case: bytearray, rng: random.Random, others: Sequence[bytes], words: Sequence[bytes]
) -> None:
    """Go on with the end of another case."""
    if others:
        other = rng.choice(others)
        at = rng.randrange(len(case) + 1)
        case[at:] = other[rng.randrange(len(other) + 1) :]


_CHANGES: Final[tuple[_Change, ...]] = (
    _flip_bit,
    _set_octet,
    _step_octet,
    _set_number,
    _insert_octets,
    _delete_piece,
    _repeat_piece,
    _insert_word,
    _splice,
)
