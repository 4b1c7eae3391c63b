"""Figures over time as an SVG that any browser shows: panels above each other, one time axis.

Not here: which figures (`rate.py`, `lanes.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Literal
from xml.sax.saxutils import escape

import msgspec

WIDTH: Final = 960
PLOT_LEFT: Final = 72
PLOT_RIGHT: Final = WIDTH - 16
PLOT_HEIGHT: Final = 220
PANEL_HEAD: Final = 58
"""Title and legend above a plot."""
PANEL_FOOT: Final = 46
TICKS: Final = 6
CHARACTER_WIDTH: Final = 6.6
INK, GRID, PAPER = "#24292f", "#d8dee4", "#ffffff"

Points = Sequence[tuple[float, float]]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One figure over time; `points` are (seconds, value), in order."""

    label: str
    points: Points
    colour: str
    kind: Literal["line", "step", "mark"] = "line"
    """step: a value holds for a second; mark: how many there were in a second, where any were."""
    dash: bool = False
    width: float = 1.8


class Phase(msgspec.Struct, frozen=True):
    """What goes on from one second to another; named above the plot."""

    begin_s: float
    end_s: float
    name: str


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    unit: str
    """What the values are, at their axis."""
    series: Sequence[Series]
    phases: Sequence[Phase] = ()
    low: float = 0.0
    high: float = 0.0
    """0: whatever the values need."""
    logarithmic: bool = False
    """Then `low` has to be above 0."""


def write_svg(panels: Sequence[Panel], seconds: float, axis: str = "seconds") -> str:
    """Return the picture of what happened from second 0 on.

    `axis` is what the time is counted in, if that is something else.
    """
    height = len(panels) * (PANEL_HEAD + PLOT_HEIGHT + PANEL_FOOT)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"'
        f' viewBox="0 0 {WIDTH} {height}" font-family="Helvetica, Arial, sans-serif"'
        f' font-size="12" fill="{INK}">',
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
    ]
    for place, panel in enumerate(panels):
        top = place * (PANEL_HEAD + PLOT_HEIGHT + PANEL_FOOT) + PANEL_HEAD
        lines += _Plot(panel, seconds, top, axis).draw()
    return "\n".join([*lines, "</svg>", ""])


