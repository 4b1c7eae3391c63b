"""Who would be left without a route by other settings, and where to.

What an account can reach is asked place by place: each that a route of the old settings names, and
"all else". A place that some old route leads to for an account and no new one does is lost to it.
Conditions that are not about the place (tags, senders, hours …) narrow a route: a new one stands in
for an old one only if it asks for nothing that the old one did not.

Not here: which of the routes that hold decides (`routing/table.py`): any of them is a way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from gateway.config import Config, Route
from gateway.routing.plan import calling_code_of, main_country_of

PLACES = ("prefixes", "countries", "operators")
ABOUT_NO_MESSAGE = frozenset(
    {
        *("carriers", "name", "rank", "choose", "weights", "margin_min", "allow_loss"),
        # It says how to read the hours, which are a condition.
        "time_zone",
    }
)
"""Keys of a route that say what is done, and not with which messages."""

ALL_ELSE = "all else"


class Loss(msgspec.Struct, frozen=True):
    """Places that an account can reach now and could not any more."""

    account: str
    places: tuple[str, ...]
    everything: bool
    """Whether it would have no route left at all."""

    def __str__(self) -> str:
        if self.everything:
            return f"account {self.account} would have no route at all"
        return f"account {self.account} would have no route to {', '.join(self.places)}"


class _Place(msgspec.Struct, frozen=True):
    """One destination that a route names; empty parts are not named."""

    prefix: str
    country: str
    operator: str
    words: str
    """As people read it."""


def find_losses(old: Config, new: Config, accounts: Iterable[str]) -> list[Loss]:
    """Return what each of these accounts would lose, those that lose nothing left out."""
    losses = (_find_loss(old.route, new.route, account) for account in accounts)
    return [loss for loss in losses if loss is not None]


def _find_loss(old: Iterable[Route], new: tuple[Route, ...], account: str) -> Loss | None:
    after = [route for route in new if _is_for(route, account)]
    lost = {
        place.words: None
        for route in old
        if _is_for(route, account)
        for place in _places(route)
        if not any(_stands_in(candidate, route, place) for candidate in after)
    }
    return Loss(account, tuple(lost), not after) if lost else None


def _is_for(route: Route, account: str) -> bool:
    return not route.accounts or account in route.accounts


def _places(route: Route) -> Iterator[_Place]:
    """Yield every destination that a route names."""
    for prefix in route.prefixes or ("",):
        for country in route.countries or ("",):
            for operator in getattr(route, "operators", ()) or ("",):
                yield _Place(prefix, country, operator, _written(prefix, country, operator))


def _written(prefix: str, country: str, operator: str) -> str:
    parts = (prefix and f"prefix {prefix}", country, operator and f"operator {operator}")
    return " ".join(filter(None, parts)) or ALL_ELSE


def _stands_in(new: Route, old: Route, place: _Place) -> bool:
    """Say whether a new route takes what an old one takes to a place."""
    return _leads_to(new, place) and all(
        _asks_no_more(getattr(new, key), getattr(old, key))
        for key in Route.__struct_fields__
        if key not in ABOUT_NO_MESSAGE and key not in PLACES and key != "accounts"
    )


def _leads_to(route: Route, place: _Place) -> bool:
    """Say whether a route takes numbers of a place, as a whole.

    A country's numbers begin with its calling code, and a prefix tells the country, the main one
    where several share a code.
    """
    begins = place.prefix or (calling_code_of(place.country) if place.country else "")
    country = place.country or (main_country_of(place.prefix) if place.prefix else "")
    operators = getattr(route, "operators", ())
    return (
        (not route.prefixes or any(begins.startswith(prefix) for prefix in route.prefixes))
        and (not route.countries or country in route.countries)
        and (not operators or place.operator in operators)
    )


def _asks_no_more(new: object, old: object) -> bool:
    """Say whether a condition lets through all that another one does; empty ones ask nothing."""
    if not new or new == old:
        return True
    return isinstance(new, tuple) and isinstance(old, tuple) and bool(old) and {*old} <= {*new}
