"""A rate held: below it, with more offered, and with a carrier that suddenly takes less."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from bench.throttle.bed import Bed, Customer, lay_bed, sleep_until
from bench.throttle.carrier import Seen
from bench.throttle.chart import Panel, Phase, Series

AGREED_PER_S: Final = 200
BURST: Final = 1
"""What the settings say by default."""
OFFERS: Final = ((0, 8, 120), (8, 50, 320), (50, 85, 0))
"""(from second, to second, messages a second)"""
LIMITS: Final = ((0, 20, 220), (20, 55, 120), (55, 85, 220))
"""The carrier's own limit; beyond it ESME_RTHROTTLED."""
CARRIER_BURST: Final = 0
"""A tenth of a second's worth."""
SECONDS: Final = 85
OFFER_EVERY_S: Final = 0.1

PHASES: Final = (
    Phase(0, 8, "less offered"),
    Phase(8, 20, "more offered"),
    Phase(20, 55, "the carrier takes 120"),
    Phase(55, 85, "it takes 220 again, the backlog drains"),
)


async def measure() -> dict[str, Any]:
    """Run it and return what was offered, taken and refused in each second."""
    async with lay_bed(AGREED_PER_S) as bed:
        shop = await bed.customer("shop")
        await asyncio.sleep(1.0)  # a start holds back what an earlier process may have sent
        began = time.monotonic()
        offered: Counter[int] = Counter()
        async with asyncio.TaskGroup() as group:
            group.create_task(_set_limits(bed, began))
            for begin_s, end_s, per_s in OFFERS:
                if per_s:
                    group.create_task(_offer(shop, began, begin_s, end_s, per_s, offered))
            group.create_task(sleep_until(began + SECONDS))
        return _count(bed.carrier.seen, began, offered)


async def _set_limits(bed: Bed, began: float) -> None:
    for begin_s, _, per_s in LIMITS:
        await sleep_until(began + begin_s)
        bed.carrier.limit(per_s, CARRIER_BURST)


async def _offer(
    shop: Customer, began: float, begin_s: int, end_s: int, per_s: int, offered: Counter[int]
) -> None:
    each = round(per_s * OFFER_EVERY_S)
    for step in range(round((end_s - begin_s) / OFFER_EVERY_S)):
        await sleep_until(began + begin_s + step * OFFER_EVERY_S)
        await shop.submit_batch([f"{begin_s}-{step}-{n}" for n in range(each)], "transactional")
        offered[int(time.monotonic() - began)] += each


def _count(seen: Sequence[Seen], began: float, offered: Counter[int]) -> dict[str, Any]:
    taken: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    for each in seen:
        (taken if each.taken else refused)[int(each.at - began)] += 1
    seconds = range(SECONDS)
    return {
        "agreed_per_s": AGREED_PER_S,
        "burst": BURST,
        "offered": [offered[s] for s in seconds],
        "taken": [taken[s] for s in seconds],
        "refused": [refused[s] for s in seconds],
        "busiest_second": busiest_second([each.at - began for each in seen]),
    }


def busiest_second(times: Sequence[float]) -> int:
    """Return the most that came within any one second, both ends included."""
    busiest = first = 0
    for place, at in enumerate(times):
        while times[first] < at - 1.0:
            first += 1
        busiest = max(busiest, place - first + 1)
    return busiest


def draw(run: dict[str, Any]) -> list[Panel]:
    limits = [
        (float(s), float(per_s)) for begin_s, end_s, per_s in LIMITS for s in range(begin_s, end_s)
    ]
    agreed = [(0.0, float(AGREED_PER_S)), (float(SECONDS), float(AGREED_PER_S))]
    return [
        Panel(
            title="Segments a second: offered to the gateway, and seen by the carrier",
            unit="segments a second",
            phases=PHASES,
            high=360.0,
            series=[
                Series(
                    label="refused (ESME_RTHROTTLED)",
                    points=_steps(run["refused"]),
                    colour="#cf222e",
                    kind="mark",
                ),
                Series(
                    label="offered", points=_steps(run["offered"]), colour="#8c959f", kind="step"
                ),
                Series(label="agreed rate", points=agreed, colour="#1a7f37", dash=True),
                Series(
                    label="carrier's own limit",
                    points=limits,
                    colour="#bf8700",
                    kind="step",
                    dash=True,
                ),
                Series(
                    label="taken",
                    points=_steps(run["taken"]),
                    colour="#0969da",
                    kind="step",
                    width=2.4,
                ),
            ],
        )
    ]


def _steps(values: Sequence[int]) -> list[tuple[float, float]]:
    return [(float(second), float(value)) for second, value in enumerate(values)]


def tell(run: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a table: what was offered, taken and refused in each phase, a second on average."""
    rows: list[tuple[str, ...]] = [
        ("phase", "seconds", "offered/s", "taken/s", "the most in a second of the clock", "refused")
    ]
    for phase in PHASES:
        span = slice(int(phase.begin_s), int(phase.end_s))
        length = span.stop - span.start
        rows.append(
            (
                phase.name,
                f"{span.start} to {span.stop}",
                f"{sum(run['offered'][span]) / length:.0f}",
                f"{sum(run['taken'][span]) / length:.1f}",
                f"{max(map(sum, zip(run['taken'][span], run['refused'][span], strict=True)))}",
                f"{sum(run['refused'][span]):,}",
            )
        )
    return rows