class _Plot:
    """One panel with its scales."""

    def __init__(self, panel: Panel, seconds: float, top: int, axis: str) -> None:
        self._panel = panel
        self._axis = axis
        self._seconds = seconds
        self._top = top
        self._bottom = top + PLOT_HEIGHT
        most = max((value for s in panel.series for _, value in s.points), default=1.0) or 1.0
        self._high = panel.high or (_next_power(most) if panel.logarithmic else most * 1.08)

    def draw(self) -> list[str]:
        return [
            *self._draw_head(),
            *self._draw_phases(),
            *self._draw_grid(),
            *(line for series in self._panel.series for line in self._draw_series(series)),
            f'<rect x="{PLOT_LEFT}" y="{self._top}" width="{PLOT_RIGHT - PLOT_LEFT}"'
            f' height="{PLOT_HEIGHT}" fill="none" stroke="{INK}" stroke-width="0.8"/>',
        ]

    def _x(self, at_s: float) -> float:
        return PLOT_LEFT + (PLOT_RIGHT - PLOT_LEFT) * at_s / self._seconds

    def _y(self, value: float) -> float:
        low, high = self._panel.low, self._high
        value = min(max(value, low), high)
        if self._panel.logarithmic:
            share = math.log(value / low) / math.log(high / low)
        else:
            share = (value - low) / (high - low)
        return self._bottom - PLOT_HEIGHT * share

    def _draw_head(self) -> list[str]:
        panel, top = self._panel, self._top - PANEL_HEAD
        lines = [
            f'<text x="{PLOT_LEFT}" y="{top + 20}" font-size="14"'
            f' font-weight="bold">{escape(panel.title)}</text>'
        ]
        x = float(PLOT_LEFT)
        for series in panel.series:
            y = top + 36
            if series.kind == "mark":
                lines.append(_triangle(x + 10, y + 5, series.colour))
            else:
                lines.append(f'<line x1="{x}" y1="{y}" x2="{x + 20}" y2="{y}" {_stroke(series)}/>')
            lines.append(f'<text x="{x + 25}" y="{y + 4}">{escape(series.label)}</text>')
            x += 25 + len(series.label) * CHARACTER_WIDTH + 16
        return lines

    def _draw_phases(self) -> list[str]:
        lines = []
        for place, phase in enumerate(self._panel.phases):
            left, right = self._x(phase.begin_s), self._x(phase.end_s)
            shade = "#f6f8fa" if place % 2 else "#eef4fb"
            lines.append(
                f'<rect x="{left:.1f}" y="{self._top}" width="{right - left:.1f}"'
                f' height="{PLOT_HEIGHT}" fill="{shade}"/>'
            )
            lines.append(
                f'<text x="{(left + right) / 2:.1f}" y="{self._top - 4}" font-size="11"'
                f' fill="#57606a" text-anchor="middle">{escape(phase.name)}</text>'
            )
        return lines

    def _draw_grid(self) -> list[str]:
        lines = []
        for value in self._ticks():
            y = self._y(value)
            lines.append(
                f'<line x1="{PLOT_LEFT}" y1="{y:.1f}" x2="{PLOT_RIGHT}" y2="{y:.1f}"'
                f' stroke="{GRID}"/>'
                f'<text x="{PLOT_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
            )
        for second in _round_steps(self._seconds, 2 * TICKS):
            x = self._x(second)
            lines.append(
                f'<line x1="{x:.1f}" y1="{self._bottom}" x2="{x:.1f}" y2="{self._bottom + 4}"'
                f' stroke="{INK}"/>'
                f'<text x="{x:.1f}" y="{self._bottom + 17}" text-anchor="middle">{second:g}</text>'
            )
        middle = (self._top + self._bottom) / 2
        lines.append(
            f'<text x="{(PLOT_LEFT + PLOT_RIGHT) / 2}" y="{self._bottom + 34}"'
            f' text-anchor="middle">{escape(self._axis)}</text>'
        )
        lines.append(
            f'<text x="16" y="{middle}" text-anchor="middle"'
            f' transform="rotate(-90 16 {middle})">{escape(self._panel.unit)}</text>'
        )
        return lines

    def _ticks(self) -> list[float]:
        if not self._panel.logarithmic:
            return [v for v in _round_steps(self._high, TICKS) if v >= self._panel.low]
        decades = range(math.floor(math.log10(self._panel.low)), 12)
        values = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
        return [v for v in values if self._panel.low <= v <= self._high]

    def _draw_series(self, series: Series) -> list[str]:
        if series.kind == "mark":
            return [line for point in series.points for line in self._draw_mark(series, *point)]
        places: list[str] = []
        for at_s, value in series.points:
            x, y = self._x(at_s), self._y(value)
            places.append(f"{x:.1f},{y:.1f}")
            if series.kind == "step":
                places.append(f"{self._x(at_s + 1.0):.1f},{y:.1f}")
        return [f'<polyline points="{" ".join(places)}" fill="none" {_stroke(series)}/>']

    def _draw_mark(self, series: Series, at_s: float, count: float) -> list[str]:
        if not count:
            return []
        x = self._x(at_s + 0.5)
        return [
            _triangle(x, self._bottom, series.colour),
            f'<text x="{x:.1f}" y="{self._bottom - 13}" text-anchor="middle" font-size="11"'
            f' fill="{series.colour}">{count:g}</text>',
        ]


def _triangle(x: float, y: float, colour: str) -> str:
    return f'<path d="M{x:.1f},{y - 10:.1f} l5,10 h-10 z" fill="{colour}"/>'


def _stroke(series: Series) -> str:
    dash = ' stroke-dasharray="6 4"' if series.dash else ""
    return f'stroke="{series.colour}" stroke-width="{series.width}"{dash}'


def _round_steps(high: float, count: int) -> list[float]:
    """Return about so many round numbers from 0 to `high`."""
    rough = high / count
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(step * scale for step in (1, 2, 5, 10) if step * scale >= rough)
    return [n * step for n in range(int(high / step + 1e-9) + 1)]


def _next_power(value: float) -> float:
    return float(10.0 ** math.ceil(math.log10(value)))
