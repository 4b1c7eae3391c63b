"""What is written after acceptance: events, and the money and notices that go with them.

Values only. `dispatch` and `receipts` decide them, `store/outcome_writer.py` commits them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, MessageId
from gateway.record import Record


class Event(Record):
    """One row of `events`."""

    __slots__ = (
        "account_id",
        "at",
        "carrier_id",
        "carrier_message_id",
        "closes",
        "code",
        "cost_micros",
        "error",
        "kind",
        "message_id",
        "posted_micros",
        "segment",
        "segment_status",
        "status",
        "voided_micros",
    )

    def __init__(
        self,
        message_id: MessageId,
        account_id: AccountId,
        at: float,
        kind: EventKind,
        segment: int,
        segment_status: Status,
        status: Status,
        closes: bool,
        carrier_id: CarrierId | None = None,
        carrier_message_id: str | None = None,
        code: int | None = None,
        error: str | None = None,
        posted_micros: int = 0,
        voided_micros: int = 0,
        cost_micros: int | None = None,
    ) -> None:
        self.message_id: Final = message_id
        self.account_id: Final = account_id
        self.at: Final = at
        """Wall-clock seconds."""
        self.kind: Final = kind
        self.segment: Final = segment
        """1 … segments."""
        self.segment_status: Final = segment_status
        self.status: Final = status
        """The message's status after this event."""
        self.closes: Final = closes
        """Nothing of the message will be sent after this."""
        self.carrier_id: Final = carrier_id
        self.carrier_message_id: Final = carrier_message_id
        self.code: Final = code
        self.error: Final = error
        self.posted_micros: Final = posted_micros
        self.voided_micros: Final = voided_micros
        self.cost_micros: Final = cost_micros
        """What the carrier charges for what it took; None: nobody knows."""


class Party(Record):
    """What a notice to the customer says of a message besides its state."""

    __slots__ = (
        "callback_url",
        "client_ref",
        "group_id",
        "recipient",
        "registered_delivery",
        "segments",
        "sender",
        "tag",
        "tlvs",
    )

    def __init__(
        self,
        sender: str,
        recipient: str,
        client_ref: str,
        tag: str,
        callback_url: str,
        segments: int,
        registered_delivery: int = 0,
        group_id: MessageId | None = None,
        tlvs: bytes = b"",
    ) -> None:
        self.sender: Final = sender
        self.recipient: Final = recipient
        self.client_ref: Final = client_ref
        self.tag: Final = tag
        self.callback_url: Final = callback_url
        self.segments: Final = segments
        self.registered_delivery: Final = registered_delivery
        self.group_id: Final = group_id
        self.tlvs: Final = tlvs
        """The customer's own, as on the wire."""


class ParkedReceipt(Record):
    """A receipt whose submission is not known (yet)."""

    __slots__ = (
        "carrier_id",
        "carrier_message_id",
        "code",
        "error",
        "raw_id",
        "received_at",
        "recipient",
        "segment_status",
        "tlvs",
    )

    def __init__(
        self,
        carrier_id: CarrierId,
        carrier_message_id: str,
        received_at: float,
        segment_status: Status,
        code: int | None,
        error: str,
        raw_id: str = "",
        recipient: str = "",
        tlvs: bytes = b"",
    ) -> None:
        self.carrier_id: Final = carrier_id
        self.carrier_message_id: Final = carrier_message_id
        """Normalised by the carrier's rule as it was then."""
        self.received_at: Final = received_at
        self.segment_status: Final = segment_status
        self.code: Final = code
        self.error: Final = error
        self.raw_id: Final = raw_id
        """As the carrier wrote it, for a rule that is corrected later."""
        self.recipient: Final = recipient
        """As the carrier writes it: what tells which submission it may be about."""
        self.tlvs: Final = tlvs
        """Those that go up to the customer, as on the wire."""


class InboundMessage(Record):
    """A mobile-originated message, whole or as much of it as came."""

    __slots__ = (
        "account_id",
        "body",
        "carrier_id",
        "content",
        "data_coding",
        "encoding",
        "esm_class",
        "exact",
        "id",
        "missing",
        "received_at",
        "recipient",
        "segments",
        "sender",
        "tlvs",
        "udh",
    )

    def __init__(
        self,
        id: MessageId,
        carrier_id: CarrierId,
        received_at: float,
        sender: str,
        recipient: str,
        data_coding: int,
        esm_class: int,
        content: bytes,
        body: str,
        encoding: str = "",
        exact: bool = True,
        udh: bytes = b"",
        segments: int = 1,
        missing: tuple[int, ...] = (),
        account_id: AccountId = AccountId(0),
        tlvs: bytes = b"",
    ) -> None:
        self.id: Final = id
        """Made when it was handed over."""
        self.carrier_id: Final = carrier_id
        self.received_at: Final = received_at
        """When its first part came; wall clock."""
        self.sender: Final = sender
        self.recipient: Final = recipient
        self.data_coding: Final = data_coding
        """The first part's, as `esm_class`."""
        self.esm_class: Final = esm_class
        self.content: Final = content
        """All octets in the parts' order, without headers."""
        self.body: Final = body
        self.encoding: Final = encoding
        self.exact: Final = exact
        """Whether `body` says all that `content` does."""
        self.udh: Final = udh
        """The header without what numbers parts."""
        self.segments: Final = segments
        self.missing: Final = missing
        """The numbers of the parts that did not come in time."""
        self.account_id: Final = account_id
        """Whose number it came to; 0 for nobody's."""
        self.tlvs: Final = tlvs
        """Those that pass, as on the wire: of parts that name the same one the first."""


class Notice(Record):
    """One outbox row: an event that a customer's endpoint is to hear of."""

    __slots__ = ("account_id", "body", "created_at", "message_id", "url")

    def __init__(
        self, account_id: AccountId, message_id: MessageId, url: str, body: str, created_at: float
    ) -> None:
        self.account_id: Final = account_id
        self.message_id: Final = message_id
        self.url: Final = url
        """The message's own callback_url; empty for the account's."""
        self.body: Final = body
        self.created_at: Final = created_at


class Move(Record):
    """A message that another carrier has from now on, and with it maybe another node."""

    __slots__ = ("account_id", "message_id", "routes")

    def __init__(
        self, account_id: AccountId, message_id: MessageId, routes: tuple[CarrierId, ...]
    ) -> None:
        self.account_id: Final = account_id
        self.message_id: Final = message_id
        self.routes: Final = routes
        """Its route as it is now: whoever has the first one has the message."""


class Delivery(Record):
    """One deliver_sm that waits for its account's receivers until one of them has answered it."""

    __slots__ = ("account_id", "body", "created_at", "id", "message_id")

    def __init__(
        self, id: int, account_id: AccountId, message_id: MessageId, body: bytes, created_at: float
    ) -> None:
        self.id: Final = id
        """Grows in the order in which an account's deliveries go up."""
        self.account_id: Final = account_id
        self.message_id: Final = message_id
        """What it tells of."""
        self.body: Final = body
        """The PDU's, ready to be sent."""
        self.created_at: Final = created_at


Acknowledge = Callable[[bool], None]
"""Called once with True after the commit, or with False when it will not be committed."""
