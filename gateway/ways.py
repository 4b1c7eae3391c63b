"""Which way a message goes: to which number, from which sender, by which route, through whom, and
what each segment costs and brings.

Each step is a function of its own, so that a way can be told rule by rule (`explain.py`) by the
same code that finds it.

    number → operator → sender → price → route → order of carriers → margins

Not here: what the message says (`content.py`), and whether it is too much of it (`intake.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gateway.assessed import Way
from gateway.config import Messages
from gateway.content import Content
from gateway.credit.costs import NO_COSTS
from gateway.credit.prices import Unpriced
from gateway.credit.volumes import NO_VOLUMES, Volumes
from gateway.errors import Rejected
from gateway.message import Message
from gateway.model import Account, AccountId, CarrierId, Encoding, Lane, Micros
from gateway.record import replace
from gateway.routing.choice import Choose, CostOf, order_by_cost, order_by_sender
from gateway.routing.conditions import Size, Traits
from gateway.routing.margins import Affordable, Floor, keep_affordable
from gateway.routing.numbers import (
    MOBILE_TYPES,
    Ineligible,
    Number,
    NumberType,
    check_type,
    parse_number,
)
from gateway.routing.operators import NO_OPERATORS, OperatorBook
from gateway.routing.sender import Sender, SenderKind, parse_sender
from gateway.routing.sender_rules import NO_RULES
from gateway.routing.table import Route
from gateway.tables import Tables
from gateway.text.errors import TextError
from gateway.text.segment import Measured, measure
from gateway.text.style import PLAIN, TextStyle

Measure = Callable[[TextStyle], tuple[Content, Measured]]
"""Says what a content becomes and takes in a carrier's style; raises Rejected."""


class Unreachable(Rejected):
    """No text can be sent to the number of a request, which is counted by its country."""

    def __init__(self, ineligible: Ineligible) -> None:
        super().__init__(ineligible.code.value, ineligible.detail, field="to")
        self.country = ineligible.country


