"""What a segment costs, found in a list: by operator or prefix, lane, date and volume.

Prices that accounts pay (`prices.py`) and costs that carriers charge (`costs.py`) are found alike.
In one list the first of these decides that has a line which holds:

    the operator  →  the longest prefix  →  shorter ones  →  the line without either

and among the lines of that operator or prefix a lane's own before those of all lanes, then the
one that began last, then the highest tier that is reached.

Not here: which list is an account's (`prices.py`), reading lists from files (`lists.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Final

from gateway.errors import ConfigError
from gateway.model import Lane, Micros
from gateway.record import Record

AMOUNT_MICROS_MAX: Final = Micros(10**15)
"""A thousand million units. Nine thousand such amounts still add up within a 64-bit column."""
PREFIX_DIGITS_MAX: Final = 15
"""A prefix longer than an E.164 number matches nothing."""

Volume = Callable[[], int]
"""Tells how many segments an account has had accepted this month; asked only where tiers are."""


class Rate(Record):
    """One line of a list: what a segment costs where everything that it names holds."""

    __slots__ = ("lane", "micros", "operator", "prefix", "segments_from", "since_s", "where")

    def __init__(
        self,
        *,
        micros: Micros | None,
        prefix: str = "",
        operator: str = "",
        lane: Lane | None = None,
        since_s: int = 0,
        segments_from: int = 0,
        where: str = "",
    ) -> None:
        self.micros: Final = micros
        """None: not sold."""
        self.prefix: Final = prefix
        """The beginning of the number in international form; empty: every number."""
        self.operator: Final = operator
        """MCC and MNC, 5 or 6 digits; instead of a prefix."""
        self.lane: Final = lane
        self.since_s: Final = since_s
        """Seconds since the epoch from which it holds."""
        self.segments_from: Final = segments_from
        """Segments this month from which it holds."""
        self.where: Final = where
        """Where it is written, for errors and explanations."""


def no_volume() -> int:
    """Tell of a month in which nothing was sent: for lists without tiers."""
    return 0


class RateTable:
    """An immutable list of rates. About 0.3 µs a lookup, 0.6 among dates, lanes or tiers."""

    __slots__ = ("_by_operator", "_by_prefix", "_lengths", "tiered")

    def __init__(self, rates: Iterable[Rate]) -> None:
        """Raises ConfigError for a line that can't hold, or holds beside another one alike."""
        by_prefix: defaultdict[str, list[Rate]] = defaultdict(list)
        by_operator: defaultdict[str, list[Rate]] = defaultdict(list)
        self.tiered = False
        for rate in rates:
            _check(rate)
            self.tiered = self.tiered or rate.segments_from > 0
            place = by_operator[rate.operator] if rate.operator else by_prefix[rate.prefix]
            place.append(rate)
        self._by_prefix = {prefix: _arrange(lines) for prefix, lines in by_prefix.items()}
        self._by_operator = {operator: _arrange(lines) for operator, lines in by_operator.items()}
        self._lengths = tuple(sorted({len(prefix) for prefix in by_prefix}, reverse=True))

    def find(
        self,
        e164: str,
        operator: str,
        lane: Lane | None,
        at_s: int,
        volume: Volume = no_volume,
    ) -> Rate | None:
        """Return the line for a number at a time, None when no line holds.

        `operator` is "" when it isn't known.
        """
        if operator and self._by_operator:
            found = self._by_operator.get(operator)
            if found is not None:
                rate = found if type(found) is Rate else _choose(found, lane, at_s, volume)
                if rate is not None:
                    return rate
        for length in self._lengths:
            found = self._by_prefix.get(e164[:length])
            if found is not None:
                rate = found if type(found) is Rate else _choose(found, lane, at_s, volume)
                if rate is not None:
                    return rate
        return None


_Lines = Rate | tuple[Rate, ...]
"""The lines of one prefix or operator, the first one that holds counting; a single line that
always holds stands by itself."""


def _choose(lines: _Lines, lane: Lane | None, at_s: int, volume: Volume) -> Rate | None:
    assert type(lines) is tuple
    segments: int | None = None
    for rate in lines:
        if rate.since_s > at_s or (rate.lane is not None and rate.lane is not lane):
            continue
        if rate.segments_from:
            if segments is None:
                segments = volume()
            if segments < rate.segments_from:
                continue
        return rate
    return None


def _arrange(lines: list[Rate]) -> _Lines:
    """Put the lines of one prefix or operator into the order in which they are tried."""
    lines.sort(key=lambda r: (r.lane is None, r.lane or 0, -r.since_s, -r.segments_from))
    for rate, following in zip(lines, [*lines[1:], None], strict=True):
        alike = following is not None and _group(rate) == _group(following)
        if alike and following is not None and rate.segments_from == following.segments_from:
            raise ConfigError(following.where, f"says again what {rate.where} says")
        if rate.segments_from and not alike:
            raise ConfigError(
                rate.where,
                f"holds from {rate.segments_from:,} segments, and no line beside it from the first",
            )
    first = lines[0]
    plain = len(lines) == 1 and first.lane is None and first.since_s <= 0
    return first if plain else tuple(lines)


def _group(rate: Rate) -> tuple[Lane | None, int]:
    """Return what the tiers of one price have in common."""
    return rate.lane, rate.since_s


def _check(rate: Rate) -> None:
    prefix, operator = rate.prefix, rate.operator
    if prefix and operator:
        raise ConfigError(rate.where, "is for a prefix or for an operator, not for both")
    if prefix and not (_digits(prefix, 1, PREFIX_DIGITS_MAX) and prefix[0] != "0"):
        raise ConfigError(
            rate.where,
            f"{prefix!r} is not the beginning of a number: 1 to {PREFIX_DIGITS_MAX} digits, the"
            " calling code first, without + or 00",
        )
    if operator and not _digits(operator, 5, 6):
        raise ConfigError(rate.where, f"{operator!r} is no operator: MCC and MNC, 5 or 6 digits")
    if rate.micros is not None and not 0 <= rate.micros <= AMOUNT_MICROS_MAX:
        raise ConfigError(rate.where, f"{rate.micros} millionths are out of range")
    if rate.segments_from < 0:
        raise ConfigError(rate.where, "a tier begins at 0 segments or more")


def _digits(text: str, at_least: int, at_most: int) -> bool:
    return text.isascii() and text.isdigit() and at_least <= len(text) <= at_most
