"""Measure one gateway from submission to receipt on this machine.

    python -m bench --messages 10000 --json bench/results/here.json

A fresh gateway with its own PostgreSQL and a simulated carrier, each a process of its own; single
submits, then batches. Rates are messages by wall time, from the first request until the last one
was accepted, submitted, and received: a machine with other load on it shows less. CPU is what the
processes took, which moves less.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import uvloop
from rich.console import Console
from rich.table import Table

from bench.bed import Bed, Cost, lay_bed
from bench.load import Options, count_finals, run_load
from bench.profile import sample
from bench.report import describe_run

POLL_MIN_S = 0.02
POLL_MAX_S = 1.0
"""Each look costs the gateway some milliseconds, so they are few until the end is near."""
FINISH_TIMEOUT_S = 300.0
Mode = Literal["single", "batch"]
MODES: Final[dict[Mode, int]] = {"single": 64, "batch": 2}
"""What is measured, and over how many connections."""
PROFILE_FIRST = 1_000_000_000
"""Number of the first message of a profiled load."""


async def measure(bed: Bed, options: Options) -> dict[str, Any]:
    """Run one load and return its figures."""
    async with aiohttp.ClientSession() as http:
        began, cost_before = datetime.now(UTC), bed.read_cost()
        load, reached = await _load_and_wait(bed, http, options)
        cost: Cost = bed.read_cost().since(cost_before)
        # Reading what became of them all is no part of what they cost.
        final = await count_finals(options, began)
    each_us = 1e6 / options.messages
    return {
        "mode": options.mode,
        "messages": options.messages,
        "accepted": load["accepted"],
        "accepted_per_s": load["accepted_per_s"],
        "submitted_per_s": round(options.messages / reached["submitted_s"], 1),
        "received_per_s": round(options.messages / reached["received_s"], 1),
        "accept_p50_ms": load["latency_ms"]["p50"],
        "accept_p99_ms": load["latency_ms"]["p99"],
        "gateway_cpu_us": round(cost.gateway_s * each_us, 1),
        "database_cpu_us": round(cost.database_s * each_us, 1),
        "carrier_cpu_us": round(cost.carrier_s * each_us, 1),
        "gateway_peak_mb": round(bed.read_peak_mb(), 1),
        "final": final,
    }


async def _load_and_wait(
    bed: Bed, http: aiohttp.ClientSession, options: Options
) -> tuple[dict[str, Any], dict[str, float]]:
    """Run one load until its last receipt; return what it says, and when what was reached."""
    start, started = await bed.read_counts(http), time.perf_counter()
    watching = asyncio.create_task(
        _watch(bed, http, start.submitted, start.received, options.messages, started)
    )
    load = await run_load(options)
    return load, await asyncio.wait_for(watching, FINISH_TIMEOUT_S)


async def _watch(
    bed: Bed,
    http: aiohttp.ClientSession,
    submitted_before: int,
    received_before: int,
    messages: int,
    started: float,
) -> dict[str, float]:
    """Return when the last message was submitted and when the last receipt was applied."""
    submitted_s = 0.0
    while True:
        counts = await bed.read_counts(http)
        elapsed_s = time.perf_counter() - started
        if not submitted_s and counts.submitted - submitted_before >= messages:
            submitted_s = elapsed_s
        if counts.received - received_before >= messages:
            return {"submitted_s": submitted_s or elapsed_s, "received_s": elapsed_s}
        received = counts.received - received_before
        left_s = elapsed_s * (messages - received) / received if received else POLL_MAX_S
        await asyncio.sleep(min(max(left_s / 2, POLL_MIN_S), POLL_MAX_S))


async def _run(bed: Bed, messages: int, rounds: int) -> list[dict[str, Any]]:
    loads = Loads(bed, messages)
    return [await measure(bed, loads.next(mode)) for _ in range(rounds) for mode in MODES]


async def _profile(bed: Bed, messages: int, picture: Path) -> None:
    """Run each load once more, for the pictures alone: being looked at slows it down."""
    loads = Loads(bed, messages, first=PROFILE_FIRST)
    for mode in MODES:
        path = picture.with_stem(f"{picture.stem}-{mode}")
        async with aiohttp.ClientSession() as http:
            with sample(bed.gateway.pid, path, f"the gateway's event loop, {mode} submits"):
                await _load_and_wait(bed, http, loads.next(mode))
        print(f"{path} is written")


class Loads:
    """Loads whose messages are all different."""

    def __init__(self, bed: Bed, messages: int, first: int = 1) -> None:
        self._bed = bed
        self._messages = messages
        self._first = first

    def next(self, mode: Mode) -> Options:
        first, self._first = self._first, self._first + self._messages
        return Options(
            key=self._bed.key,
            url=self._bed.url,
            messages=self._messages,
            first=first,
            mode=mode,
            connections=MODES[mode],
            client_ref=False,
        )


def _show(results: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, header_style="bold")
    columns = {
        "mode": "mode",
        "accepted_per_s": "accepted/s",
        "submitted_per_s": "submitted/s",
        "received_per_s": "received/s",
        "accept_p50_ms": "accept p50 ms",
        "accept_p99_ms": "p99 ms",
        "gateway_cpu_us": "CPU µs gateway",
        "database_cpu_us": "database",
        "gateway_peak_mb": "peak MB",
    }
    for title in columns.values():
        table.add_column(title, justify="left" if title == "mode" else "right")
    for result in results:
        table.add_row(*(str(result[key]) for key in columns))
    Console(width=120).print(table)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("--messages", type=int, default=10_000, help="a run (10000)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each mode (1)")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument(
        "--profile",
        type=Path,
        help="draw where the gateway's time goes, as FILE-single and FILE-batch",
    )
    options = parser.parse_args(argv)
    with lay_bed() as bed:
        results = uvloop.run(_run(bed, options.messages, options.rounds))
        if options.profile:
            uvloop.run(_profile(bed, options.messages, options.profile))
    _show(results)
    whole = all(result["final"] == {"delivered": result["messages"]} for result in results)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(_document(results), indent=2) + "\n")
    print("every message was delivered" if whole else "NOT every message was delivered")
    return 0 if whole else 1


def _document(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    command = shlex.join(["python", "-m", "bench", *sys.argv[1:]])
    return describe_run(command) | {"results": list(results)}


if __name__ == "__main__":
    sys.exit(main())
