"""From what a client asks for to a message that can be stored, or the reason why not.

Everything that can be wrong with a request is found here, before it costs anything: who sends to
whom through whom and at which price by `ways.py`, the text and its size by `content.py`, the rest
by `particulars.py`. Credit is not looked at here: only the transaction that reserves it knows
(`store/intake_writer.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial

import msgspec

from gateway.assessed import Assessed, Way
from gateway.config import Messages
from gateway.content import (
    Content,
    fits,
    measure_content,
    measure_order,
    read_content,
    read_order,
)
from gateway.credit.volumes import NO_VOLUMES, Volumes
from gateway.errors import Rejected
from gateway.ids import IdGenerator
from gateway.message import Message, Order
from gateway.model import Account, AccountId, CarrierId, Lane, Micros, SendRequest
from gateway.particulars import (
    CLIENT_REF_CHARS_MAX,
    TAG_CHARS_MAX,
    check_times,
    read_label,
    read_lane,
    read_times,
    read_tlvs,
    read_url,
)
from gateway.record import replace
from gateway.routing.operators import OperatorBook
from gateway.routing.sender import Sender
from gateway.tables import Tables as Tables
from gateway.text.coding import class_coding
from gateway.text.style import PLAIN, TextStyle
from gateway.throttle.recipients import PerRecipient, Recipients
from gateway.ways import Measure, Unreachable, Ways, read_sender

OnIneligible = Callable[[AccountId, str, str], None]
"""Takes an account, the code of a reason, and the country of the number, "" if it has none."""


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
        operators: OperatorBook | None = None,
        on_ineligible: OnIneligible = lambda account_id, code, country: None,
        on_forgotten: Callable[[int], None] = lambda count: None,
        queue_wait_s: Callable[[Message], float] = lambda message: 0.0,
    ) -> None:
        """`on_forgotten` as in `Recipients`; `queue_wait_s` says in how many seconds a message's
        queue has room for it."""
        self._queue_wait_s = queue_wait_s
        self.settings = settings
        self.recipients = Recipients(_per_recipient(settings), on_forgotten)
        self.ways = Ways(settings, tables, operators=operators, volumes=volumes)
        self._ids = ids
        self._text_chars_max = text_chars_max
        self._on_ineligible = on_ineligible

    @property
    def tables(self) -> Tables:
        return self.ways.tables

    @tables.setter
    def tables(self, tables: Tables) -> None:
        self.ways.tables = tables

    def use(self, settings: Messages, tables: Tables) -> None:
        """Decide by other settings and tables from now on."""
        # What was counted for a carrier that is no more may have to be counted for another one.
        styles = {**self.tables.styles, **tables.styles}
        self.tables = replace(tables, styles=styles)
        self.settings = settings
        self.ways.use(settings)
        self.recipients.use(_per_recipient(settings))

    def decide(self, account: Account, request: SendRequest, now: float) -> Message | Rejected:
        """Return the message that the request becomes, with an id and a price, or why not."""
        try:
            return self._fence(self._decide(account, request, now), now)
        except Rejected as rejected:
            self._note(account, rejected)
            return rejected

    def decide_order(self, account: Account, order: Order, now: float) -> Message | Rejected:
        """Return the message that an order becomes, with an id and a price, or why not."""
        try:
            return self._fence(self._decide_order(account, order, now), now)
        except Rejected as rejected:
            self._note(account, rejected)
            return rejected

    def decide_replacement(self, account: Account, order: Order, now: float) -> Message | Rejected:
        """As `decide_order`, for what stands in the place of a message that was let through."""
        try:
            return self._decide_order(account, order, now)
        except Rejected as rejected:
            self._note(account, rejected)
            return rejected

    def take_back(self, message: Message) -> None:
        """Note that a message that was decided was not stored."""
        if self.recipients.active:
            self.recipients.take_back(message.account_id, message.recipient, message.accepted_at)

    def assess(self, account: Account, request: SendRequest, now: float) -> Assessed | Rejected:
        """Return what the request would take, without making a message of it."""
        try:
            lane = read_lane(request.priority)
            content = read_content(request, self._text_chars_max)
            sender = read_sender(request.sender, account.default_sender)
            send_at, _ = read_times(self.settings, request, now)
            tag = read_label(request.tag, "tag", TAG_CHARS_MAX)
            return self._assess(
                *(account, request.to, sender, content, lane, tag, send_at, now),
                partial(measure_content, request, content),
            )
        except Rejected as rejected:
            return rejected

    def reroute(self, message: Message) -> tuple[CarrierId, ...]:
        """Return the carriers that a message could have by the routes as they are now.

        For one whose own carriers are all gone. It was counted and paid for, so they must do with
        as many segments.
        """
        first = self.tables.styles.get(message.routes[0])
        found = self.ways.reroute(message)
        return tuple([c for c in found if fits(message, self._style(c), first)])

    def _fence(self, message: Message, now: float) -> Message:
        """Refuse what is too much for its carrier or its number, once nothing else is wrong."""
        wait_s = self._queue_wait_s(message)
        if wait_s:
            raise Rejected(
                "queue_full",
                "as many messages wait for this number's carrier as may",
                status=503,
                retry_after_s=wait_s,
            )
        if self.recipients.active:
            wait_s = self.recipients.admit(message.account_id, message.recipient, now)
            if wait_s:
                raise Rejected(
                    "recipient_rate_exceeded",
                    "this number has got as many messages of the account as it may for now",
                    field="to",
                    status=429,
                    retry_after_s=wait_s,
                )
        return message

    def _note(self, account: Account, rejected: Rejected) -> None:
        if isinstance(rejected, Unreachable):
            self._on_ineligible(account.id, rejected.code, rejected.country)

    def _decide(self, account: Account, request: SendRequest, now: float) -> Message:
        lane = read_lane(request.priority)
        content = read_content(request, self._text_chars_max)
        sender = read_sender(request.sender, account.default_sender)
        send_at, expires_at = read_times(self.settings, request, now)
        client_ref = read_label(request.client_ref, "client_ref", CLIENT_REF_CHARS_MAX)
        tag = read_label(request.tag, "tag", TAG_CHARS_MAX)
        callback_url = read_url(request.callback_url)
        tlvs = read_tlvs(request.tlvs)
        assessed = self._assess(
            *(account, request.to, sender, content, lane, tag, send_at, now),
            partial(measure_content, request, content),
        )
        way, encoding = assessed.way, assessed.measured.encoding
        message_class = request.message_class
        message = Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender=way.sender,
            recipient=way.number.e164,
            country=way.number.country,
            operator=way.operator,
            text=assessed.content.text,
            data=content.data,
            udh=content.udh,
            encoding=encoding,
            segments=assessed.measured.segments,
            lane=lane,
            price_micros=assessed.price_micros,
            routes=way.carriers,
            client_ref=client_ref,
            tag=tag,
            callback_url=callback_url,
            send_at=send_at,
            expires_at=expires_at,
            data_coding=None if message_class is None else class_coding(encoding, message_class),
            tlvs=tlvs,
        )
        return self._finish(message, way)

    def _decide_order(self, account: Account, order: Order, now: float) -> Message:
        sender = read_sender(order.sender or None, account.default_sender)
        send_at, expires_at = check_times(self.settings, order, now)
        content = read_order(order, self._text_chars_max)
        assessed = self._assess(
            *(account, order.to, sender, content, order.lane, "", send_at, now),
            partial(measure_order, order, content),
        )
        way = assessed.way
        message = Message(
            id=self._ids.next(now),
            account_id=account.id,
            accepted_at=now,
            sender=way.sender,
            recipient=way.number.e164,
            country=way.number.country,
            operator=way.operator,
            text=assessed.content.text,
            data=order.data,
            udh=order.udh,
            encoding=assessed.measured.encoding,
            segments=assessed.measured.segments,
            lane=order.lane,
            price_micros=assessed.price_micros,
            routes=way.carriers,
            send_at=send_at,
            expires_at=expires_at,
            data_coding=order.data_coding,
            registered_delivery=order.registered_delivery,
            group_id=order.group_id,
            tlvs=order.tlvs,
        )
        return self._finish(message, way)

    def _assess(
        self,
        account: Account,
        to: str,
        sender: Sender | None,
        content: Content,
        lane: Lane,
        tag: str,
        send_at: float | None,
        now: float,
        measure: Measure,
    ) -> Assessed:
        """Return the way of a content and its size, counted for the first carrier of the way."""
        leaves_at = now if send_at is None else send_at
        way = self.ways.find(account, to, sender, content, lane, tag, leaves_at, now, measure)
        content, measured = measure(self._style(way.carriers[0]))
        if measured.segments > account.segments_max:
            raise Rejected(
                "too_many_segments",
                f"{measured.segments} segments, and this account may send {account.segments_max}"
                " in one message",
                field=content.field,
            )
        return Assessed(way, content, measured, Micros(way.price_micros * measured.segments))

    def _style(self, carrier_id: CarrierId) -> TextStyle:
        return self.tables.styles.get(carrier_id, PLAIN)

    def _finish(self, message: Message, way: Way) -> Message:
        """Return the message without the carriers that would need more segments than are paid for.

        It was measured for the first one of its route, and that is what its client is told.
        """
        if way.route.rota is not None:
            way.route.rota.advance()
        if len(message.routes) == 1 or not self.tables.styles:
            return message
        first = self._style(message.routes[0])
        fit = tuple([c for c in message.routes if fits(message, self._style(c), first)])
        return message if fit == message.routes else replace(message, routes=fit)


def hash_request(request: SendRequest) -> bytes:
    """Return what tells whether two requests with one key ask for the same."""
    return hashlib.blake2b(msgspec.json.encode(request), digest_size=16).digest()


def _per_recipient(settings: Messages) -> PerRecipient:
    return PerRecipient(settings.recipient_per_minute, settings.recipient_per_hour)
