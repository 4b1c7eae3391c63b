"""No promise breaks in any world that can be drawn.

    SEEDS=500 python -m pytest tests/simulation     fewer worlds than usual
    SEED=4711 python -m pytest tests/simulation     that one again, with its traceback

Where to begin to read: `world.py`. That the checks see what is broken: `test_teeth.py`.
"""

from __future__ import annotations

import os
from collections import Counter

from gateway.lifecycle import EventKind
from tests.simulation.draw import command_for, draw_worlds
from tests.simulation.invariants import check_invariants
from tests.simulation.plan import Plan
from tests.simulation.world import World

SEEDS_USUAL = 10_000


def test_no_promise_breaks_whatever_happens() -> None:
    if "SEED" in os.environ:
        _draw_one(int(os.environ["SEED"]))
        return
    total = draw_worlds(range(int(os.environ.get("SEEDS", SEEDS_USUAL))))
    assert not total.broken, total.describe_broken()


def _draw_one(seed: int) -> None:
    world = World(seed)
    try:
        check_invariants(world.run())
    except BaseException:
        print(f"{world.plan}\nat {world.now:.3f} s, step {world.steps}. To repeat it:")
        print(command_for(seed))
        raise


SMALL = Plan(
    trouble_s=3.0,
    messages=8,
    window=2,
    held=2,
    throttled=0.1,
    refused=0.2,
    hold=frozenset({2}),
    receipts_s=2.0,
)


def test_no_promise_breaks_whenever_it_crashes() -> None:
    steps = World(0, SMALL).run().steps
    for step in range(1, steps):
        world = World(0, SMALL, crash_at_step=step)
        try:
            check_invariants(world.run())
        except BaseException:
            print(f"crashed at step {step} of {steps}")
            raise


def test_the_worlds_are_as_bad_as_they_claim() -> None:
    seen = sum((World(seed).run().seen for seed in range(60)), Counter[str]())
    wanted = {
        *(kind.wire for kind in EventKind),
        *("parked", "unparked", "looked up", "tried again", "receipt repeated"),
        *("drained", "changed", "taken out"),
        *("bind dropped", "silence", "carrier removed", "taken whole"),
        *("refill", "late announcement", "clock set"),
        *("receipt given up", "parked receipt given up"),
        *("canceled from the store", "held from the store", "replaced"),
        *(f"status {status:#x}" for status in (0, 0x04, 0x08, 0x0B, 0x14, 0x58, 0x66, 0x4FF)),
    }
    # One kind nobody needs any more.
    assert wanted - {what for what, count in seen.items() if count} == {"unroutable"}
