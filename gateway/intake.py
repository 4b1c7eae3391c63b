"""From what a client asks for to a message that can be stored, or the reason why not.

Everything that can be wrong with a request is found here, before it costs anything: the number,
the sender, dates, the route and the price; the text and its size by `content.py`. Credit is not
looked at here: only the transaction that reserves it knows (`store/intake_writer.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime

import msgspec

from gateway.config import Messages
from gateway.content import (
    Content,
    fits,
    measure_content,
    measure_order,
    one_of,
    read_content,
    read_order,
)
from gateway.credit.prices import PriceBook, Unpriced
from gateway.credit.volumes import NO_VOLUMES, Volumes
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.model import (
    LANES,
    Account,
    CarrierId,
    Lane,
    Message,
    Micros,
    Order,
    SendRequest,
)
from gateway.routing.numbers import (
    MOBILE_TYPES,
    Ineligible,
    Number,
    NumberType,
    check_type,
    parse_number,
)
from gateway.routing.sender import parse_sender
from gateway.routing.table import RouteTable
from gateway.text.coding import class_coding
from gateway.text.segment import Measured
from gateway.text.style import PLAIN, TextStyle

CLIENT_REF_CHARS_MAX = 128
TAG_CHARS_MAX = 64
URL_CHARS_MAX = 2_048


class Tables(msgspec.Struct, frozen=True):
    """What decisions are looked up in; replaced as a whole when settings change."""

    routes: RouteTable
    prices: PriceBook | None
    """None: nothing is priced, every message is free."""
    styles: Mapping[CarrierId, TextStyle] = {}
    """How carriers want text written; one that is not here wants it plain."""


class Assessed(msgspec.Struct, frozen=True, gc=False):
    """What sending a request would take."""

    recipient: str
    country: str
    routes: tuple[CarrierId, ...]
    content: Content
    """As it will be sent: with `smart`, not always what the request says."""
    measured: Measured
    price_micros: Micros


class Intake:
    """Decides requests by one set of settings and tables."""

    def __init__(
        self,
        settings: Messages,
        tables: Tables,
        ids: IdGenerator,
        *,
        text_chars_max: int,
        volumes: Volumes = NO_VOLUMES,
    ) -> None:
        self.settings = settings
        self.tables = tables
        self._volumes = volumes
        self._ids = ids
        self._text_chars_max = text_chars_max
        self._refused_types = frozenset(NumberType(name) for name in settings.refuse_types)
        # Nearly every number is surely a mobile one, and is not asked for its type then.
        self._asks_every_type = not self._refused_types.isdisjoint(MOBILE_TYPES)

    def decide(self, account: Account, request: SendRequest, now: float) -> Message | Rejected:
        """Return the message that the request becomes, with an id and a price, or why not."""
        try:
            return self._decide(account, request, now)
        except Rejected as rejected:
            return rejected

    def decide_order(self, account: Account, order: Order, now: float) -> Message | Rejected:
        """Return the message that an order becomes, with an id and a price, or why not."""
        try:
            return self._decide_order(account, order, now)
        except Rejected as rejected:
            return rejected

    def assess(self, account: Account, request: SendRequest, now: float) -> Assessed | Rejected:
        """Return what the request would take, without making a message of it."""
        try:
            lane = _read_lane(request.priority)
            content = read_content(request, self._text_chars_max)
            return self._assess(account, request, content, lane, now)
        except Rejected as rejected:
            return rejected

    def reroute(self, message: Message) -> tuple[CarrierId, ...]:
        """Return the carriers that a message could have by the routes as they are now.

        For one whose own carriers are all gone. It was counted and paid for, so they must do with
        as many segments.
        """
        styles = self.tables.styles
        first = styles.get(message.routes[0])
        found = self.tables.routes.candidates(
            message.recipient, message.country, message.account_id
        )
        return tuple([c for c in found if fits(message, self._style(c), first)])

    def _decide(self, account: Account, request: SendRequest, now: float) -> Message:
        lane = _read_lane(request.priority)
        content = read_content(request, self._text_chars_max)
        sender = _read_sender(request.sender, account.default_sender)
        send_at, expires_at = self._read_times(request, now)
        client_ref = _read_label(request.client_ref, "client_ref", CLIENT_REF_CHARS_MAX)
        tag = _read_label(request.tag, "tag", TAG_CHARS_MAX)
        callback_url = _read_url(request.callback_url)
        assessed = self._assess(account, request, content, lane, now)
        encoding, message_class = assessed.measured.encoding, request.message_class
        message = Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender=sender,
            recipient=assessed.recipient,
            country=assessed.country,
            text=assessed.content.text,
            data=content.data,
            udh=content.udh,
            encoding=encoding,
            segments=assessed.measured.segments,
            lane=lane,
            price_micros=assessed.price_micros,
            routes=assessed.routes,
            client_ref=client_ref,
            tag=tag,
            callback_url=callback_url,
            send_at=send_at,
            expires_at=expires_at,
            data_coding=None if message_class is None else class_coding(encoding, message_class),
        )
        return self._with_fit_routes(message)

    def _assess(
        self, account: Account, request: SendRequest, content: Content, lane: Lane, now: float
    ) -> Assessed:
        number, routes = self._find_way(account, request.to)
        content, measured = measure_content(request, content, self._style(routes[0]))
        return self._sum_up(account, number, routes, content, measured, lane, now)

    def _decide_order(self, account: Account, order: Order, now: float) -> Message:
        sender = _read_sender(order.sender or None, account.default_sender)
        send_at, expires_at = self._check_times(order, now)
        content = read_order(order, self._text_chars_max)
        number, routes = self._find_way(account, order.to)
        content, measured = measure_order(order, content, self._style(routes[0]))
        assessed = self._sum_up(account, number, routes, content, measured, order.lane, now)
        message = Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender=sender,
            recipient=assessed.recipient,
            country=assessed.country,
            text=content.text,
            data=order.data,
            udh=order.udh,
            encoding=assessed.measured.encoding,
            segments=assessed.measured.segments,
            lane=order.lane,
            price_micros=assessed.price_micros,
            routes=assessed.routes,
            send_at=send_at,
            expires_at=expires_at,
            data_coding=order.data_coding,
            registered_delivery=order.registered_delivery,
            group_id=order.group_id,
        )
        return self._with_fit_routes(message)

    def _find_way(self, account: Account, to: str) -> tuple[Number, tuple[CarrierId, ...]]:
        """Return the number, and its carriers in order."""
        number = self._read_number(to)
        routes = self.tables.routes.candidates(number.e164, number.country, account.id)
        if not routes:
            raise Rejected("no_route", "no carrier is configured for this number", field="to")
        return number, routes

    def _read_number(self, to: str) -> Number:
        number = parse_number(to, default_country=self.settings.default_country)
        if isinstance(number, Ineligible):
            raise Rejected(number.code.value, number.detail, field="to")
        if not number.mobile or self._asks_every_type:
            refused = check_type(number, self._refused_types)
            if refused is not None:
                raise Rejected(refused.code.value, refused.detail, field="to")
        return number

    def _style(self, carrier_id: CarrierId) -> TextStyle:
        return self.tables.styles.get(carrier_id, PLAIN)

    def _with_fit_routes(self, message: Message) -> Message:
        """Return the message without the carriers that would need more segments than are paid for.

        It was measured for the first one of its route, and that is what its client is told.
        """
        if len(message.routes) == 1 or not self.tables.styles:
            return message
        first = self._style(message.routes[0])
        fit = tuple([c for c in message.routes if fits(message, self._style(c), first)])
        return message if fit == message.routes else msgspec.structs.replace(message, routes=fit)

    def _sum_up(
        self,
        account: Account,
        number: Number,
        routes: tuple[CarrierId, ...],
        content: Content,
        measured: Measured,
        lane: Lane,
        now: float,
        operator: str = "",
    ) -> Assessed:
        if measured.segments > account.segments_max:
            raise Rejected(
                "too_many_segments",
                f"{measured.segments} segments, and this account may send {account.segments_max}"
                " in one message",
                field=content.field,
            )
        each = Micros(0)
        if self.tables.prices is not None:
            price = self.tables.prices.price(
                account, number.e164, operator, lane, int(now), self._volumes
            )
            if isinstance(price, Unpriced):
                raise Rejected("no_price", "no price is set for this destination", field="to")
            each = price
        return Assessed(
            number.e164,
            number.country,
            routes,
            content,
            measured,
            Micros(each * measured.segments),
        )

    def _read_times(self, request: SendRequest, now: float) -> tuple[float | None, float]:
        """Return when the message may leave (None: at once) and when it is too late for it."""
        validity_s = self.settings.validity_s
        if request.validity_s is not None:
            validity_s = request.validity_s
            if not 1 <= validity_s <= self.settings.validity_max_s:
                raise Rejected(
                    "validity_out_of_range",
                    f"validity_s is 1 to {self.settings.validity_max_s} seconds",
                    field="validity_s",
                )
        if request.send_at is None:
            return None, now + validity_s
        send_at = _read_time(request.send_at)
        if send_at > now + self.settings.schedule_max_s:
            raise Rejected(
                "send_at_too_far",
                f"send_at is at most {self.settings.schedule_max_s // 86_400} days ahead",
                field="send_at",
            )
        if send_at <= now:
            return None, now + validity_s
        return send_at, send_at + validity_s

    def _check_times(self, order: Order, now: float) -> tuple[float | None, float]:
        """As `_read_times`, for times that are read already."""
        send_at = order.send_at
        if send_at is not None:
            if send_at > now + self.settings.schedule_max_s:
                raise Rejected("send_at_too_far", "the schedule is too far ahead", field="send_at")
            if send_at <= now:
                send_at = None
        leaves_at = now if send_at is None else send_at
        if order.expires_at is None:
            return send_at, leaves_at + self.settings.validity_s
        if order.expires_at <= leaves_at:
            raise Rejected(
                "validity_out_of_range", "it would be too late when it leaves", field="validity_s"
            )
        return send_at, min(order.expires_at, leaves_at + self.settings.validity_max_s)


def hash_request(request: SendRequest) -> bytes:
    """Return what tells whether two requests with one key ask for the same."""
    return hashlib.blake2b(msgspec.json.encode(request), digest_size=16).digest()


def _read_lane(priority: str) -> Lane:
    lane = LANES.get(priority)
    if lane is None:
        raise Rejected("priority_unknown", f"priority is {one_of(LANES)}", field="priority")
    return lane


def _read_sender(asked: str | None, default: str) -> str:
    if asked is None and not default:
        raise Rejected("sender_missing", "the account has no default sender", field="from")
    sender = parse_sender(default if asked is None else asked)
    if isinstance(sender, Ineligible):
        raise Rejected(sender.code.value, sender.detail, field="from")
    return sender.address


def _read_time(raw: str) -> float:
    try:
        time = datetime.fromisoformat(raw.upper())  # RFC 3339 §5.6: "t" and "z" are as good
    except ValueError:
        raise Rejected(
            "send_at_not_a_time", "send_at is RFC 3339, like 2026-01-31T09:00:00Z", field="send_at"
        ) from None
    if time.tzinfo is None:
        raise Rejected("send_at_not_a_time", "send_at needs an offset or Z", field="send_at")
    return time.timestamp()


def _read_label(raw: str | None, field: str, chars_max: int) -> str:
    if raw is None:
        return ""
    if not raw or len(raw) > chars_max or not raw.isprintable():
        raise Rejected(
            f"{field}_not_usable", f"{field} has 1 to {chars_max} printable characters", field=field
        )
    return raw


def _read_url(raw: str | None) -> str:
    if raw is None:
        return ""
    scheme, _, rest = raw.partition("://")
    fits = (
        scheme in ("http", "https")
        and rest[:1].isalnum() | rest.startswith("[")
        and len(raw) <= URL_CHARS_MAX
        and raw.isascii()
        and raw.isprintable()
        and " " not in raw
    )
    if not fits:
        raise Rejected(
            "callback_url_not_usable",
            f"callback_url is an http or https address of at most {URL_CHARS_MAX} characters",
            field="callback_url",
        )
    return raw
