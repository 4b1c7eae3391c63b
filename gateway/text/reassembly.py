"""Parts of long inbound messages, put together again.

Pure: the caller hands in parts as they arrive, with `now`, arms one timer for `next_deadline`
and calls `expire` when it comes. Parts may come in any order and more than once. Nothing is
dropped in silence: a set that can't be completed is handed back as a `Partial`.

Not here: finding the numbers of a part (`udh.concatenation`, or SAR's TLVs) and what the octets
mean (`alphabet.decode_gsm7`).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from typing import NamedTuple

import msgspec

LIFE_S = 1800.0
"""How long a set waits for its missing parts: what handsets and gateways of the field wait."""

SETS_MAX = 5_000
"""Incomplete sets held at once. Three parts of 140 octets with their objects take about 1.5 kB,
so 8 MB; the worst case, 254 parts each, needs a carrier that never sends a last part."""

REPEAT_S = 120.0
"""How long a completed set is remembered, so that a part that comes again does not open a set.
A carrier repeats what it has no answer for after its response timer, 30-60 s, or at its next
bind. Longer is worse: a sender that uses one reference for every message, with a first part
that is always the same, would have it taken for a repetition."""

COMPLETED_MAX = 20_000
"""Completed sets remembered at once: 170 long messages a second, 120 s, at about 300 octets."""


class Part(msgspec.Struct, frozen=True, gc=False):
    """One part, as it arrived: `sequence` from 1 to `total`, `content` without its header."""

    source: str
    destination: str
    reference: int
    total: int
    sequence: int
    content: bytes
    data_coding: int = 0


class Complete(msgspec.Struct, frozen=True, gc=False):
    """Every part is there, in order."""

    parts: tuple[Part, ...]


class Partial(msgspec.Struct, frozen=True, gc=False):
    """A set that is given up: the parts that came, in order, and the sequences that did not."""

    parts: tuple[Part, ...]
    missing: tuple[int, ...]


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """The part is kept until `missing` more have come.

    `displaced` is a set that had to go for it: the oldest one when the reassembler is full, or
    the one whose reference this part's message uses again.
    """

    missing: int
    displaced: Partial | None = None


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """This very part was there before; nothing changed."""


DUPLICATE = Duplicate()

Outcome = Complete | Waiting | Duplicate


class _Key(NamedTuple):
    source: str
    destination: str
    reference: int
    total: int


class _OpenSet(NamedTuple):
    deadline: float
    parts: dict[int, Part]


class _CompletedSet(NamedTuple):
    deadline: float
    digests: tuple[int, ...]


class Reassembler:
    """The sets of parts that wait for each other.

    `now` never goes backwards between calls. Each table is in the order of its deadlines, because
    all its sets have the same life: the first one is always the next to go.
    """

    def __init__(self, life_s: float = LIFE_S, sets_max: int = SETS_MAX) -> None:
        assert life_s > 0
        assert sets_max > 0
        self._life_s = life_s
        self._sets_max = sets_max
        self._open: dict[_Key, _OpenSet] = {}
        self._completed: dict[_Key, _CompletedSet] = {}

    def __len__(self) -> int:
        """Return how many sets wait for a part."""
        return len(self._open)

    @property
    def next_deadline(self) -> float | None:
        """When `expire` has something to hand back, None when nothing waits."""
        return next((waiting.deadline for waiting in self._open.values()), None)

    def add(self, part: Part, now: float) -> Outcome:
        """Take one part; a part that numbers nothing (1 of 1, 0 of 3, 4 of 3) is a whole message.

        A part whose number is taken by other content begins a new message: references of 8 bits
        are soon used again.
        """
        if part.total < 2 or not 1 <= part.sequence <= part.total:
            return Complete((part,))
        key = _Key(part.source, part.destination, part.reference, part.total)
        waiting = self._open.get(key)
        if waiting is None and self._was_completed_with(key, part, now):
            return DUPLICATE
        displaced = None
        if waiting is not None and part.sequence in waiting.parts:
            if waiting.parts[part.sequence].content == part.content:
                return DUPLICATE
            displaced, waiting = self._give_up(key), None
        if waiting is None:
            if len(self._open) >= self._sets_max:
                displaced = self._give_up(next(iter(self._open)))
            waiting = self._open[key] = _OpenSet(now + self._life_s, {})
        waiting.parts[part.sequence] = part
        missing = part.total - len(waiting.parts)
        return Waiting(missing, displaced) if missing else self._complete(key, now)

    def expire(self, now: float) -> list[Partial]:
        """Hand back the sets whose time is over, oldest first."""
        for key in _overdue(self._completed, now):
            del self._completed[key]
        return [self._give_up(key) for key in _overdue(self._open, now)]

    def _was_completed_with(self, key: _Key, part: Part, now: float) -> bool:
        completed = self._completed.get(key)
        return (
            completed is not None
            and now < completed.deadline
            and completed.digests[part.sequence - 1] == hash(part.content)
        )

    def _complete(self, key: _Key, now: float) -> Complete:
        parts = _in_order(self._open.pop(key))
        self._completed.pop(key, None)  # so that this one goes to the end
        if len(self._completed) >= COMPLETED_MAX:
            del self._completed[next(iter(self._completed))]
        digests = tuple([hash(part.content) for part in parts])
        self._completed[key] = _CompletedSet(now + REPEAT_S, digests)
        return Complete(parts)

    def _give_up(self, key: _Key) -> Partial:
        waiting = self._open.pop(key)
        missing = [n for n in range(1, key.total + 1) if n not in waiting.parts]
        return Partial(_in_order(waiting), tuple(missing))


def _in_order(waiting: _OpenSet) -> tuple[Part, ...]:
    return tuple([waiting.parts[sequence] for sequence in sorted(waiting.parts)])


def _overdue(sets: Mapping[_Key, _OpenSet | _CompletedSet], now: float) -> list[_Key]:
    return [key for key, _ in takewhile(lambda item: item[1].deadline <= now, sets.items())]
