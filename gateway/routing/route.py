"""One route: what a message has to be like to take it, and what follows then.

Not here: which of several routes decides (`table.py`), how each condition is judged
(`conditions.py`).
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.errors import ConfigError
from gateway.model import AccountId, CarrierId, Encoding, Lane, Micros
from gateway.routing.choice import Choose, Rota
from gateway.routing.hours import Hours
from gateway.routing.sender import SenderKind
from gateway.routing.texts import Pattern, TextClass

PREFIX_DIGITS_MAX: Final = 15
"""A prefix longer than an E.164 number matches nothing."""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One rule: every kind of condition that it names has to hold, by any one of its values.

    An empty condition takes everything, numbers without a country or an operator too.
    """

    carriers: tuple[CarrierId, ...]
    """In the order in which they are tried, unless `choose` says otherwise."""
    name: str = ""
    """For people; "" is replaced by the route's place in the table."""
    rank: int = 0
    """Of the routes that hold, only those of the highest rank count."""

    prefixes: tuple[str, ...] = ()
    """E.164 digits."""
    countries: tuple[str, ...] = ()
    """ISO 3166 alpha-2."""
    operators: tuple[str, ...] = ()
    """Codes: "26201"."""
    accounts: tuple[AccountId, ...] = ()

    senders: tuple[str, ...] = ()
    """Addresses as they leave: a name, a short code, or E.164 digits."""
    sender_kinds: tuple[SenderKind, ...] = ()
    texts: tuple[TextClass, ...] = ()
    pattern: Pattern | None = None
    pattern_written: str = ""
    tags: tuple[str, ...] = ()
    lanes: tuple[Lane, ...] = ()
    encodings: tuple[Encoding, ...] = ()
    """As a plain carrier is sent it: GSM7, UCS2 or BINARY."""
    segments_min: int = 0
    segments_max: int = 0
    """As a plain carrier counts them; 0: no bound."""
    hours: Hours | None = None

    choose: Choose = Choose.ORDER
    rota: Rota | None = None
    """Whose turn it is, where `choose` says in turn."""
    carrier_names: tuple[str, ...] = ()
    """In the order of `carriers`; where a sender sticks to one."""
    margin_min_micros: Micros | None = None
    """None: as the settings say for all."""
    allow_loss: bool = False


def check_route(index: int, route: Route) -> None:
    """Raise ConfigError, with the setting's key, for what can't be used."""
    key = f"route[{index}]"
    if not route.carriers:
        raise ConfigError(f"{key}.carriers", "a route needs at least one carrier")
    if len(set(route.carriers)) < len(route.carriers):
        raise ConfigError(f"{key}.carriers", "a carrier stands twice")
    for prefix in route.prefixes:
        fits = prefix.isascii() and prefix.isdigit() and len(prefix) <= PREFIX_DIGITS_MAX
        if not fits or prefix[0] == "0":
            raise ConfigError(
                f"{key}.prefixes",
                f"{prefix!r} is not the beginning of a number: 1 to {PREFIX_DIGITS_MAX} digits,"
                " the calling code first, without + or 00",
            )
    for country in route.countries:
        if not (
            len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()
        ):
            raise ConfigError(
                f"{key}.countries", f"{country!r} is not a country's two capital letters"
            )
    if route.segments_max and route.segments_max < route.segments_min:
        raise ConfigError(f"{key}.segments_max", "is less than segments_min: nothing fits")
