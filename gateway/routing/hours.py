"""Times of the week: "mon-fri 08:00-20:00" in a time zone, or in the recipient's.

A window that ends before it begins goes over midnight. The clock on the wall decides, so an hour
that a zone skips or repeats is skipped or repeated here too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from gateway.errors import ConfigError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
RECIPIENT: Final = "recipient"
"""In a zone's place: the zone, or zones, of the recipient's number."""
DAY_MINUTES: Final = 24 * 60
WEEK_MINUTES: Final = 7 * DAY_MINUTES

_DAY: Final = "|".join(DAYS)
_TIME: Final = r"([01][0-9]|2[0-4]):([0-5][0-9])"
_WINDOW: Final = re.compile(
    rf"(?:({_DAY})(?:-({_DAY}))?(?:\s+|$))?(?:{_TIME}-{_TIME})?", re.ASCII | re.IGNORECASE
)


class Hours(msgspec.Struct, frozen=True):
    """A part of each week."""

    spans: tuple[tuple[int, int], ...]
    """Minutes from Monday's midnight, [first, after the last), ascending and apart."""
    zone: ZoneInfo | None
    """None: the recipient's."""
    written: str
    """As in the settings, for people."""

    def contain(self, at: float, recipient_zones: Sequence[str] = ()) -> bool:
        """Say whether this wall-clock time (seconds since the epoch) lies within. About 1 µs.

        Hours in the recipient's zone contain a time that is within them in each of the zones where
        the number's phone may be; none when nobody knows one.
        """
        if self.zone is not None:
            return self._contain_in(self.zone, at)
        return bool(recipient_zones) and all(
            self._contain_in(_load(zone), at) for zone in recipient_zones
        )

    def _contain_in(self, zone: ZoneInfo, at: float) -> bool:
        local = datetime.fromtimestamp(at, zone)
        minute = local.weekday() * DAY_MINUTES + local.hour * 60 + local.minute
        return any(first <= minute < after for first, after in self.spans)

    def apart_from(self, other: Hours) -> bool:
        """Say whether no time can lie within both; what can't be known is no."""
        if self.zone != other.zone:  # of one name there is one
            return False
        return not any(a < d and c < b for a, b in self.spans for c, d in other.spans)


# Of the few hundred names in the numbering plans; ZoneInfo itself keeps eight from being read anew.
_load = cache(ZoneInfo)


def parse_hours(windows: Sequence[str], zone: str, key: str) -> Hours:
    """Return what windows like "mon-fri 08:00-20:00", "sat" or "22:00-06:00" say together.

    Without days it is every day, without hours the whole day. Raises ConfigError with `key`.
    """
    spans = sorted(span for window in windows for span in _parse_window(window, key))
    if zone == RECIPIENT:
        return Hours(tuple(_join(spans)), None, f"{', '.join(windows)} where the recipient is")
    try:
        zone_info = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            key, f"{zone!r} is no time zone like Europe/Berlin, nor recipient"
        ) from None
    return Hours(tuple(_join(spans)), zone_info, f"{', '.join(windows)} {zone}")


def _parse_window(window: str, key: str) -> list[tuple[int, int]]:
    match = _WINDOW.fullmatch(window.strip())
    if not window.strip() or match is None:
        raise ConfigError(key, f'{window!r} is not written like "mon-fri 08:00-20:00"')
    first_day, last_day, *times = match.groups()
    opens, closes = 0, DAY_MINUTES
    if times[0] is not None:
        opens, closes = (int(h) * 60 + int(m) for h, m in (times[:2], times[2:]))
    if opens >= DAY_MINUTES or closes > DAY_MINUTES or opens == closes:
        raise ConfigError(key, f"{window!r}: hours go from 00:00 to 24:00, and not to themselves")
    length = (closes - opens) % DAY_MINUTES or DAY_MINUTES
    spans = []
    for day in _days(first_day, last_day):
        first = day * DAY_MINUTES + opens
        after = first + length
        spans.append((first, min(after, WEEK_MINUTES)))
        if after > WEEK_MINUTES:  # from Sunday into Monday
            spans.append((0, after - WEEK_MINUTES))
    return spans


def _days(first: str | None, last: str | None) -> list[int]:
    if first is None:
        return list(range(7))
    begin = DAYS.index(first.lower())
    end = DAYS.index((last or first).lower())
    return [(begin + step) % 7 for step in range((end - begin) % 7 + 1)]


def _join(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, after in spans:
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], after))
        else:
            joined.append((first, after))
    return joined
