"""From what a client asks for to a message that can be stored, or the reason why not.

Everything that can be wrong with a request is found here, before it costs anything: the number,
the sender, the text and its size, dates, the route and the price. Credit is not looked at here:
only the transaction that reserves it knows (`store/intake_writer.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime

import msgspec

from gateway.config import Messages
from gateway.credit.prices import PriceList, Unpriced
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.model import (
    ENCODINGS,
    LANES,
    Account,
    CarrierId,
    Encoding,
    Message,
    Micros,
    Order,
    SendRequest,
)
from gateway.routing.numbers import Ineligible, Number, parse_number
from gateway.routing.sender import parse_sender
from gateway.routing.table import RouteTable
from gateway.text.errors import TextError, TooManySegments
from gateway.text.segment import Measured, measure, measure_binary, measure_segment

CLIENT_REF_CHARS_MAX = 128
TAG_CHARS_MAX = 64
URL_CHARS_MAX = 2_048
DATA_OCTETS_MAX = 255 * 140


class Tables(msgspec.Struct, frozen=True):
    """What decisions are looked up in; replaced as a whole when settings change."""

    routes: RouteTable
    prices: PriceList | None
    """None: nothing is priced, every message is free."""
    wide_carriers: Collection[CarrierId] = frozenset()
    """Those that number parts with 16-bit references."""


class Assessed(msgspec.Struct, frozen=True, gc=False):
    """What sending a request would take."""

    recipient: str
    country: str
    routes: tuple[CarrierId, ...]
    measured: Measured
    price_micros: Micros


class Intake:
    """Decides requests by one set of settings and tables."""

    def __init__(
        self, settings: Messages, tables: Tables, ids: IdGenerator, *, text_chars_max: int
    ) -> None:
        self.settings = settings
        self.tables = tables
        self._ids = ids
        self._text_chars_max = text_chars_max

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

    def assess(self, account: Account, request: SendRequest) -> Assessed | Rejected:
        """Return what the request would take, without making a message of it."""
        try:
            return self._assess(account, request, *_read_content(request, self._text_chars_max))
        except Rejected as rejected:
            return rejected

    def _decide(self, account: Account, request: SendRequest, now: float) -> Message:
        lane = LANES.get(request.priority)
        if lane is None:
            raise Rejected("priority_unknown", f"priority is {_one_of(LANES)}", field="priority")
        content = _read_content(request, self._text_chars_max)
        sender = _read_sender(request.sender, account.default_sender)
        send_at, expires_at = self._read_times(request, now)
        client_ref = _read_label(request.client_ref, "client_ref", CLIENT_REF_CHARS_MAX)
        tag = _read_label(request.tag, "tag", TAG_CHARS_MAX)
        callback_url = _read_url(request.callback_url)
        assessed = self._assess(account, request, *content)
        text, data, udh = content
        return Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender=sender,
            recipient=assessed.recipient,
            country=assessed.country,
            text=text,
            data=data,
            udh=udh,
            encoding=assessed.measured.encoding,
            segments=assessed.measured.segments,
            lane=lane,
            price_micros=assessed.price_micros,
            routes=assessed.routes,
            client_ref=client_ref,
            tag=tag,
            callback_url=callback_url,
            send_at=send_at,
            expires_at=expires_at,
        )

    def _assess(
        self, account: Account, request: SendRequest, text: str, data: bytes, udh: bytes
    ) -> Assessed:
        number, routes, wide = self._find_way(account, request.to)
        measured = _measure(request, text, data, udh, wide)
        field = "text" if request.data is None else "data"
        return self._sum_up(account, number, routes, measured, field)

    def _decide_order(self, account: Account, order: Order, now: float) -> Message:
        sender = _read_sender(order.sender or None, account.default_sender)
        send_at, expires_at = self._check_times(order, now)
        if not order.data:
            _check_text(order.text, self._text_chars_max)
        number, routes, wide = self._find_way(account, order.to)
        field = "data" if order.data else "text"
        assessed = self._sum_up(account, number, routes, _measure_order(order, wide), field)
        return Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender=sender,
            recipient=assessed.recipient,
            country=assessed.country,
            text=order.text,
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

    def _find_way(self, account: Account, to: str) -> tuple[Number, tuple[CarrierId, ...], bool]:
        """Return the number, its carriers in order, and whether the first has wide references."""
        number = parse_number(to, default_country=self.settings.default_country)
        if isinstance(number, Ineligible):
            raise Rejected(number.code.value, number.detail, field="to")
        routes = self.tables.routes.candidates(number.e164, number.country, account.id)
        if not routes:
            raise Rejected("no_route", "no carrier is configured for this number", field="to")
        return number, routes, routes[0] in self.tables.wide_carriers

    def _sum_up(
        self,
        account: Account,
        number: Number,
        routes: tuple[CarrierId, ...],
        measured: Measured,
        field: str,
    ) -> Assessed:
        if measured.segments > account.segments_max:
            raise Rejected(
                "too_many_segments",
                f"{measured.segments} segments, and this account may send {account.segments_max}"
                " in one message",
                field=field,
            )
        each = Micros(0)
        if self.tables.prices is not None:
            price = self.tables.prices.price(number.e164)
            if isinstance(price, Unpriced):
                raise Rejected("no_price", "no price is set for this destination", field="to")
            each = price
        return Assessed(
            number.e164,
            number.country,
            routes,
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


def _measure(request: SendRequest, text: str, data: bytes, udh: bytes, wide: bool) -> Measured:
    if request.data is not None:
        try:
            return measure_binary(data, udh, wide)
        except TooManySegments as error:
            raise Rejected("too_many_segments", str(error), field="data") from error
        except TextError as error:
            field = "udh" if udh else "data"
            raise Rejected("data_not_sendable", str(error), field=field) from error
    encoding = None if request.encoding == "auto" else ENCODINGS[request.encoding]
    try:
        return measure(text, encoding, wide)
    except TooManySegments as error:
        raise Rejected("too_many_segments", str(error), field="text") from error
    except TextError as error:
        raise Rejected("text_not_encodable", str(error), field="text") from error


def _measure_order(order: Order, wide: bool) -> Measured:
    try:
        if not order.data:
            return measure(order.text, order.encoding, wide)
        if order.encoding is None or order.encoding is Encoding.BINARY:
            return measure_binary(order.data, order.udh, wide)
        return measure_segment(order.data, order.udh, order.encoding)
    except TextError as error:
        if order.data:
            raise Rejected("data_not_sendable", str(error), field="data") from error
        too_long = isinstance(error, TooManySegments)
        code = "too_many_segments" if too_long else "text_not_encodable"
        raise Rejected(code, str(error), field="text") from error


def _read_content(request: SendRequest, text_chars_max: int) -> tuple[str, bytes, bytes]:
    """Return text, data and user data header; exactly one of the first two is there."""
    if request.encoding != "auto" and request.encoding not in ENCODINGS:
        known = _one_of(["auto", *ENCODINGS])
        raise Rejected("encoding_unknown", f"encoding is {known}", field="encoding")
    if request.data is None:
        if request.text is None:
            raise Rejected("text_missing", "a message needs text or data", field="text")
        if request.udh is not None:
            raise Rejected("udh_without_data", "udh goes with data", field="udh")
        if request.encoding == Encoding.BINARY.wire:
            raise Rejected("encoding_unknown", "text is gsm7 or ucs2", field="encoding")
        _check_text(request.text, text_chars_max)
        return request.text, b"", b""
    if request.text is not None:
        raise Rejected("text_and_data", "a message has text or data, not both", field="data")
    if request.encoding not in ("auto", Encoding.BINARY.wire):
        raise Rejected("encoding_unknown", "data is binary", field="encoding")
    data = _read_hex(request.data, "data", DATA_OCTETS_MAX)
    if not data:
        raise Rejected("data_empty", "data has no octets", field="data")
    return "", data, _read_hex(request.udh or "", "udh", 140)


def _check_text(text: str, chars_max: int) -> None:
    if not text:
        raise Rejected("text_empty", "the text is empty", field="text")
    if len(text) > chars_max:
        raise Rejected("text_too_long", f"a text has at most {chars_max} characters", field="text")
    if "\0" in text:
        raise Rejected("text_not_encodable", "the text holds a NUL character", field="text")


def _read_hex(raw: str, field: str, octets_max: int) -> bytes:
    if len(raw) > octets_max * 2:
        raise Rejected(f"{field}_too_long", f"{field} has at most {octets_max} octets", field=field)
    try:
        return bytes.fromhex(raw)
    except ValueError:
        raise Rejected(f"{field}_not_hex", f"{field} is not hexadecimal", field=field) from None


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


def _one_of(words: Collection[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"
