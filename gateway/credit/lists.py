"""Price and cost lists as people write them: amounts, dates, lanes.

Every error names the line or the setting that is wrong. Reading files is `gateway/tariffs.py`'s.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.credit.prices import parse_micros
from gateway.credit.rates import Rate
from gateway.errors import ConfigError
from gateway.model import LANES, Micros

NOT_SOLD = "none"
"""Written in place of a price: nothing is sold there."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_rate(
    where: str,
    amount: object,
    *,
    amount_name: str = "price",
    prefix: str = "",
    operator: str = "",
    lane: str = "",
    effective_from: str = "",
    segments_from: int = 0,
) -> Rate:
    """Return one line of a list; raises ConfigError, with `where` at the start of its key."""
    if lane and lane not in LANES:
        raise ConfigError(f"{where}.lane", f"{lane!r} is none of {', '.join(LANES)}")
    micros: Micros | None = None
    if amount != NOT_SOLD or amount_name != "price":
        micros = parse_micros(amount, f"{where}.{amount_name}")
    return Rate(
        micros=micros,
        prefix=prefix,
        operator=operator.replace("-", ""),
        lane=LANES[lane] if lane else None,
        since_s=parse_since(effective_from, f"{where}.effective_from"),
        segments_from=segments_from,
        where=where,
    )


def parse_since(text: str, field: str) -> int:
    """Return the second that a date begins in, UTC, or that a time with an offset names.

    "" is the beginning of all times. Raises ConfigError.
    """
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            field, f"{text[:40]!r} is neither a date (2026-01-31) nor a time with its offset"
        ) from None
    if moment.tzinfo is None:
        if len(text) > len("2026-01-31"):
            raise ConfigError(field, f"{text[:40]!r} needs an offset or Z")
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(seconds=1)
