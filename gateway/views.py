"""What readers are shown: messages, pages, balances, quotes. Values only.

Ids are strings, times RFC 3339 in UTC, money decimal strings: every wire gets the same words.
"""

from __future__ import annotations

import msgspec

from gateway.model import AccountId, MessageId

EMAIL_EVENTS = ("email_sent", "email_failed")
"""Events of a message's fallback, beside those of `EventKind`."""


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    at: str
    kind: str
    """submitted, refused, retry, receipt, expired, canceled, unroutable, held, no_receipt, leaving,
    refund, email_sent or email_failed."""
    segment: int
    """1 … segments; 0 for what concerns the whole message."""
    status: str
    """The message's status after this event."""
    carrier: str = ""
    carrier_message_id: str = ""
    command_status: str = ""
    """The SMPP command_status by name, where a response brought the event."""
    receipt_state: str = ""
    error: str = ""
    """The receipt's `err` or network error, or the reason in a word."""
    posted: str = ""
    voided: str = ""
    refunded: str = ""
    """What of the message's price it moved; empty for nothing."""


class SegmentView(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    status: str
    carrier: str = ""
    carrier_message_id: str = ""
    submitted_at: str = ""
    receipt_at: str = ""
    error: str = ""


class FallbackView(msgspec.Struct, frozen=True, kw_only=True):
    """The email that a message falls back to."""

    to: str
    on: list[str]
    state: str
    """waiting, sent, failed or not_needed."""
    due_at: str = ""
    reason: str = ""
    attempts: int = 0
    """Tries that failed."""
    settled_at: str = ""
    reply: str = ""


class MessageSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A message as lists show it."""

    id: str
    status: str
    to: str
    sender: str = msgspec.field(name="from")
    text: str | None
    text_erased: bool = False
    """Whether the text, which is null then, was erased: docs/privacy.md."""
    data: str = ""
    udh: str = ""
    encoding: str
    segments: int
    priority: str
    price: str
    currency: str
    country: str
    carrier: str
    client_ref: str
    tag: str
    accepted_at: str
    send_at: str = ""
    expires_at: str


class MessageView(MessageSummary, frozen=True, kw_only=True):
    """A single message, with all that happened to it."""

    parts: list[SegmentView]
    """One a segment."""
    events: list[EventView]
    """In order."""
    fallback: FallbackView | None = None
    tlvs: dict[str, str] = {}
    """In hex by tag."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """Filters that all hold together; empty ones hold always."""

    status: str = ""
    to: str = ""
    client_ref: str = ""
    tag: str = ""
    accepted_from: float | None = None
    accepted_until: float | None = None
    before: MessageId | None = None
    """The cursor: only messages older than this one (newest come first)."""
    limit: int = 50


class Page(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[MessageSummary]
    next_cursor: str = ""
    """Empty on the last page."""


class InboundView(msgspec.Struct, frozen=True, kw_only=True):
    """A message from a phone to one of the account's numbers."""

    id: str
    sender: str = msgspec.field(name="from")
    to: str
    text: str | None
    text_erased: bool = False
    data: str = ""
    """All octets in hex, where the text does not say them."""
    udh: str = ""
    encoding: str
    segments: int
    partial: bool = False
    missing: list[int] = []
    """The numbers of the segments that did not come in time."""
    carrier: str
    received_at: str
    """When its first segment came."""


class InboundSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Filters that all hold together; empty ones hold always."""

    to: str = ""
    sender: str = ""
    received_from: float | None = None
    received_until: float | None = None
    """Both are of the moment in which a message was whole."""
    before: MessageId | None = None
    """The cursor: only messages older than this one (newest come first)."""
    limit: int = 50


class InboundPage(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[InboundView]
    next_cursor: str = ""
    """Empty on the last page."""


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    account: str
    currency: str
    available: str
    """What is neither spent nor reserved; below zero it is owed."""
    spendable: str
    """What can still be spent: down to the floor, or up to the limit."""
    reserved: str
    posted: str
    """What carriers took."""
    refunded: str
    """What of it was given back."""
    deposited: str
    floor: str


class StatementLine(msgspec.Struct, frozen=True, kw_only=True):
    """What was used on one day, in one country, with one operator, or with one tag."""

    key: str
    """The day, the country, the operator's MCC and MNC, or the tag; "" where there is none."""
    messages: int
    segments: int
    price: str
    """What they were accepted at."""
    voided: str
    """What of it was not sent."""
    refunded: str
    """What of it was sent and given back."""
    net: str
    """What it comes to: spent, or still reserved."""


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An account's use by the days on which messages were accepted (UTC)."""

    account: str
    currency: str
    first: str = msgspec.field(name="from")
    """The first day."""
    last: str = msgspec.field(name="to")
    """The last day."""
    by: str
    lines: list[StatementLine]
    complete: bool
    """False when there are more lines than are shown, and in `total`."""
    total: StatementLine
    deposited: str
    """Top-ups of these days."""
    withdrawn: str
    """Corrections of these days that took credit back."""


class DepositMade(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has after a top-up or a correction."""

    account: str
    available: str
    currency: str
    replayed: bool
    """True when an earlier call with the same key already did this: nothing was added."""


class DepositView(msgspec.Struct, frozen=True, kw_only=True):
    """A top-up, or with a negative amount a correction."""

    at: str
    amount: str
    currency: str
    reason: str
    author: str
    key: str
    """What it can be repeated by without doing it twice; "" for none."""


class DepositList(msgspec.Struct, frozen=True, kw_only=True):
    """An account's deposits, newest first."""

    deposits: list[DepositView]


class QuoteItem(msgspec.Struct, frozen=True, kw_only=True):
    to: str
    country: str = ""
    segments: int = 0
    encoding: str = ""
    price: str = ""
    code: str = ""
    """Why it can't be sent, in a word; empty when it can."""
    detail: str = ""


class QuoteCountry(msgspec.Struct, frozen=True, kw_only=True):
    """What would go to one country."""

    country: str
    numbers: int
    segments: int
    price: str


class QuoteReason(msgspec.Struct, frozen=True, kw_only=True):
    """How many numbers can't be sent to for one reason."""

    code: str
    numbers: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    items: list[QuoteItem]
    sendable: int
    ineligible: int
    segments: int
    """Of what can be sent, as the price."""
    price: str
    currency: str
    countries: list[QuoteCountry]
    reasons: list[QuoteReason]
    """Why the others can't be sent to, the most frequent first."""
    spendable: str
    """What the account could spend now."""
    covered: bool
    """Whether that is enough."""


class CarrierView(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    binds: int
    bound: int
    window_size: int
    in_flight: int
    waiting: int
    rate_per_s: float
    """Segments a second at present; 0: no limit."""
    held_back_by: list[str] = []
    """What keeps messages waiting at this moment: rate, throttled, bind_rate, window, unbound,
    store; account and destination, which hold some of them."""
    state: str
    """up, degraded (some binds are down), down, or elsewhere: another node has it and says how it
    is."""
    health: str = "closed"
    """Its breaker: closed (it is trusted), open (avoided where there is another), half_open."""
    health_reason: str = ""
    """failed, slow, silent or undelivered, while it is avoided."""
    drained: str = ""
    """Why it gets no new messages; empty: it does."""


class OutboxEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event that waits for a customer's endpoint."""

    id: int
    account_id: AccountId
    url: str
    secret: str
    old_secret: str = ""
    """The one before, as long as both sign."""
    single: bool
    """True for a message's own callback_url: one call an event, never batched."""
    body: bytes
    """The event as JSON."""
    created_at: float
    attempts: int


class DeadEventView(msgspec.Struct, frozen=True, kw_only=True):
    """An event that no endpoint took and that is not tried any more."""

    id: str
    message_id: str
    url: str
    """The message's own callback_url; empty for the account's endpoint."""
    happened_at: str
    attempts: int
    error: str
    """Why the last call failed."""
    event: str
    """Its body, as the endpoint would have got it."""


class DeadSearch(msgspec.Struct, frozen=True, kw_only=True):
    """Filters that hold together; empty ones hold always."""

    happened_from: float | None = None
    happened_until: float | None = None
    before: int | None = None
    """The cursor: only events older than this one (newest come first)."""
    limit: int = 50


class DeadPage(msgspec.Struct, frozen=True, kw_only=True):
    events: list[DeadEventView]
    next_cursor: str = ""
    """Empty on the last page."""


class ReplayedView(msgspec.Struct, frozen=True, kw_only=True):
    """Events that are delivered again."""

    replayed: int
    more: bool
    """Whether there are others that were asked for: ask again."""
