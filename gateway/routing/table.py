"""The route table: which carriers, in which order, for one recipient and account.

The most specific route that matches decides alone: longest prefix first, then a named country,
then a named account, then the default. Its carriers are the failover order; there is no falling
through to a less specific route, so that a route's list is all that its traffic can ever take.

Not here: which of the carriers is well at the moment (`health.py`, `choose.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from gateway.errors import ConfigError
from gateway.model import AccountId, CarrierId

PREFIX_DIGITS_MAX: Final = 15
"""A prefix longer than an E.164 number matches nothing."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: every kind of condition that it names has to hold, by any one of its values."""

    carriers: tuple[CarrierId, ...]
    """In the order in which they are tried."""
    prefixes: tuple[str, ...] = ()
    """E.164 digits; empty: any number."""
    countries: tuple[str, ...] = ()
    """ISO 3166 alpha-2; empty: any country, and numbers that have none."""
    accounts: tuple[AccountId, ...] = ()
    """Empty: every account."""
    name: str = ""
    """For people; "" is replaced by the route's place in the table."""


class Considered(msgspec.Struct, frozen=True):
    """One route that was looked at, and what it said."""

    route: str
    matched: bool
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """Why a message takes the carriers that it takes, from the most specific route down."""

    carriers: tuple[CarrierId, ...]
    chosen: str
    """The name of the route that decided; "" when none matches."""
    considered: tuple[Considered, ...]


class _Scope:
    """What one prefix and one country lead to: carriers by account, or for everybody."""

    __slots__ = ("by_account", "everybody")

    def __init__(self) -> None:
        self.by_account: dict[AccountId, tuple[CarrierId, ...]] = {}
        self.everybody: tuple[CarrierId, ...] = ()


class RouteTable:
    """An immutable table, built once from all routes. ConfigError names what can't be used."""

    __slots__ = ("_lengths", "_routes", "_scopes")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(_named(index, route) for index, route in enumerate(routes))
        self._scopes: dict[str, dict[str, _Scope]] = {}
        """Prefix ("" is any) → country ("" is any) → scope."""
        owners: dict[tuple[str, str, AccountId | None], str] = {}
        for index, route in enumerate(self._routes):
            _check(index, route)
            for condition in _conditions(route):
                if condition in owners:
                    raise ConfigError(
                        f"route[{index}]",
                        f"{_written(condition)} is decided by {owners[condition]} already",
                    )
                owners[condition] = route.name
                self._add(condition, route.carriers)
        self._lengths = tuple(sorted({len(prefix) for prefix in self._scopes}, reverse=True))

    def candidates(
        self, recipient_e164: str, country: str, account_id: AccountId
    ) -> tuple[CarrierId, ...]:
        """Return the carriers to try, in order; empty when no route matches."""
        for length in self._lengths:
            countries = self._scopes.get(recipient_e164[:length])
            if countries is None:
                continue
            for key in (country, ""):
                scope = countries.get(key)
                if scope is not None:
                    carriers = scope.by_account.get(account_id) or scope.everybody
                    if carriers:
                        return carriers
        return ()

    def explain(self, recipient_e164: str, country: str, account_id: AccountId) -> Explanation:
        """Say route by route what `candidates` decides, and why."""
        verdicts = [
            (route, _judge(route, recipient_e164, country, account_id)) for route in self._routes
        ]
        # sort() is stable: among equals, the order of the table.
        verdicts.sort(key=lambda pair: pair[1].specificity, reverse=True)
        chosen: Route | None = None
        considered = []
        for route, verdict in verdicts:
            why = verdict.why
            if verdict.matched and chosen is not None:
                why = f"{why}; {chosen.name} is more specific"
            elif verdict.matched:
                chosen = route
            considered.append(Considered(route.name, verdict.matched, why))
        return Explanation(
            chosen.carriers if chosen else (), chosen.name if chosen else "", tuple(considered)
        )

    def _add(
        self, condition: tuple[str, str, AccountId | None], carriers: tuple[CarrierId, ...]
    ) -> None:
        prefix, country, account_id = condition
        scope = self._scopes.setdefault(prefix, {}).setdefault(country, _Scope())
        if account_id is None:
            scope.everybody = carriers
        else:
            scope.by_account[account_id] = carriers


class _Verdict(msgspec.Struct, frozen=True):
    matched: bool
    specificity: tuple[int, bool, bool]
    """Of what matched, or of the most specific thing that could have."""
    why: str


def _judge(route: Route, recipient: str, country: str, account_id: AccountId) -> _Verdict:
    """Test one route's conditions one after another; written apart from the lookup on purpose,
    so that a test can hold the two against each other."""
    prefix = max((p for p in route.prefixes if recipient.startswith(p)), key=len, default=None)
    specificity = (
        len(prefix if prefix is not None else max(route.prefixes, key=len, default="")),
        bool(route.countries),
        bool(route.accounts),
    )
    misses: list[str] = []
    hits: list[str] = []
    if route.prefixes:
        if prefix is None:
            misses.append(f"the number begins with none of {', '.join(route.prefixes)}")
        else:
            hits.append(f"the number begins with {prefix}")
    if route.countries:
        named = f"country {country or '(none)'} is"
        if country in route.countries:
            hits.append(f"{named} named")
        else:
            misses.append(f"{named} not among {', '.join(route.countries)}")
    if route.accounts:
        if account_id in route.accounts:
            hits.append(f"account {account_id} is named")
        else:
            misses.append(f"account {account_id} is not named")
    why = ", ".join(misses or hits) or "it takes everything"
    return _Verdict(not misses, specificity, why)


def _named(index: int, route: Route) -> Route:
    return route if route.name else msgspec.structs.replace(route, name=f"route[{index}]")


def _conditions(route: Route) -> Iterator[tuple[str, str, AccountId | None]]:
    for prefix in route.prefixes or ("",):
        for country in route.countries or ("",):
            for account_id in route.accounts or (None,):
                yield prefix, country, account_id


def _written(condition: tuple[str, str, AccountId | None]) -> str:
    prefix, country, account_id = condition
    parts = (
        f"prefix {prefix}" if prefix else "",
        f"country {country}" if country else "",
        f"account {account_id}" if account_id is not None else "",
    )
    return ", ".join(filter(None, parts)) or "everything else"


def _check(index: int, route: Route) -> None:
    if not route.carriers:
        raise ConfigError(f"route[{index}].carriers", "a route needs at least one carrier")
    if len(set(route.carriers)) < len(route.carriers):
        raise ConfigError(f"route[{index}].carriers", "a carrier stands twice")
    for prefix in route.prefixes:
        fits = prefix.isascii() and prefix.isdigit() and len(prefix) <= PREFIX_DIGITS_MAX
        if not fits or prefix[0] == "0":
            raise ConfigError(
                f"route[{index}].prefixes",
                f"{prefix!r} is not the beginning of a number: 1 to {PREFIX_DIGITS_MAX} digits,"
                " the calling code first, without + or 00",
            )
    for country in route.countries:
        if not (
            len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
        ):
            raise ConfigError(
                f"route[{index}].countries", f"{country!r} is not a country's two capital letters"
            )
