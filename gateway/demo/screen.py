"""What the demonstration shows: a live table on a terminal, plain lines everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gateway.demo.checks import Check
from gateway.demo.journey import Journey

WIDE: Final = 110
"""From here on there is room for the number and the reason too."""
PLAIN_WIDTH: Final = 120
"""A log has no width of its own."""

_STYLES: Final = {
    "accepted": "white",
    "scheduled": "cyan",
    "sending": "yellow",
    "submitted": "yellow",
    "delivered": "green",
    "undelivered": "magenta",
    "rejected": "red",
    "expired": "red",
    "canceled": "blue",
    "unknown": "red",
    "the same": "cyan",
}


class Screen:
    """The demonstration's view of the world; a context manager around the live part."""

    def __init__(self) -> None:
        # A terminal that can't encode something must not end what it only shows.
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")
        console = Console(highlight=False)
        # Not its is_terminal: FORCE_COLOR makes one of a file.
        self._lively = sys.stdout.isatty() and not console.is_dumb_terminal
        self._console = console if self._lively else _plain_console()
        self._marks = ("✓", "✗") if "utf" in self._console.encoding else ("+", "!")
        self._live: Live | None = None
        self._began_at = time.monotonic()
        self._told: dict[str, str] = {}

    def say(self, words: str, style: str = "") -> None:
        """Write a line that stays."""
        self._console.print(Text(words, style=style))

    def show(self, journeys: Sequence[Journey]) -> None:
        """Bring the picture up to date."""
        if self._live is not None:
            self._live.update(build_table(journeys, self._console.width), refresh=True)
            return
        for journey in journeys:
            self._tell_change(journey)

    def show_checks(self, checks: Sequence[Check]) -> None:
        """Write a line for each verdict."""
        grid = Table.grid(padding=(0, 1))
        for column in (1, max(len(check.label) for check in checks)):
            grid.add_column(width=column, no_wrap=True)
        grid.add_column(overflow="fold")
        for check in checks:
            style = "green" if check.holds else "bold red"
            mark = self._marks[0] if check.holds else self._marks[1]
            grid.add_row(
                Text(mark, style), check.label, Text(check.detail, "" if check.holds else "red")
            )
        self._console.print(grid)

    def __enter__(self) -> Self:
        self._began_at = time.monotonic()
        if self._lively:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, traceback)
            self._live = None

    def show_table(self, journeys: Sequence[Journey]) -> None:
        """Write the finished table, where no live one stands already."""
        if not self._lively:
            self._console.print(build_table(journeys, PLAIN_WIDTH))

    def _tell_change(self, journey: Journey) -> None:
        label, state = journey.case.label, journey.state
        if not state or self._told.get(label) == state:
            return
        self._told[label] = state
        passed_s = time.monotonic() - self._began_at
        by = f" by {journey.carriers[-1]}" if journey.carriers else ""
        self.say(f"{passed_s:6.2f} s  {label}: {state}{by}")


def build_table(journeys: Sequence[Journey], width: int) -> Table:
    """Return the picture of all journeys for a terminal of this width; 80 and more are fine."""
    wide = width >= WIDE
    table = Table(box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("message", no_wrap=True, width=17)
    if wide:
        table.add_column("to", no_wrap=True, width=13)
    table.add_column("state", no_wrap=True, width=11)
    table.add_column("seg", no_wrap=True, justify="right", width=3)
    table.add_column("code", no_wrap=True, width=4)
    table.add_column("carrier", no_wrap=True, width=11)
    table.add_column("carrier's id", no_wrap=True, width=12)
    table.add_column("receipt", no_wrap=True, justify="right", width=7)
    table.add_column("price", no_wrap=True, justify="right", width=6)
    if wide:
        table.add_column("reason", no_wrap=True, overflow="ellipsis")
    for journey in journeys:
        table.add_row(*_cells(journey, wide))
    return table


def _cells(journey: Journey, wide: bool) -> list[Text]:
    state, view = journey.state, journey.view
    style = _STYLES.get(state, "red" if state else "dim")
    cells = [Text(journey.case.label), Text(state or "·", style=style)]
    cells += [
        Text(str(view.segments) if view else ""),
        Text(view.encoding if view else ""),
        Text("→".join(journey.carriers)),
        Text(_shorten_ids(journey.carrier_ids), style="dim"),
        Text("" if journey.receipt_s is None else f"{journey.receipt_s:.2f} s"),
        Text(journey.cost),
    ]
    if wide:
        cells.insert(1, Text(journey.case.to, style="dim"))
        cells.append(Text(journey.reason, style="dim"))
    return cells


def _shorten_ids(ids: Sequence[str]) -> str:
    """Return the first segment's id, and how many more there are."""
    more = f" +{len(ids) - 1}" if len(ids) > 1 else ""
    return f"{ids[0]}{more}" if ids else ""


def _plain_console() -> Console:
    """Return one that writes no escape codes, whatever the environment says of colours."""
    return Console(
        color_system=None,
        force_terminal=False,
        width=PLAIN_WIDTH,
        highlight=False,
        legacy_windows=False,
    )
