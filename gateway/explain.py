"""Why a message takes the way that it takes, step by step and rule by rule.

Told by the steps that find the way (`ways.py`); what comes of it all is asked of `intake.py`, so
that the tale has the end that a message would have. How it is shown is `cli/route.py`'s.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from gateway.content import measure_content, read_content
from gateway.credit.prices import format_micros
from gateway.errors import Rejected
from gateway.intake import Intake
from gateway.message import Message
from gateway.model import Account, CarrierId, Micros, SendRequest
from gateway.particulars import TAG_CHARS_MAX, read_label, read_lane, read_times
from gateway.routing.choice import Choose, CostOf
from gateway.routing.explanation import Considered
from gateway.routing.margins import Floor
from gateway.routing.numbers import (
    Ineligible,
    Number,
    find_time_zones,
    number_type,
    parse_number,
)
from gateway.routing.route import Route
from gateway.routing.sender import Sender
from gateway.text.style import PLAIN
from gateway.ways import Measure, Ways, build_traits, order_carriers, read_sender


class ToldNumber(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    country: str
    type: str
    time_zones: tuple[str, ...]


class ToldOperator(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    name: str = ""
    found_by: str = "prefix"
    """prefix, ported or given."""
    prefix: str = ""


class ToldSender(msgspec.Struct, frozen=True, kw_only=True):
    sender: str
    kind: str
    why: str


class ToldText(msgspec.Struct, frozen=True, kw_only=True):
    """As a carrier without a style of its own is sent it: what routes are asked about."""

    encoding: str
    segments: int


class ToldCarrier(msgspec.Struct, frozen=True, kw_only=True):
    """One carrier of the route that decides."""

    carrier: str
    place: int | None
    """From 1 on, in the order in which they are tried; None: it is not used."""
    cost: str | None = None
    """Of a segment; None where nobody knows."""
    margin: str | None = None
    why: str = ""


class ToldEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What a message like this would become."""

    carriers: tuple[str, ...] = ()
    encoding: str = ""
    segments: int = 0
    price: str = ""
    """Of the whole message."""
    code: str = ""
    """Why it would be refused; empty when it would not."""
    field: str = ""
    detail: str = ""


class Told(msgspec.Struct, kw_only=True):
    """The steps as far as they went, and the end."""

    account: str
    currency: str
    number: ToldNumber | None = None
    operator: ToldOperator | None = None
    sender: ToldSender | None = None
    text: ToldText | None = None
    price: str | None = None
    """Of a segment; None where no price is set or everything is free."""
    routes: tuple[Considered, ...] = ()
    """From the most specific one down."""
    route: str = ""
    """The one that decides."""
    choose: str = ""
    carriers: tuple[ToldCarrier, ...] = ()
    end: ToldEnd = ToldEnd()


