"""Runs one target: the corpus, then exploring under watch, then many cases at full speed.

One seed and one number of cases give the same cases on every machine.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from bench.fuzz.coverage import Watch
from bench.fuzz.limit import Limit, Stalled
from bench.fuzz.mutate import make_noise, mutate
from bench.fuzz.shrink import shrink
from bench.fuzz.target import Target

EXPLORED_SHARE: Final = 0.1
"""The share of cases that run under watch: about as long as all the others together."""
NOISE_SHARE: Final = 0.05
POOL_MAX: Final = 5_000


class Finding(msgspec.Struct, frozen=True):
    """A case that breaks its target's invariant."""

    target: str
    case: bytes
    error: str
    """The exception's type and text."""
    trace: str


class Report(msgspec.Struct, frozen=True):
    """What one target's run came to."""

    target: str
    cases: int
    seconds: float
    edges: int
    """Branches of the gateway's code that were taken."""
    reached: tuple[bytes, ...]
    """Cases, not of the corpus, that took a branch which no case before them took."""
    finding: Finding | None


class _Found(Exception):
    """A case failed: the run of this target is over."""

    def __init__(self, case: bytes) -> None:
        self.case = case


def run_target(
    target: Target, corpus: Sequence[bytes], *, cases: int, seed: int, explore: bool = True
) -> Report:
    """Run the corpus and `cases` cases more; stop at the first finding and make it small."""
    started_at = time.perf_counter()
    finding = None
    with Limit() as limit:
        run = _Run(target, random.Random(f"{seed} {target.name}"), limit)
        try:
            run.take_corpus([*target.seeds, *corpus], explore)
            explored = int(cases * EXPLORED_SHARE) if explore else 0
            run.explore(explored)
            run.hurry(cases - explored)
        except _Found as found:
            finding = _describe_smallest(target, found.case, limit)
    return Report(
        target.name,
        run.cases,
        time.perf_counter() - started_at,
        len(run.watch.edges),
        tuple(run.reached),
        finding,
    )


def describe(target: Target, case: bytes) -> Finding:
    """Run a failing case once more and say how it fails."""
    try:
        target.check(case)
    except Exception as error:
        # The last frames tell: where the code broke, or which invariant did not hold.
        trace = "".join(traceback.format_exception(error, chain=False)[-6:])
        return Finding(target.name, case, f"{type(error).__name__}: {error}", trace)
    raise AssertionError(f"{target.name}: {case.hex()} fails only sometimes")


class _Run:
    """One target's run."""

    def __init__(self, target: Target, rng: random.Random, limit: Limit) -> None:
        self.watch = Watch()
        self.cases = 0
        self.reached: list[bytes] = []
        self._target = target
        self._rng = rng
        self._limit = limit
        self._pool: list[bytes] = []

    def take_corpus(self, corpus: Sequence[bytes], explore: bool) -> None:
        for case in dict.fromkeys(corpus):
            self._pool.append(case)
            self._try(case, self._watched if explore else self._target.check)

    def explore(self, cases: int) -> None:
        """Run cases under watch and keep what reaches new code."""
        for _ in range(cases):
            case = self._make()
            known = len(self.watch.edges)
            self._try(case, self._watched)
            if len(self.watch.edges) > known and len(self._pool) < POOL_MAX:
                self._pool.append(case)
                self.reached.append(case)

    def hurry(self, cases: int) -> None:
        """Run cases unwatched."""
        check = self._target.check
        for _ in range(cases):
            self._try(self._make(), check)

    def _watched(self, case: bytes) -> None:
        self.watch.run(self._target.check, case)

    def _make(self) -> bytes:
        target, rng = self._target, self._rng
        if rng.random() < NOISE_SHARE:
            return make_noise(rng, target.words, target.size_max)
        return mutate(rng.choice(self._pool), rng, self._pool, target.words, target.size_max)

    def _try(self, case: bytes, check: Callable[[bytes], None]) -> None:
        self.cases += 1
        self._limit.start()
        try:
            check(case)
        except Exception as error:
            raise _Found(case) from error


def _describe_smallest(target: Target, case: bytes, limit: Limit) -> Finding:
    """Make a failing case small, as long as it fails with the same error at the same line."""

    def find_place(case: bytes) -> tuple[type[Exception], str, int | None] | None:
        limit.start()
        try:
            target.check(case)
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return type(error), last.filename, last.lineno
        return None

    place = find_place(case)
    if place is not None and place[0] is not Stalled:  # each try of that would stall as well
        case = shrink(case, lambda smaller: find_place(smaller) == place)
    limit.start()
    return describe(target, case)
