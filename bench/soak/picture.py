"""A run as a figure: latencies by the minute, memory, tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bench.soak.judge import MINUTE_S, Minute, Pause, Points
from bench.throttle.chart import Panel, Phase, Series, write_svg

BLUE, RED, GREEN, GREY, VIOLET = "#0969da", "#cf222e", "#1a7f37", "#6e7781", "#8250df"
LATENCY_MIN_MS: Final = 0.5


def draw(
    minutes: Mapping[str, Sequence[Minute]],
    memory_mb: Points,
    rows: Mapping[str, Points],
    pauses: Sequence[Pause],
    seconds: float,
) -> str:
    """Return the SVG; `minutes` by way in, `rows` by table."""
    still = [
        Phase(each.begin_s / MINUTE_S, each.end_s / MINUTE_S, "machine stood still")
        for each in pauses
    ]
    panels = [_draw_latencies(name, found, still) for name, found in minutes.items()]
    panels.append(
        Panel(
            title="Memory of the gateway (proportional set size)",
            unit="MB",
            series=[Series(label="gateway", points=_in_minutes(memory_mb), colour=VIOLET)],
            phases=still,
        )
    )
    colours = (BLUE, GREEN, RED, GREY)
    panels.append(
        Panel(
            title="Rows that come and go",
            unit="rows",
            series=[
                Series(label=name, points=_in_minutes(points), colour=colour)
                for (name, points), colour in zip(rows.items(), colours, strict=False)
            ],
            phases=still,
        )
    )
    return write_svg(panels, seconds / MINUTE_S, axis="minutes")


def _draw_latencies(name: str, minutes: Sequence[Minute], still: Sequence[Phase]) -> Panel:
    lines = (("p50", BLUE), ("p99", GREEN), ("max", RED))
    return Panel(
        title=f"From submission to its answer, {name}",
        unit="ms",
        series=[
            Series(
                label=label,
                points=[(each.minute + 0.5, getattr(each, f"{label}_ms")) for each in minutes],
                colour=colour,
            )
            for label, colour in lines
        ],
        phases=still,
        low=LATENCY_MIN_MS,
        logarithmic=True,
    )


def _in_minutes(points: Points) -> list[tuple[float, float]]:
    return [(at_s / MINUTE_S, value) for at_s, value in points]
