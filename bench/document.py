"""Puts what was measured into the page that speaks of it, between markers that stay."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.generator.machine import describe_machine


def insert(document: Path, name: str, *parts: str) -> None:
    """Replace what stands between `<!-- name -->` and `<!-- /name -->` by these paragraphs.

    A document that is not there, or has no such place, stays as it is.
    """
    if not document.exists():
        return
    said = "\n\n".join(parts)
    place = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    text = document.read_text("utf-8")
    written = place.sub(lambda _: f"<!-- {name} -->\n{said}\n<!-- /{name} -->", text)
    document.write_text(written, "utf-8")


def write_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows as a table of Markdown; the first is its head."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body])


def describe_here() -> str:
    """Return a sentence about the day, the machine and how busy it was."""
    machine = describe_machine()
    load, day = os.getloadavg()[1], datetime.now(UTC).date().isoformat()
    return (
        f"Measured on {day}: {machine['cores']} cores of {machine['processor']}, Python"
        f" {machine['python']}, load average {load:.1f} in the five minutes before its end."
    )