class Explainer:
    """Tells ways by one set of settings and tables."""

    def __init__(
        self, intake: Intake, names: Mapping[CarrierId, str], *, text_chars_max: int
    ) -> None:
        self._intake = intake
        self._ways: Ways = intake.ways
        self._names = names
        self._text_chars_max = text_chars_max

    def explain(self, account: Account, request: SendRequest, now: float) -> Told:
        """Return the tale of a request that is accepted `now`."""
        told = Told(account=account.name, currency=account.currency)
        with contextlib.suppress(Rejected):  # the end says it
            self._tell(told, account, request, now)
        told.end = self._end(self._intake.decide(account, request, now))
        if not told.end.code:
            told.carriers = _leave_out_unfit(told.carriers, told.end.carriers)
        return told

    def _tell(self, told: Told, account: Account, request: SendRequest, now: float) -> None:
        """Go step by step until one is refused, which raises Rejected."""
        number = self._tell_number(told, request.to)
        operator = self._tell_operator(told, number)
        lane = read_lane(request.priority)
        content = read_content(request, self._text_chars_max)
        asked = read_sender(request.sender, account.default_sender)
        send_at, _ = read_times(self._intake.settings, request, now)
        tag = read_label(request.tag, "tag", TAG_CHARS_MAX)
        sender = self._tell_sender(told, account, number, asked)
        measure = partial(measure_content, request, content)
        self._tell_text(told, measure)
        price = self._ways.find_price(account, number, operator, lane, now)
        if self._ways.tables.prices is not None:
            told.price = format_micros(price)
        leaves_at = now if send_at is None else send_at
        traits = build_traits(
            account, number, operator, sender, content.text, lane, tag, leaves_at, measure
        )
        explained = self._ways.tables.routes.explain(traits)
        told.routes = explained.considered
        if explained.route is not None:
            told.route = explained.route.name
            cost_of = partial(self._ways.find_cost, number.e164, operator, now)
            self._tell_carriers(told, account, explained.route, sender, price, cost_of)

    def _tell_number(self, told: Told, to: str) -> Number:
        # Told also where no text may be sent to it.
        country = self._intake.settings.default_country
        number = parse_number(to, default_country=country)
        if isinstance(number, Number):
            told.number = ToldNumber(
                number=number.e164,
                country=number.country,
                type=number_type(number).value,
                time_zones=find_time_zones(number.e164),
            )
        return self._ways.read_number(to)

    def _tell_operator(self, told: Told, number: Number) -> str:
        found = self._ways.operators.table.find(number.e164)
        if found is None:
            return ""
        told.operator = ToldOperator(
            code=found.operator.code,
            name=found.operator.name,
            found_by="prefix" if found.prefix else "ported",
            prefix=found.prefix,
        )
        return found.operator.code

    def _tell_sender(
        self, told: Told, account: Account, number: Number, asked: Sender | None
    ) -> Sender:
        ruled = self._ways.tables.senders.decide(asked, number.e164, number.country, account.id)
        if isinstance(ruled, Ineligible):
            raise Rejected(ruled.code.value, ruled.detail, field="from")
        sender = ruled.sender
        told.sender = ToldSender(sender=sender.address, kind=sender.kind.wire, why=ruled.why)
        return sender

    def _tell_text(self, told: Told, measure: Measure) -> None:
        _, measured = measure(PLAIN)
        told.text = ToldText(encoding=measured.encoding.wire, segments=measured.segments)

    def _tell_carriers(
        self,
        told: Told,
        account: Account,
        route: Route,
        sender: Sender,
        price: Micros,
        cost_of: CostOf,
    ) -> None:
        told.choose = _tell_choice(route, self._names)
        ordered = order_carriers(route, sender, cost_of)
        kept = self._ways.keep_affordable(account.id, route, ordered, price, cost_of).carriers
        floor = self._ways.floor_of(account.id, route)
        priced = self._ways.tables.prices is not None
        rows = []
        for carrier in (*kept, *(c for c in ordered if c not in kept)):
            cost = cost_of(carrier)
            margin = None if cost is None or not priced else format_micros(price - cost)
            rows.append(
                ToldCarrier(
                    carrier=self._names[carrier],
                    place=kept.index(carrier) + 1 if carrier in kept else None,
                    cost=None if cost is None else format_micros(cost),
                    margin=margin,
                    why="" if carrier in kept else _tell_removal(cost, floor),
                )
            )
        told.carriers = tuple(rows)

    def _end(self, decided: Message | Rejected) -> ToldEnd:
        if isinstance(decided, Rejected):
            return ToldEnd(code=decided.code, field=decided.field, detail=decided.detail)
        return ToldEnd(
            carriers=tuple(self._names[carrier] for carrier in decided.routes),
            encoding=decided.encoding.wire,
            segments=decided.segments,
            price=format_micros(decided.price_micros),
        )


def _tell_choice(route: Route, names: Mapping[CarrierId, str]) -> str:
    match route.choose:
        case Choose.ORDER:
            return "order: as the route lists them"
        case Choose.WEIGHTS | Choose.ROUND_ROBIN:
            assert route.rota is not None
            shares = (f"{names[c]} {route.rota.share(c):.0%}" for c in route.carriers)
            return f"{route.choose}: in turn, {', '.join(shares)}"
        case Choose.LEAST_COST:
            return "least_cost: the cheapest first"
        case Choose.STICKY_SENDER:
            return "sticky_sender: the same first for every message of this sender"


def _tell_removal(cost: Micros | None, floor: Floor | None) -> str:
    assert floor is not None, "nobody is left out without a floor"
    if cost is None:
        return "nobody knows its cost"
    if floor.margin_min_micros == 0:
        return "it takes more than the price"
    return f"less than {format_micros(floor.margin_min_micros)} would be left"


def _leave_out_unfit(
    carriers: Sequence[ToldCarrier], used: Sequence[str]
) -> tuple[ToldCarrier, ...]:
    """Return the carriers with those marked that would need more segments than are priced."""
    told = []
    for each in carriers:
        if each.carrier in used:
            each = msgspec.structs.replace(each, place=used.index(each.carrier) + 1)
        elif each.place is not None:
            each = msgspec.structs.replace(
                each, place=None, why="it would need more segments than the first one"
            )
        told.append(each)
    return tuple(told)
