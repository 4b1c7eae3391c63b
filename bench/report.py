"""What every kept result says of itself, and how tables are printed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.generator.machine import describe_machine


def describe_run(command: str) -> dict[str, Any]:
    """Return the command, the commit, the time and the machine."""
    return {
        "command": command,
        "commit": _read_commit(),
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": round(os.getloadavg()[0], 2),
        "machine": describe_machine(),
    }


def show_rows(console: Console, rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first row is its head and whose first column is words."""
    table = Table(box=None, header_style="bold", padding=(0, 1))
    for number, title in enumerate(rows[0]):
        table.add_column(title, justify="right" if number else "left", vertical="bottom")
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


def _read_commit() -> str:
    try:
        return subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607 (git as the path has it)
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
    except OSError:
        return ""  # no git here
