"""What is written after acceptance: events, and the money and notices that go with them.

Values only. `dispatch` and `receipts` decide them, `store/outcome_writer.py` commits them.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, MessageId


class Event(msgspec.Struct, frozen=True, gc=False):
    """One row of `events`."""

    message_id: MessageId
    account_id: AccountId
    at: float
    """Wall-clock seconds."""
    kind: EventKind
    segment: int
    """1 … segments."""
    segment_status: Status
    status: Status
    """The message's status after this event."""
    closes: bool
    """Nothing of the message will be sent after this."""
    carrier_id: CarrierId | None = None
    carrier_message_id: str | None = None
    code: int | None = None
    error: str | None = None
    posted_micros: int = 0
    voided_micros: int = 0
    cost_micros: int | None = None
    """What the carrier charges for what it took; None: nobody knows."""


class Party(msgspec.Struct, frozen=True, gc=False):
    """What a notice to the customer says of a message besides its state."""

    sender: str
    recipient: str
    client_ref: str
    tag: str
    callback_url: str
    segments: int
    registered_delivery: int = 0
    group_id: MessageId | None = None
    tlvs: bytes = b""
    """The customer's own, as on the wire."""


class ParkedReceipt(msgspec.Struct, frozen=True, gc=False):
    """A receipt whose submission is not known (yet)."""

    carrier_id: CarrierId
    carrier_message_id: str
    """Normalised by the carrier's rule as it was then."""
    received_at: float
    segment_status: Status
    code: int | None
    error: str
    raw_id: str = ""
    """As the carrier wrote it, for a rule that is corrected later."""
    recipient: str = ""
    """As the carrier writes it: what tells which submission it may be about."""
    tlvs: bytes = b""
    """Those that go up to the customer, as on the wire."""


class InboundMessage(msgspec.Struct, frozen=True, gc=False):
    """A mobile-originated message, whole or as much of it as came."""

    id: MessageId
    """Made when it was handed over."""
    carrier_id: CarrierId
    received_at: float
    """When its first part came; wall clock."""
    sender: str
    recipient: str
    data_coding: int
    """The first part's, as `esm_class`."""
    esm_class: int
    content: bytes
    """All octets in the parts' order, without headers."""
    body: str
    encoding: str = ""
    exact: bool = True
    """Whether `body` says all that `content` does."""
    udh: bytes = b""
    """The header without what numbers parts."""
    segments: int = 1
    missing: tuple[int, ...] = ()
    """The numbers of the parts that did not come in time."""
    account_id: AccountId = AccountId(0)
    """Whose number it came to; 0 for nobody's."""
    tlvs: bytes = b""
    """Those that pass, as on the wire: of parts that name the same one the first."""


class Notice(msgspec.Struct, frozen=True, gc=False):
    """One outbox row: an event that a customer's endpoint is to hear of."""

    account_id: AccountId
    message_id: MessageId
    url: str
    """The message's own callback_url; empty for the account's."""
    body: str
    created_at: float


class Move(msgspec.Struct, frozen=True, gc=False):
    """A message that another carrier has from now on, and with it maybe another node."""

    account_id: AccountId
    message_id: MessageId
    routes: tuple[CarrierId, ...]
    """Its route as it is now: whoever has the first one has the message."""


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One deliver_sm that waits for its account's receivers until one of them has answered it."""

    id: int
    """Grows in the order in which an account's deliveries go up."""
    account_id: AccountId
    message_id: MessageId
    """What it tells of."""
    body: bytes
    """The PDU's, ready to be sent."""
    created_at: float


Acknowledge = Callable[[bool], None]
"""Called once with True after the commit, or with False when it will not be committed."""
