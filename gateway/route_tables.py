"""From settings to the tables that decide which way a message goes: routes, senders, margins.

Not here: how they decide (`routing/`), prices and costs (`tariffs.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway import config as settings
from gateway.config import Config
from gateway.credit.prices import parse_micros
from gateway.errors import ConfigError
from gateway.model import ENCODINGS, LANES, AccountId, CarrierId
from gateway.routing.choice import Choose, build_rota
from gateway.routing.hours import Hours, parse_hours
from gateway.routing.margins import Floor
from gateway.routing.numbers import Ineligible
from gateway.routing.operators import parse_code
from gateway.routing.sender import Sender, SenderKind, parse_sender
from gateway.routing.sender_rules import SenderRule, SenderRules
from gateway.routing.table import Route, RouteTable
from gateway.routing.texts import TextClass, compile_pattern

_KINDS = {kind.wire: kind for kind in SenderKind}


def build_routes(
    config: Config, carrier_ids: Mapping[str, CarrierId], account_ids: Mapping[str, AccountId]
) -> RouteTable:
    """Return the route table; raises ConfigError.

    Also for an account that does not exist: its route would silently be nobody's.
    """
    return RouteTable(
        _build_route(f"route[{index}]", route, carrier_ids, account_ids)
        for index, route in enumerate(config.route)
    )


def find_route_problems(
    config: Config, carrier_ids: Mapping[str, CarrierId], account_ids: Mapping[str, AccountId]
) -> Iterator[ConfigError]:
    """Yield what is wrong with each route and each rule of senders, then with all of them."""
    found = False
    for index, route in enumerate(config.route):
        try:
            _build_route(f"route[{index}]", route, carrier_ids, account_ids)
        except ConfigError as error:
            found = True
            yield error
    for index, rule in enumerate(config.sender):
        try:
            _build_sender_rule(f"sender[{index}]", rule, account_ids)
        except ConfigError as error:
            found = True
            yield error
    if not found:
        try:
            build_routes(config, carrier_ids, account_ids)
            build_senders(config, account_ids)
        except ConfigError as error:
            yield error


def build_senders(config: Config, account_ids: Mapping[str, AccountId]) -> SenderRules:
    """Return the rules of senders; raises ConfigError."""
    return SenderRules(
        _build_sender_rule(f"sender[{index}]", rule, account_ids)
        for index, rule in enumerate(config.sender)
    )


def build_floor(config: Config) -> Floor:
    """Return what has to be left of every price that no route speaks of; raises ConfigError."""
    return Floor(
        margin_min_micros=parse_micros(config.margin.min, "margin.min", signed=True),
        unknown_refused=config.margin.unknown_cost == "refuse",
    )


def build_loss_accounts(
    config: Config, account_ids: Mapping[str, AccountId]
) -> frozenset[AccountId]:
    """Return who may be sold to below cost; raises ConfigError."""
    names = config.margin.loss_accounts
    return frozenset(find_accounts(account_ids, names, "margin.loss_accounts"))


def find_accounts(
    account_ids: Mapping[str, AccountId], names: tuple[str, ...], key: str
) -> tuple[AccountId, ...]:
    """Return accounts by their names; raises ConfigError, with the setting's key."""
    for name in names:
        if name not in account_ids:
            raise ConfigError(
                key, f"there is no account {name!r}; make it with: gateway account create"
            )
    return tuple(account_ids[name] for name in names)


def assume_accounts(config: Config, *others: str) -> dict[str, AccountId]:
    """Return an id for every account that the settings name: for looking at them where there is
    no database that knows better."""
    named = [
        *(name for route in config.route for name in route.accounts),
        *(name for rule in config.sender for name in rule.accounts),
        *(price.account for price in config.price),
        *(listed.account for listed in config.price_list),
    ]
    distinct = dict.fromkeys([*named, *config.margin.loss_accounts, *others])
    return {name: AccountId(place) for place, name in enumerate(distinct, start=1)}


def _build_route(
    key: str,
    route: settings.Route,
    carrier_ids: Mapping[str, CarrierId],
    account_ids: Mapping[str, AccountId],
) -> Route:
    carriers = tuple(carrier_ids[name] for name in route.carriers)
    choose = Choose(route.choose)
    margin_min = None
    if route.margin_min:
        margin_min = parse_micros(route.margin_min, f"{key}.margin_min", signed=True)
    return Route(
        carriers=carriers,
        name=route.name,
        rank=route.rank,
        prefixes=route.prefixes,
        countries=route.countries,
        operators=tuple(parse_code(code, f"{key}.operators") for code in route.operators),
        accounts=find_accounts(account_ids, route.accounts, f"{key}.accounts"),
        senders=tuple(_sender(sender, f"{key}.senders").address for sender in route.senders),
        sender_kinds=tuple(_KINDS[kind] for kind in route.sender_kinds),
        texts=tuple(TextClass(text) for text in route.texts),
        pattern=compile_pattern(route.pattern, f"{key}.pattern") if route.pattern else None,
        pattern_written=route.pattern,
        tags=route.tags,
        lanes=tuple(LANES[lane] for lane in route.lanes),
        encodings=tuple(ENCODINGS[encoding] for encoding in route.encodings),
        segments_min=route.segments_min,
        segments_max=route.segments_max,
        hours=_hours(key, route),
        choose=choose,
        rota=build_rota(choose, carriers, route.weights, key),
        carrier_names=route.carriers,
        margin_min_micros=margin_min,
        allow_loss=route.allow_loss,
    )


def _hours(key: str, route: settings.Route) -> Hours | None:
    if route.hours:
        return parse_hours(route.hours, route.time_zone, f"{key}.hours")
    if route.time_zone != "UTC":
        raise ConfigError(f"{key}.time_zone", "goes with hours")
    return None


def _build_sender_rule(
    key: str, rule: settings.Sender, account_ids: Mapping[str, AccountId]
) -> SenderRule:
    return SenderRule(
        name=rule.name,
        countries=rule.countries,
        accounts=find_accounts(account_ids, rule.accounts, f"{key}.accounts"),
        kinds=tuple(_KINDS[kind] for kind in rule.kinds),
        senders=tuple(_sender(sender, f"{key}.senders") for sender in rule.senders),
        rewrite={
            _sender(old, f"{key}.rewrite").address: _sender(new, f"{key}.rewrite")
            for old, new in rule.rewrite.items()
        },
        pool=tuple(_sender(sender, f"{key}.pool") for sender in rule.pool),
    )


def _sender(written: str, key: str) -> Sender:
    sender = parse_sender(written)
    if isinstance(sender, Ineligible):
        raise ConfigError(key, f"{written!r}: {sender.detail}")
    return sender
