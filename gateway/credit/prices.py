"""Whose price list decides, and money between its decimal text and its micro-units.

A price comes from the first of these lists that has a line which holds (`rates.py`):

    the account's own  →  its plan's  →  the one for its unit  →  everyone's

No float comes near an amount: texts are read digit by digit and everything else is an integer.

Not here: what is done with a price (`ledger.py`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from gateway.credit.rates import AMOUNT_MICROS_MAX, Rate, RateTable, no_volume
from gateway.credit.volumes import NO_VOLUMES, Volumes
from gateway.errors import ConfigError
from gateway.model import Account, Lane, Micros
from gateway.record import Record

MICROS_PER_UNIT: Final = 1_000_000
DECIMALS_MAX: Final = 6

_AMOUNT: Final = re.compile(r"(-?)([0-9]{1,12})(?:\.([0-9]{1,6}))?", re.ASCII)


def parse_micros(text: object, field: str = "amount", *, signed: bool = False) -> Micros:
    """Return the amount that a decimal text writes, exactly: "0.0075" is 7,500.

    Raises ConfigError with `field` as its key for anything else: numbers that are not texts (a
    float has lost its decimals before it gets here), more than six decimals, signs unless
    `signed`, exponents, separators, amounts beyond AMOUNT_MICROS_MAX.
    """
    if not isinstance(text, str):
        raise ConfigError(field, f'an amount is a text like "0.0075", not {type(text).__name__}')
    match = _AMOUNT.fullmatch(text)
    if match is None:
        raise ConfigError(field, _why_not(text))
    sign, units, decimals = match.group(1), match.group(2), match.group(3) or ""
    micros = int(units) * MICROS_PER_UNIT + int(decimals.ljust(DECIMALS_MAX, "0"))
    if micros > AMOUNT_MICROS_MAX:
        raise ConfigError(field, f"more than {format_micros(AMOUNT_MICROS_MAX)}")
    if sign and not signed:
        raise ConfigError(field, "an amount can't be negative here")
    return Micros(-micros if sign else micros)


@functools.lru_cache(maxsize=4_096)
def format_micros(micros: int) -> str:
    """Return the amount as the shortest decimal text: what `parse_micros` reads back."""
    units, rest = divmod(abs(micros), MICROS_PER_UNIT)
    sign = "-" if micros < 0 else ""
    return f"{sign}{units}.{rest:06}".rstrip("0").rstrip(".")


class Unpriced(Record):
    """No price is set for this destination, so nothing can be sold there."""

    __slots__ = ()


UNPRICED: Final = Unpriced()


class Plan(Record):
    """What several accounts are sold by."""

    __slots__ = ("currency", "rates")

    def __init__(self, *, rates: RateTable, currency: str = "") -> None:
        self.rates: Final = rates
        self.currency: Final = currency
        """The unit that accounts on it must have; empty: any."""


class PriceBook:
    """All price lists. About 0.5 µs a price; immutable."""

    __slots__ = ("_accounts", "_everyone", "_plans", "_units", "tiered")

    def __init__(
        self,
        everyone: RateTable,
        *,
        units: Mapping[str, RateTable] = {},
        plans: Mapping[str, Plan] = {},
        accounts: Mapping[str, RateTable] = {},
    ) -> None:
        """The keys are currencies, names of plans and names of accounts."""
        self._everyone = everyone
        self._units = dict(units)
        self._plans = dict(plans)
        self._accounts = dict(accounts)
        of_plans = (plan.rates for plan in self._plans.values())
        tables = (everyone, *self._units.values(), *of_plans, *self._accounts.values())
        self.tiered = any(table.tiered for table in tables)
        """Whether any price depends on a volume."""

    def price(
        self,
        account: Account,
        e164: str,
        operator: str,
        lane: Lane | None,
        at_s: int,
        volumes: Volumes = NO_VOLUMES,
    ) -> Micros | Unpriced:
        """Return what the account pays for a segment to this number that is accepted `at_s`."""
        rate = self.find(account, e164, operator, lane, at_s, volumes)
        if rate is None or rate.micros is None:
            return UNPRICED
        return rate.micros

    def find(
        self,
        account: Account,
        e164: str,
        operator: str,
        lane: Lane | None,
        at_s: int,
        volumes: Volumes = NO_VOLUMES,
    ) -> Rate | None:
        """As `price`, the whole line; None where no list has one.

        An account whose plan is unknown, or is for another unit, has no prices at all: what it
        would pay by the lists that are left is not what was agreed.
        """
        special = account.plan or self._accounts or self._units
        for table in self._tables_of(account) if special else (self._everyone,):
            volume = no_volume
            if table.tiered:
                volume = functools.partial(volumes.segments, account.id, at_s)
            rate = table.find(e164, operator, lane, at_s, volume)
            if rate is not None:
                return rate
        return None

    def _tables_of(self, account: Account) -> Iterator[RateTable]:
        if account.plan:
            plan = self._plans.get(account.plan)
            if plan is None or plan.currency not in ("", account.currency):
                return
        if self._accounts and account.name in self._accounts:
            yield self._accounts[account.name]
        if account.plan and plan is not None:
            yield plan.rates
        if self._units and account.currency in self._units:
            yield self._units[account.currency]
        yield self._everyone


def _why_not(text: str) -> str:
    """Say what is wrong with a text that is no amount."""
    if re.fullmatch(r"-?[0-9]+\.[0-9]{7,}", text, re.ASCII):
        return f"{text[:40]} has more than {DECIMALS_MAX} decimals"
    if re.fullmatch(r"-?[0-9]{13,}(\.[0-9]*)?", text, re.ASCII):
        return f"more than {format_micros(AMOUNT_MICROS_MAX)}"
    return f"{text[:40]!r} is no amount: digits, and a point with one to six decimals"
