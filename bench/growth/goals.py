"""What is asked of growth, and whether a figure keeps to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; `limit` is the most that it may be, None where nothing is asked."""

    what: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def kept(self) -> bool:
        return self.limit is None or self.value <= self.limit

    def row(self) -> list[str]:
        """Return the figure's line of a table."""
        goal = "" if self.limit is None else f"≤ {self.limit:g} {self.unit}"
        verdict = "" if self.limit is None else "kept" if self.kept else "MISSED"
        value = f"{self.value:,.0f}" if self.value >= 1_000 else f"{self.value:.3g}"
        return [self.what, f"{value} {self.unit}", goal, verdict]
