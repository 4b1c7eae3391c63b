"""What commands write: tables for people, JSON for scripts, progress on the side.

Results go to standard output, everything else to standard error.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.credit.prices import format_micros

ELASTIC_CELLS_MIN = 8
COLUMN_GAP_CELLS = 2
PIPED_COLUMNS = 240
"""Columns of a table that goes into a pipe: nothing is cut off."""


def print_json(value: object) -> None:
    """Write a value as one indented JSON document."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def print_line(text: str) -> None:
    click.echo(visible(text))


def print_note(text: str) -> None:
    """Write what is not the result: hints and what was done on the way."""
    click.echo(visible(text), err=True)


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Sequence[str] = (),
    elastic: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Write rows under a header; columns named in `right` are numbers.

    What one copies stays whole: on a narrow terminal `spare` columns are left out, the first
    named first, and `elastic` ones give way.
    """
    cells = [[visible(str(cell)) for cell in row] for row in rows]
    console = _console()
    widths = {
        column: max([cell_len(column), *(cell_len(row[place]) for row in cells)])
        for place, column in enumerate(columns)
    }
    least = widths | {column: min(widths[column], ELASTIC_CELLS_MIN) for column in elastic}
    shown = list(columns)
    for column in spare:
        if sum(least[name] + COLUMN_GAP_CELLS for name in shown) <= console.width:
            break
        shown.remove(column)
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in shown:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=True,
            min_width=least[column],
        )
    for row in cells:
        # Text, not str: what customers wrote is never read as markup.
        picked = (row[place] for place, column in enumerate(columns) if column in shown)
        table.add_row(*(Text(cell, overflow="ellipsis") for cell in picked))
    console.print(table)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Write one thing, a line a field; empty ones are left out."""
    shown = [(name, visible(str(value))) for name, value in fields if value not in ("", None)]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{click.style(name.ljust(width), dim=True)}  {value}")


def visible(text: str) -> str:
    """Return the text without what would steer a terminal: people's texts are shown here."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in ("Cc", "Cs") else c
        for c in text.replace("\n", " ⏎ ")
    )


def money(micros: int, currency: str) -> str:
    return f"{format_micros(micros)} {currency}"


def moment(at: datetime | None) -> str:
    """Write a time as people read it, UTC."""
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M:%SZ")


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show that something takes long, on a terminal only."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(text):
        yield


class ProgressBar:
    """A bar over a known number of steps, on a terminal only."""

    def __init__(self, text: str) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._progress.add_task(text, total=None)

    def __enter__(self) -> ProgressBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance_to(self, done: int, of: int) -> None:
        self._progress.update(self._task, completed=done, total=of)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS)
