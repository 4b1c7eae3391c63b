"""What is too slow in each case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One way to be overloaded."""

    title: str
    carrier: str = ""
    """More settings of the carrier."""
    http: str = ""
    """Settings of the table [http]."""
    connections: int = 64
    rate_per_s: float | None = None
    """Offered over HTTP; None: as fast as the connections are answered."""
    smpp_rate_per_s: float = 0.0
    commit_delay_ms: int = 0
    """By which every commit of PostgreSQL is made slower."""


CARRIER_RATE_PER_S: Final = 200.0
CASES: Final[dict[str, Case]] = {
    "carrier": Case(
        title="a carrier of 200/s with queue_max 1,000 is offered 1,000/s, a half of it over SMPP",
        carrier=f"rate_per_s = {CARRIER_RATE_PER_S}\nqueue_max = 1000",
        rate_per_s=500.0,
        smpp_rate_per_s=500.0,
    ),
    "gateway": Case(
        title="900 connections ask as fast as they are answered",
        connections=900,
    ),
    "database": Case(
        title="commits take 100 ms more, 500 messages may wait for theirs, 800 connections ask",
        http="intake_waiting_max = 500",
        connections=800,
        commit_delay_ms=100,
    ),
}