class Ways:
    """Finds ways by settings and tables that change now and then."""

    def __init__(
        self,
        settings: Messages,
        tables: Tables,
        *,
        operators: OperatorBook | None = None,
        volumes: Volumes = NO_VOLUMES,
    ) -> None:
        self.tables = tables
        self.operators = operators or OperatorBook()
        self.volumes = volumes
        self.use(settings)

    def use(self, settings: Messages) -> None:
        """Read numbers by these settings from now on."""
        self._default_country = settings.default_country
        self._refused_types = frozenset(NumberType(name) for name in settings.refuse_types)
        # Nearly every number is surely a mobile one, and is not asked for its type then.
        self._asks_every_type = not self._refused_types.isdisjoint(MOBILE_TYPES)

    def find(
        self,
        account: Account,
        to: str,
        sender: Sender | None,
        content: Content,
        lane: Lane,
        tag: str,
        leaves_at: float,
        now: float,
        measure_in: Measure,
    ) -> Way:
        """Return the way of a message that is accepted `now`, and may leave at `leaves_at`.

        Raises Rejected when there is none: Unreachable, or with the codes of senders, `no_price`,
        `no_route`, `no_margin`.
        """
        tables = self.tables
        number = self.read_number(to)
        book = self.operators
        operator = "" if book.table is NO_OPERATORS else book.code(number.e164)
        sender = self._rule_sender(account, number, sender)
        price = self.find_price(account, number, operator, lane, now)
        if tables.routes.is_plain:
            route = tables.routes.find_plain(number.e164, number.country, account.id)
        else:
            route = tables.routes.find(
                build_traits(
                    account,
                    number,
                    operator,
                    sender,
                    content.text,
                    lane,
                    tag,
                    leaves_at,
                    measure_in,
                )
            )
        if route is None:
            raise Rejected("no_route", "no carrier is configured for this number", field="to")
        carriers = route.carriers
        if tables.costs is not NO_COSTS or route.choose is not Choose.ORDER:
            cost_of = partial(self.find_cost, number.e164, operator, now)
            carriers = order_carriers(route, sender, cost_of)
            affordable = self.keep_affordable(account.id, route, carriers, price, cost_of)
            carriers = affordable.carriers
            if not carriers:
                raise Rejected(
                    "no_margin", "no carrier is left at this price for this number", field="to"
                )
        return Way(number, sender.address, route, carriers, price, operator)

    def reroute(self, message: Message) -> tuple[CarrierId, ...]:
        """Return the carriers of a message that was accepted before, by the tables as they are
        now; none when there is no way for it any more."""
        e164 = message.recipient
        operator = self.operators.code(e164)
        sender = _read_sender_again(message.sender)
        route = self.tables.routes.find(
            Traits(
                e164=e164,
                country=message.country,
                account_id=message.account_id,
                sender=sender,
                text=message.text,
                lane=message.lane,
                tag=message.tag,
                at=message.send_at or message.accepted_at,
                find_operator=lambda e164: operator,
                measure=partial(_measure_again, message),
            )
        )
        if route is None:
            return ()
        cost_of = partial(self.find_cost, e164, operator, message.accepted_at)
        carriers = order_carriers(route, sender, cost_of)
        price = Micros(message.price_micros // message.segments)
        kept = self.keep_affordable(message.account_id, route, carriers, price, cost_of)
        return kept.carriers

    # ── the steps ────────────────────────────────────────────────────────────────────────────

    def read_number(self, to: str) -> Number:
        """Return the number that a text can be sent to; raises Unreachable."""
        number = parse_number(to, default_country=self._default_country)
        if isinstance(number, Ineligible):
            raise Unreachable(number)
        if not number.mobile or self._asks_every_type:
            refused = check_type(number, self._refused_types)
            if refused is not None:
                raise Unreachable(refused)
        return number

    def _rule_sender(self, account: Account, number: Number, sender: Sender | None) -> Sender:
        rules = self.tables.senders
        if rules is NO_RULES and sender is not None:
            return sender
        ruled = rules.decide(sender, number.e164, number.country, account.id)
        if isinstance(ruled, Ineligible):
            raise Rejected(ruled.code.value, ruled.detail, field="from")
        return ruled.sender

    def find_price(
        self, account: Account, number: Number, operator: str, lane: Lane, now: float
    ) -> Micros:
        """Return what the account pays for a segment; raises Rejected."""
        prices = self.tables.prices
        if prices is None:
            return Micros(0)
        price = prices.price(account, number.e164, operator, lane, int(now), self.volumes)
        if isinstance(price, Unpriced):
            raise Rejected("no_price", "no price is set for this destination", field="to")
        return price

    def find_cost(
        self, e164: str, operator: str, now: float, carrier_id: CarrierId
    ) -> Micros | None:
        """Return what a carrier takes for a segment; None when nobody knows."""
        return self.tables.costs.cost(carrier_id, e164, operator, int(now))

    def keep_affordable(
        self,
        account_id: AccountId,
        route: Route,
        carriers: tuple[CarrierId, ...],
        price: Micros,
        cost_of: CostOf,
    ) -> Affordable:
        """Return the carriers that the price pays for, and who is left out."""
        floor = self.floor_of(account_id, route)
        if floor is None:
            return Affordable(carriers, ())
        return keep_affordable(carriers, price, cost_of, floor)

    def floor_of(self, account_id: AccountId, route: Route) -> Floor | None:
        """Return what has to be left of a price; None when anything may be, also less than 0."""
        tables = self.tables
        free = tables.costs is NO_COSTS or tables.prices is None
        if free or route.allow_loss or account_id in tables.loss_accounts:
            return None
        if route.margin_min_micros is None:
            return tables.floor
        return replace(tables.floor, margin_min_micros=route.margin_min_micros)


def read_sender(asked: str | None, default: str) -> Sender | None:
    """Return the sender that a request names, else the account's own; raises Rejected."""
    if asked is None and not default:
        return None
    sender = parse_sender(default if asked is None else asked)
    if isinstance(sender, Ineligible):
        raise Rejected(sender.code.value, sender.detail, field="from")
    return sender


def build_traits(
    account: Account,
    number: Number,
    operator: str,
    sender: Sender,
    text: str,
    lane: Lane,
    tag: str,
    leaves_at: float,
    measure_in: Measure,
) -> Traits:
    """Return what routes can ask about a message."""
    return Traits(
        e164=number.e164,
        country=number.country,
        account_id=account.id,
        sender=sender,
        text=text,
        lane=lane,
        tag=tag,
        at=leaves_at,
        find_operator=lambda e164: operator,
        measure=partial(measure_plain, measure_in),
    )


def order_carriers(route: Route, sender: Sender, cost_of: CostOf) -> tuple[CarrierId, ...]:
    """Return a route's carriers as they are to be tried for this message, all of them."""
    if route.rota is not None:
        return route.rota.present()
    if route.choose is Choose.LEAST_COST:
        return order_by_cost(route.carriers, cost_of)
    if route.choose is Choose.STICKY_SENDER:
        return order_by_sender(route.carriers, route.carrier_names, sender.address)
    return route.carriers


def measure_plain(measure_in: Measure) -> Size:
    """Return what routes are asked about: how a carrier without a style of its own is sent it."""
    _, measured = measure_in(PLAIN)
    return measured.encoding, measured.segments


def _read_sender_again(address: str) -> Sender:
    sender = parse_sender(address)
    # It was one when it was accepted; what counts as one may have changed since.
    return Sender(SenderKind.NAME, address) if isinstance(sender, Ineligible) else sender


def _measure_again(message: Message) -> Size:
    """As `measure_plain`, of what was accepted before."""
    if message.data:
        return message.encoding, message.segments
    asked = Encoding.UCS2 if message.encoding is Encoding.UCS2 else None
    try:
        measured = measure(message.text, asked)
    except TextError:
        return message.encoding, message.segments
    return measured.encoding, measured.segments
