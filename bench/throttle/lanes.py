"""One-time passwords of one account while another floods the same carrier with marketing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

from bench.throttle.bed import Customer, lay_bed, sleep_until
from bench.throttle.carrier import Seen
from bench.throttle.chart import Panel, Phase, Series

RATE_PER_S: Final = 500
FLOOD: Final = 50_000
FLOOD_BATCH: Final = 1_000
FLOOD_AT_S: Final = 10
SECONDS: Final = 50
OTP_PER_S: Final = 20
OTP_NAMES: Final = {"otp": "another account's", "own": "the flooding account's own"}


async def measure() -> dict[str, Any]:
    """Run it and return what each one-time password waited, and what the carrier saw."""
    async with lay_bed(RATE_PER_S) as bed:
        bank, shop = await bed.customer("bank"), await bed.customer("shop")
        for customer in (bank, shop):
            await customer.submit("hello", "otp")  # connections are made
        await asyncio.sleep(2.0)
        began = time.monotonic()
        sent: dict[str, float] = {}
        flooded: list[float] = []
        async with asyncio.TaskGroup() as group:
            group.create_task(_send_passwords(bank, "otp", began, sent, 0.0))
            group.create_task(_send_passwords(shop, "own", began, sent, 0.5 / OTP_PER_S))
            group.create_task(_flood(shop, began, flooded))
        await sleep_until(began + SECONDS + 2.0)
        return _count(bed.carrier.seen, began, sent, flooded[0] - began)


async def _send_passwords(
    customer: Customer, name: str, began: float, sent: dict[str, float], offset_s: float
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(SECONDS * OTP_PER_S):
            await sleep_until(began + number / OTP_PER_S + offset_s)
            text = f"{name}-{number}"
            sent[text] = time.monotonic()
            group.create_task(customer.submit(text, "otp"))


async def _flood(shop: Customer, began: float, flooded: list[float]) -> None:
    await sleep_until(began + FLOOD_AT_S)
    for batch in range(FLOOD // FLOOD_BATCH):
        texts = [f"offer-{batch}-{n}" for n in range(FLOOD_BATCH)]
        await shop.submit_batch(texts, "marketing")
    flooded.append(time.monotonic())


def _count(
    seen: Sequence[Seen], began: float, sent: dict[str, float], flooded_s: float
) -> dict[str, Any]:
    offers: Counter[int] = Counter()
    waits: dict[str, defaultdict[int, list[float]]] = {
        name: defaultdict(list) for name in OTP_NAMES
    }
    for each in seen:
        name = each.text.partition("-")[0]
        if name == "offer":
            offers[int(each.at - began)] += 1
        elif each.text in sent:
            at = sent.pop(each.text)
            waits[name][int(at - began)].append(round((each.at - at) * 1_000, 2))
    if sent:
        raise RuntimeError(f"{len(sent)} one-time passwords never came")
    return {
        "flooded_s": round(flooded_s, 1),
        "offers": [offers[s] for s in range(SECONDS)],
        "waits_ms": {
            name: [by_second[s] for s in range(SECONDS)] for name, by_second in waits.items()
        },
    }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so many of all do not exceed; 0.0 of nothing."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


def draw(run: dict[str, Any]) -> list[Panel]:
    flooded_s = run["flooded_s"]
    phases = (
        Phase(0, FLOOD_AT_S, "no flood"),
        Phase(FLOOD_AT_S, flooded_s, "it comes in"),
        Phase(flooded_s, SECONDS, "it waits for its turns"),
    )
    of_bank, of_shop = run["waits_ms"]["otp"], run["waits_ms"]["own"]
    return [
        Panel(
            title="One-time passwords: from the request to the carrier",
            unit="milliseconds",
            phases=phases,
            low=1.0,
            logarithmic=True,
            series=[
                Series(
                    label="p99 by second, another account's",
                    points=_by_second(of_bank, 0.99),
                    colour="#0969da",
                ),
                Series(label="p50", points=_by_second(of_bank, 0.5), colour="#0969da", dash=True),
                Series(
                    label="p99, the flooding account's own",
                    points=_by_second(of_shop, 0.99),
                    colour="#bf3989",
                ),
                Series(label="p50", points=_by_second(of_shop, 0.5), colour="#bf3989", dash=True),
            ],
        ),
        Panel(
            title="What the carrier sees",
            unit="segments a second",
            phases=phases,
            high=600.0,
            series=[
                Series(
                    label="marketing",
                    points=_steps(run["offers"]),
                    colour="#8c959f",
                    kind="step",
                    width=2.4,
                ),
                Series(
                    label="one-time passwords",
                    points=_steps([len(a) + len(b) for a, b in zip(of_bank, of_shop, strict=True)]),
                    colour="#0969da",
                    kind="step",
                    width=2.4,
                ),
                Series(
                    label="agreed rate",
                    points=[(0.0, RATE_PER_S), (SECONDS, RATE_PER_S)],
                    colour="#1a7f37",
                    dash=True,
                ),
            ],
        ),
    ]


def _by_second(waits: Sequence[Sequence[float]], share: float) -> list[tuple[float, float]]:
    return [(s + 0.5, percentile(each, share)) for s, each in enumerate(waits)]


def _steps(values: Sequence[int]) -> list[tuple[float, float]]:
    return [(float(second), float(value)) for second, value in enumerate(values)]


def tell(run: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return a table: what one-time passwords waited without the flood and through it."""
    rows: list[tuple[str, ...]] = [("one-time passwords", "when", "count", "p50", "p99", "longest")]
    for name, whose in OTP_NAMES.items():
        for when, span in (
            ("without the flood", slice(0, FLOOD_AT_S)),
            ("while it comes in", slice(FLOOD_AT_S, int(run["flooded_s"]) + 1)),
            ("while it waits", slice(int(run["flooded_s"]) + 1, SECONDS)),
        ):
            waits = [wait for second in run["waits_ms"][name][span] for wait in second]
            rows.append(
                (
                    whose,
                    when,
                    f"{len(waits):,}",
                    f"{percentile(waits, 0.5):.1f} ms",
                    f"{percentile(waits, 0.99):.1f} ms",
                    f"{max(waits, default=0.0):.1f} ms",
                )
            )
    return rows
