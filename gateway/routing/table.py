"""The route table: which route decides for one message.

The most specific route that holds decides alone: there is no falling through to a less specific
one, so that a route's list is all that its traffic can ever take. Of two routes that hold, the
first of these tells which is more specific:

    rank  →  longer prefix  →  operator  →  country  →  account
          →  sender  →  sender kind  →  pattern  →  text class  →  tag  →  lane
          →  encoding  →  segments  →  hours          (each: named goes before not named)

Two routes that this can't tell apart, and that some message may both meet, are an error when the
table is built.

Not here: the conditions one by one (`conditions.py`), the choice among a route's carriers
(`choice.py`, `margins.py`), and which of them is well at the moment (`health.py`, `choose.py`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from gateway.errors import ConfigError
from gateway.model import AccountId
from gateway.record import Record
from gateway.routing.conditions import (
    CONDITIONS,
    Condition,
    Traits,
    conditions_of,
    may_coincide,
    specificity_of,
)
from gateway.routing.explanation import Considered, Explanation
from gateway.routing.operators import write_code
from gateway.routing.route import Route as Route
from gateway.routing.route import check_route

COMBINATIONS_MAX: Final = 50_000
"""Of the prefixes, operators, countries and accounts that one route names: each is an entry."""


class _Entry:
    """One route where it stands in the table, with what is left to be asked there."""

    __slots__ = ("conditions", "route", "specificity")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.conditions: tuple[Condition, ...] = conditions_of(route)
        self.specificity = specificity_of(route)


class _Scope:
    """What one destination leads to: routes by account and for everybody, in order of trial."""

    __slots__ = ("by_account", "everybody")

    def __init__(self) -> None:
        self.by_account: dict[AccountId, list[_Entry]] = {}
        self.everybody: list[_Entry] = []

    def of(self, account_id: AccountId | None) -> list[_Entry]:
        if account_id is None:
            return self.everybody
        return self.by_account.setdefault(account_id, [])


_Scopes = dict[str, dict[str, dict[str, _Scope]]]
"""Prefix → operator → country → scope, "" being any."""


class RouteTable:
    """An immutable table, built once from all routes. ConfigError names what can't be used."""

    __slots__ = ("_plain", "_routes", "_tiers", "is_plain")

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(_named(index, route) for index, route in enumerate(routes))
        ranks: dict[int, _Scopes] = {}
        for index, route in enumerate(self._routes):
            check_route(index, route)
            _enter(ranks.setdefault(route.rank, {}), index, route)
        self._tiers = tuple(_Tier(ranks[rank]) for rank in sorted(ranks, reverse=True))
        self.is_plain = len(ranks) <= 1 and not any(
            route.operators or conditions_of(route) for route in self._routes
        )
        """Whether destinations, countries and accounts are all that is asked: `find_plain`."""
        self._plain = _Plain(next(iter(ranks.values()), {}) if self.is_plain else {})

    def find_plain(self, e164: str, country: str, account_id: AccountId) -> Route | None:
        """Return the route that decides, of a table that is plain. About 0.3 µs."""
        return self._plain.find(e164, country, account_id)

    def find(self, traits: Traits) -> Route | None:
        """Return the route that decides; None when none holds. About 1 µs and what it asks."""
        for tier in self._tiers:
            route = tier.find(traits)
            if route is not None:
                return route
        return None

    def explain(self, traits: Traits) -> Explanation:
        """Say route by route what `find` decides, and why."""
        verdicts = [(route, _judge(route, traits)) for route in self._routes]
        # sort() is stable: among equals, the order of the table.
        verdicts.sort(key=lambda pair: pair[1].specificity, reverse=True)
        chosen: Route | None = None
        considered = []
        for route, verdict in verdicts:
            why = verdict.why
            if verdict.matched and chosen is not None:
                why = f"{why}; {chosen.name} {_outdoes(chosen, route)}"
            elif verdict.matched:
                chosen = route
            considered.append(Considered(route.name, verdict.matched, why))
        return Explanation(chosen, tuple(considered))


class _Plain:
    """The lookup that asks for nothing but a destination and an account."""

    __slots__ = ("_by_prefix", "_lengths")

    def __init__(self, scopes: _Scopes) -> None:
        self._by_prefix = {
            prefix: {
                country: (
                    {account: entries[-1].route for account, entries in scope.by_account.items()},
                    scope.everybody[-1].route if scope.everybody else None,
                )
                for country, scope in by_operator.get("", {}).items()
            }
            for prefix, by_operator in scopes.items()
        }
        self._lengths = tuple(sorted({len(prefix) for prefix in scopes}, reverse=True))

    def find(self, e164: str, country: str, account_id: AccountId) -> Route | None:
        for length in self._lengths:
            countries = self._by_prefix.get(e164[:length])
            if countries is None:
                continue
            for key in (country, ""):
                scope = countries.get(key)
                if scope is not None:
                    route = scope[0].get(account_id) or scope[1]
                    if route is not None:
                        return route
        return None


