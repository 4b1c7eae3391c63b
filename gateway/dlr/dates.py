"""A carrier's dates. They name no zone: what its clock is ahead of UTC is the dialect's to say."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

_YEAR_MIN = 2000


@lru_cache(maxsize=4096)  # at 1,000 receipts a second most of them name the same few minutes
def read_date(digits: str) -> float | None:
    """Return the epoch seconds of a carrier's date as if its clock were UTC, None for no date.

    YYMMDDhhmm, with seconds, with a year of four digits, or both. Twelve digits may be either;
    with "20" in front they are a full year until the YYMMDD of 2020 comes back.
    """
    match len(digits):
        case 10:
            return _date_of("20" + digits)
        case 12 if digits.startswith("20"):
            full_year = _date_of(digits)
            return _date_of("20" + digits) if full_year is None else full_year
        case 12:
            return _date_of("20" + digits)
        case 14:
            return _date_of(digits)
        case _:
            return None


def _date_of(digits: str) -> float | None:
    """Return the epoch seconds of YYYYMMDDhhmm[ss]."""
    year, seconds = int(digits[:4]), int(digits[12:] or 0)
    month, day, hour, minute = (int(digits[i : i + 2]) for i in range(4, 12, 2))
    if year < _YEAR_MIN:
        return None
    try:
        return datetime(year, month, day, hour, minute, seconds, tzinfo=UTC).timestamp()
    except ValueError:  # 0000000000 and its like
        return None
