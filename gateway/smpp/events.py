"""What happened in a session, as values: all that its owner ever learns from it."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import msgspec

from gateway.smpp.shapes import NO_TLVS, DeliverSm, Pdu, SubmitSm


class Reason(enum.StrEnum):
    """Why a session ended."""

    UNBOUND = "unbound"
    """We asked for it."""
    PEER_UNBOUND = "peer_unbound"
    CONNECTION_LOST = "connection_lost"
    BIND_REFUSED = "bind_refused"
    GARBAGE = "garbage"
    """The stream could not be cut into PDUs any more."""
    SESSION_INIT_EXPIRED = "session_init_expired"
    """Nobody bound, or nobody answered the bind, in time."""
    RESPONSE_OVERDUE = "response_overdue"
    PEER_SILENT = "peer_silent"
    """An enquire_link was not answered, and nothing else was heard either."""
    INACTIVE = "inactive"
    UNBIND_UNANSWERED = "unbind_unanswered"
    ABANDONED = "abandoned"
    """The owner let go of it: a deadline of its own, or output that nobody reads."""


class Bound(msgspec.Struct, frozen=True):
    """The carrier took our bind. `interface_version` is None when it does not tell."""

    system_id: str
    interface_version: int | None


class BindRefused(msgspec.Struct, frozen=True):
    """The carrier refused our bind; SessionClosed follows."""

    status: int


class Responded(msgspec.Struct, frozen=True, gc=False):
    """A registered request was answered: submit_sm, data_sm or deliver_sm, or any by a nack."""

    context: object
    status: int
    message_id: str
    latency_s: float
    tlvs: Mapping[int, bytes] = NO_TLVS


class Answered(msgspec.Struct, frozen=True):
    """Any other registered request (query_sm, cancel_sm, …) was answered by its own response."""

    context: object
    pdu: Pdu
    latency_s: float


class ResponseOverdue(msgspec.Struct, frozen=True):
    """A request of ours was not answered in time.

    To a carrier: it stays in flight until answered or SessionClosed; the session takes no more
    submissions, waits a little for late answers, and ends. To a customer: it is in flight no
    more, and a late answer counts as one to nothing; the session goes on.
    """

    context: object
    waited_s: float


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """The carrier sent a message or a receipt, as deliver_sm or data_sm: answer `sequence`."""

    sequence: int
    pdu: DeliverSm


class AlertReceived(msgspec.Struct, frozen=True):
    """The carrier says that a handset is reachable again (alert_notification)."""

    pdu: Pdu


class OutbindReceived(msgspec.Struct, frozen=True):
    """The carrier asks us to bind as a receiver (SMPP 3.4 §2.2.1)."""

    system_id: str
    password: str


class BindRequested(msgspec.Struct, frozen=True):
    """A customer wants to bind: accept or refuse `sequence`."""

    sequence: int
    command_id: int
    system_id: str
    password: str
    system_type: str
    interface_version: int
    addr_ton: int
    addr_npi: int
    address_range: str


class SubmitReceived(msgspec.Struct, frozen=True, gc=False):
    """A customer submits a message, as submit_sm or data_sm: answer `sequence`."""

    sequence: int
    pdu: SubmitSm


class RequestReceived(msgspec.Struct, frozen=True):
    """A customer sent any other legal request (query_sm, submit_multi, …): answer its sequence."""

    pdu: Pdu


class PeerUnbound(msgspec.Struct, frozen=True):
    """The peer said goodbye and has been answered; SessionClosed follows."""


class SessionClosed(msgspec.Struct, frozen=True):
    """The session is over: write what is left of its output, then close the connection.

    It comes exactly once. `in_flight` are the contexts of all requests without an answer, in the
    order in which they were sent; nobody knows whether the peer took them.
    """

    reason: Reason
    in_flight: tuple[object, ...]
    detail: str = ""


Event = (
    Responded
    | Delivered
    | SubmitReceived
    | Bound
    | BindRefused
    | BindRequested
    | Answered
    | RequestReceived
    | ResponseOverdue
    | AlertReceived
    | OutbindReceived
    | PeerUnbound
    | SessionClosed
)
