"""One release follows another on the same database under load, and goes back.

    python -m bench.upgrade                     each pair there and back, three times
    python -m bench.upgrade --rounds 10 --rate 200

Pairs: the last release (`ops/upgrade-from.toml`) and the present code; the present code and one to
come, which is made up and has further migrations. A gateway joins the one that serves, migrates the
database under its load, shares its two carriers, and takes all over when that is stopped in order;
the customer goes to both while both run. Ends with 1 when a message was lost or sent twice, did not
end, or the money does not agree.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvloop

from bench.upgrade.releases import (
    EXPANDING,
    PRESENT,
    NotHere,
    Release,
    make_next,
    may_follow,
    unpack_last,
)
from bench.upgrade.rolling import Outcome, roll


def measure(rounds: int, rate_per_s: float) -> list[tuple[str, Outcome]]:
    """Roll every pair that is there, and say of one that is not why."""
    with _folder() as last, _folder() as next_:
        pairs = [(PRESENT, make_next(next_, EXPANDING))]
        try:
            pairs.insert(0, (unpack_last(last), PRESENT))
        except NotHere as error:
            print(f"the last release is not in this copy's history: {error}")
        outcomes = []
        for old, new in pairs:
            if not may_follow(old, new):
                print(f"{new.name} asks that {old.name} is stopped first: not rolled")
                continue
            outcomes.append((f"{old.name} ⇄ {new.name}", _roll((old, new), rounds, rate_per_s)))
        return outcomes


def _roll(pair: Sequence[Release], rounds: int, rate_per_s: float) -> Outcome:
    with _folder() as folder:
        return uvloop.run(roll(folder, [*pair] * rounds + [pair[0]], rate_per_s))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gwu"))  # a socket's path may not be long
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def show(outcomes: Sequence[tuple[str, Outcome]]) -> None:
    for name, outcome in outcomes:
        print(f"{name}, schema {outcome.schema:04}")
        print(
            f"  {outcome.accepted:,} accepted, {outcome.delivered:,} delivered, {outcome.lost} lost"
        )
        print(f"  {outcome.repeats} sent twice; the longest wait for an answer was", end=" ")
        print(f"{outcome.longest_s * 1000:.0f} ms")
        print(f"  the audit {'agrees' if outcome.audit_agrees else 'DISAGREES'}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.upgrade", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--rounds", type=int, default=3, help="there and back so often (3)")
    parser.add_argument("--rate", type=float, default=100.0, help="messages a second (100)")
    options = parser.parse_args()
    outcomes = measure(options.rounds, options.rate)
    show(outcomes)
    return 0 if all(outcome.kept for _, outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
