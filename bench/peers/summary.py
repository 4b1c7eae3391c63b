"""Many measurements as one table: medians and spreads over the rounds, and ratios to ours.

A ratio is taken within each round, between two measurements that lie minutes apart, and then its
median: a machine that slows down over the hour moves both.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Measured = Mapping[str, Any]
"""What `measure.py` returns, with "system" and "round"."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over all rounds."""

    median: float
    low: float
    high: float

    def show(self, digits: int) -> str:
        """Return `12.3 (11.0-14.2)`, and the median alone where there was one round."""
        median = f"{self.median:,.{digits}f}"
        if self.low == self.high:
            return median
        return f"{median} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"

    def show_short(self, digits: int) -> str:
        """Return `12.3 ±13%`: how far the furthest one is from the median."""
        median = f"{self.median:,.{digits}f}"
        if self.low == self.high or not self.median:
            return median
        furthest = max(self.high - self.median, self.median - self.low)
        return f"{median} ±{furthest / self.median:.0%}"


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the table."""

    title: str
    read: Callable[[Measured], float | None]
    digits: int = 0


def _half(measured: Measured, name: str) -> float | None:
    value: float | None = measured.get("half", {}).get("accept_ms", {}).get(name)
    return value


def _stores_us(measured: Measured) -> float | None:
    cpu = measured["cpu_us"]
    found: float | None = cpu.get("database", cpu.get("brokers"))
    return found


COLUMNS: Final = (
    Column("accepted/s", lambda m: m["accepted_per_s"]),
    Column("end to end/s", lambda m: m["end_to_end_per_s"]),
    Column("CPU µs", lambda m: m["cpu_us_system"]),
    Column("gateway", lambda m: m["cpu_us"]["gateway"]),
    Column("database, brokers", _stores_us),
    Column("memory MB", lambda m: m["memory_peak_sum_mb"]),
    Column("accept p50 ms", lambda m: m["accept_ms"].get("p50"), 1),
    Column("p99 ms", lambda m: m["accept_ms"].get("p99"), 1),
    Column("p99 ms at half", lambda m: _half(m, "p99"), 1),
)
LOSSES: Final = (
    ("lost", "lost"),
    ("duplicated", "duplicated"),
    ("receipts lost", "receipts_lost"),
)


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of what is there; None when nothing is."""
    there = [value for value in values if value is not None]
    return Spread(statistics.median(there), min(there), max(there)) if there else None


def ratio(
    measured: Sequence[Measured], ours: str, theirs: str, read: Callable[[Measured], float | None]
) -> Spread | None:
    """Return how many times `ours` is `theirs`, round by round."""
    by_round: dict[int, dict[str, float]] = {}
    for each in measured:
        value = read(each)
        if each["system"] in (ours, theirs) and value:
            by_round.setdefault(each["round"], {})[each["system"]] = value
    return spread(pair[ours] / pair[theirs] for pair in by_round.values() if len(pair) == 2)


def tabulate_figures(
    measured: Sequence[Measured],
    titles: Mapping[str, str],
    show: Callable[[Spread, int], str] = Spread.show,
) -> list[list[str]]:
    """Return the table's rows, the first one its head; systems stand in the order of `titles`."""
    rows = [["system", *(column.title for column in COLUMNS), *(title for title, _ in LOSSES)]]
    for name, title in titles.items():
        of_system = [each for each in measured if each["system"] == name]
        if not of_system:
            continue
        figures = [
            show(found, column.digits) if (found := spread(map(column.read, of_system))) else "-"
            for column in COLUMNS
        ]
        losses = [str(sum(each[key] for each in of_system)) for _, key in LOSSES]
        rows.append([title, *figures, *losses])
    return rows


OURS: Final = ("ours", "compiled")
"""How names of this gateway's systems begin."""


def tabulate_ratios(measured: Sequence[Measured], titles: Mapping[str, str]) -> list[list[str]]:
    """Return, for each way of loading ours, how many times faster and cheaper than each peer it is.

    "3.1 / 2.4" is 3.1 times as many messages a second for 2.4 times less CPU each.
    """
    present = {each["system"] for each in measured}
    mine = [name for name in titles if name in present and name.startswith(OURS)]
    peers = [name for name in titles if name in present and not name.startswith(OURS)]
    rows = [["rate / CPU", *(titles[name] for name in peers)]]
    for ours in mine:
        cells = []
        for theirs in peers:
            rate = ratio(measured, ours, theirs, lambda m: m["end_to_end_per_s"])
            cpu = ratio(measured, theirs, ours, lambda m: m["cpu_us_system"])
            cells.append(f"{rate.median:.1f} / {cpu.median:.1f}" if rate and cpu else "-")
        rows.append([titles[ours], *cells])
    return rows


SHARERS: Final = (
    ("gateway", ("gateway",)),
    ("database, brokers", ("database", "brokers")),
    ("simulated carrier", ("carrier",)),
    ("load", ("load",)),
)
"""Who shares the machine's cores in a run, and what their process groups are called."""


def tabulate_cores(measured: Sequence[Measured], titles: Mapping[str, str]) -> list[list[str]]:
    """Return where each system's cores went: µs a message and share of one core.

    A process of one thread whose share is near 100 % limits the rate; where all shares together are
    near the number of cores, the machine does; where neither is, something waits.
    """
    names = [name for name, _ in SHARERS]
    rows = [["µs a message, of a core", *names, "together"]]
    for system, title in titles.items():
        of_system = [each for each in measured if each["system"] == system and "core_share" in each]
        if not of_system:
            continue
        all_groups = [group for _, groups in SHARERS for group in groups]
        cells = [_show_share(of_system, groups) for _, groups in SHARERS]
        rows.append([title, *cells, _show_share(of_system, all_groups)])
    return rows


def _show_share(measured: Sequence[Measured], groups: Iterable[str]) -> str:
    us, share = (
        statistics.median(sum(each[kind].get(group, 0.0) for group in groups) for each in measured)
        for kind in ("cpu_us", "core_share")
    )
    return f"{us:,.0f} µs {share:4.0%}"


def write_markdown(rows: Sequence[Sequence[str]]) -> str:
    """Return a table as Markdown, padded to be read as it stands."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "|" + "|".join("-" * (width + 1) + (":" if n else "-") for n, width in enumerate(widths))
    return "\n".join([lines[0], rule + "|", *lines[1:]])
