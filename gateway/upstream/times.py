"""SMPP's times (SMPP 3.4 §7.1.1): `YYMMDDhhmmsstnnp`, as a customer writes them and as we answer.

Absolute times carry their offset from UTC in quarters of an hour; relative ones (`R`) count from
the moment in which the message arrives.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

TIME_CHARS = 16
_DAY_S = 86_400
_MONTH_S = 30 * _DAY_S
_YEAR_S = 365 * _DAY_S
"""A relative month or year has no calendar to go by."""


class NotATime(msgspec.Struct, frozen=True):
    """It is not in the form of the specification, or names no moment."""


NOT_A_TIME = NotATime()


def parse_time(raw: str, now: float) -> float | NotATime:
    """Return the wall-clock second that `raw` names; `now` is what relative times count from."""
    after_s = _parse_relative(raw)
    return _parse_absolute(raw) if after_s is None else now + after_s


def format_time(at: float) -> str:
    """Write a wall-clock second as an absolute time in UTC."""
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%y%m%d%H%M%S}{moment.microsecond // 100_000}00+"


@lru_cache(maxsize=1024)
def _parse_relative(raw: str) -> float | None:
    """Return the seconds of a relative time, None when it is none. Customers use few values."""
    if len(raw) != TIME_CHARS or raw[-1] not in "Rr" or not _is_number(raw[:-1]):
        return None
    years, months, days, hours, minutes, seconds = _pairs(raw)
    whole_s = years * _YEAR_S + months * _MONTH_S + days * _DAY_S
    return whole_s + hours * 3600.0 + minutes * 60.0 + seconds


def _parse_absolute(raw: str) -> float | NotATime:
    if len(raw) != TIME_CHARS or raw[-1] not in "+-" or not _is_number(raw[:-1]):
        return NOT_A_TIME
    year, month, day, hour, minute, second = _pairs(raw)
    ahead = timedelta(minutes=15 * int(raw[13:15]))
    try:
        local = datetime(
            2000 + year, month, day, hour, minute, second, int(raw[12]) * 100_000, tzinfo=UTC
        )
        moment = local - ahead if raw[-1] == "+" else local + ahead
    except (ValueError, OverflowError):
        return NOT_A_TIME
    return moment.timestamp()


def _pairs(raw: str) -> list[int]:
    return [int(raw[place : place + 2]) for place in range(0, 12, 2)]


def _is_number(raw: str) -> bool:
    return raw.isascii() and raw.isdigit()