class _Tier:
    """The routes of one rank."""

    __slots__ = ("_asks_operator", "_by_prefix", "_lengths")

    def __init__(self, scopes: _Scopes) -> None:
        self._by_prefix = scopes
        self._lengths = tuple(sorted({len(prefix) for prefix in scopes}, reverse=True))
        self._asks_operator = any(operator for ops in scopes.values() for operator in ops)

    def find(self, traits: Traits) -> Route | None:
        operator = traits.operator if self._asks_operator else ""
        operators = (operator, "") if operator else ("",)
        countries = (traits.country, "") if traits.country else ("",)
        for length in self._lengths:
            by_operator = self._by_prefix.get(traits.e164[:length])
            if by_operator is None:
                continue
            for operator in operators:
                by_country = by_operator.get(operator)
                if by_country is None:
                    continue
                for country in countries:
                    scope = by_country.get(country)
                    if scope is not None and (route := _find_in(scope, traits)) is not None:
                        return route
        return None


def _find_in(scope: _Scope, traits: Traits) -> Route | None:
    for entries in (scope.by_account.get(traits.account_id, ()), scope.everybody):
        for entry in entries:
            route = entry.route
            for condition in entry.conditions:
                if not condition.holds(route, traits):
                    break
            else:
                return route
    return None


def _enter(scopes: _Scopes, index: int, route: Route) -> None:
    """Put a route wherever it can be looked for, in its place among those that are there."""
    named = (route.prefixes, route.operators, route.countries, route.accounts)
    if math.prod(len(values) or 1 for values in named) > COMBINATIONS_MAX:
        raise ConfigError(
            f"route[{index}]",
            f"its prefixes, operators, countries and accounts make more than {COMBINATIONS_MAX:,}"
            " combinations: make several routes of it",
        )
    entry = _Entry(route)
    for prefix, operator, country, account_id in _places(route):
        scope = scopes.setdefault(prefix, {}).setdefault(operator, {}).setdefault(country, _Scope())
        entries = scope.of(account_id)
        for other in entries:
            if other.specificity == entry.specificity and may_coincide(other.route, route):
                where = _written(prefix, operator, country, account_id)
                raise ConfigError(f"route[{index}]", _ambiguous(where, other.route, route))
        entries.append(entry)
        entries.sort(key=lambda e: e.specificity, reverse=True)


_Place = tuple[str, str, str, AccountId | None]


def _places(route: Route) -> Iterator[_Place]:
    return itertools.product(
        route.prefixes or ("",),
        route.operators or ("",),
        route.countries or ("",),
        route.accounts or (None,),
    )


def _ambiguous(where: str, first: Route, second: Route) -> str:
    asked = [condition.name for condition in conditions_of(second)]
    if not asked:
        return f"{where} is decided by {first.name} already"
    return (
        f"{first.name} and {second.name} are equally specific for {where}, and a message may meet"
        f" what both ask ({', '.join(asked)}): give one of them a rank"
    )


def _outdoes(chosen: Route, other: Route) -> str:
    return "has a higher rank" if chosen.rank > other.rank else "is more specific"


class _Verdict(Record):
    __slots__ = ("matched", "specificity", "why")

    def __init__(
        self,
        matched: bool,
        specificity: tuple[int, int, bool, bool, bool, tuple[bool, ...]],
        why: str,
    ) -> None:
        self.matched: Final = matched
        self.specificity: Final = specificity
        """Of what matched, or of the most specific thing that could have."""
        self.why: Final = why


def _judge(route: Route, traits: Traits) -> _Verdict:
    """Test one route's conditions one after another; written apart from the lookup on purpose,
    so that a test can hold the two against each other."""
    fitting = [p for p in route.prefixes if traits.e164.startswith(p)]
    specificity = (
        route.rank,
        len(max(fitting or route.prefixes, key=len, default="")),
        bool(route.operators),
        bool(route.countries),
        bool(route.accounts),
        tuple(condition.is_named(route) for condition in CONDITIONS),
    )
    misses: list[str] = []
    hits: list[str] = []
    if route.prefixes:
        if fitting:
            hits.append(f"the number begins with {max(fitting, key=len)}")
        else:
            misses.append(f"the number begins with none of {', '.join(route.prefixes)}")
    for what, value, values in _listed(route, traits):
        if value in values:
            hits.append(f"{what} {value} is named")
        elif values:
            misses.append(f"{what} {value or '(none)'} is not among {', '.join(values)}")
    if route.accounts:
        named = traits.account_id in route.accounts
        (hits if named else misses).append(f"the account is {'' if named else 'not '}named")
    if not misses:  # what costs time is asked only when all the rest holds, as the lookup does
        for condition in conditions_of(route):
            holds = condition.holds(route, traits)
            (hits if holds else misses).append(condition.tell(route, traits, holds))
    why = ", ".join(misses or hits) or "it takes everything"
    return _Verdict(not misses, specificity, why)


def _listed(route: Route, traits: Traits) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    if route.operators:
        named = tuple(write_code(code) for code in route.operators)
        yield "operator", write_code(traits.operator), named
    if route.countries:
        yield "country", traits.country, route.countries


def _named(index: int, route: Route) -> Route:
    return route if route.name else msgspec.structs.replace(route, name=f"route[{index}]")


def _written(prefix: str, operator: str, country: str, account_id: AccountId | None) -> str:
    parts = (
        f"prefix {prefix}" if prefix else "",
        f"operator {write_code(operator)}" if operator else "",
        f"country {country}" if country else "",
        f"account {account_id}" if account_id is not None else "",
    )
    return ", ".join(filter(None, parts)) or "any number"
