"""What happened in a session, as values: all that its owner ever learns from it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final

from gateway.record import Record
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


class Bound(Record):
    """The carrier took our bind. `interface_version` is None when it does not tell."""

    __slots__ = ("interface_version", "system_id")

    def __init__(self, system_id: str, interface_version: int | None) -> None:
        self.system_id: Final = system_id
        self.interface_version: Final = interface_version


class BindRefused(Record):
    """The carrier refused our bind; SessionClosed follows."""

    __slots__ = ("status",)

    def __init__(self, status: int) -> None:
        self.status: Final = status


class Responded(Record):
    """A registered request was answered: submit_sm, data_sm or deliver_sm, or any by a nack."""

    __slots__ = ("context", "latency_s", "message_id", "status", "tlvs")

    def __init__(
        self,
        context: object,
        status: int,
        message_id: str,
        latency_s: float,
        tlvs: Mapping[int, bytes] = NO_TLVS,
    ) -> None:
        self.context: Final = context
        self.status: Final = status
        self.message_id: Final = message_id
        self.latency_s: Final = latency_s
        self.tlvs: Final = tlvs


class Answered(Record):
    """Any other registered request (query_sm, cancel_sm, …) was answered by its own response."""

    __slots__ = ("context", "latency_s", "pdu")

    def __init__(self, context: object, pdu: Pdu, latency_s: float) -> None:
        self.context: Final = context
        self.pdu: Final = pdu
        self.latency_s: Final = latency_s


class ResponseOverdue(Record):
    """A request of ours was not answered in time.

    To a carrier: it stays in flight until answered or SessionClosed; the session takes no more
    submissions, waits a little for late answers, and ends. To a customer: it is in flight no
    more, and a late answer counts as one to nothing; the session goes on.
    """

    __slots__ = ("context", "waited_s")

    def __init__(self, context: object, waited_s: float) -> None:
        self.context: Final = context
        self.waited_s: Final = waited_s


class Delivered(Record):
    """The carrier sent a message or a receipt, as deliver_sm or data_sm: answer `sequence`."""

    __slots__ = ("pdu", "sequence")

    def __init__(self, sequence: int, pdu: DeliverSm) -> None:
        self.sequence: Final = sequence
        self.pdu: Final = pdu


class AlertReceived(Record):
    """The carrier says that a handset is reachable again (alert_notification)."""

    __slots__ = ("pdu",)

    def __init__(self, pdu: Pdu) -> None:
        self.pdu: Final = pdu


class OutbindReceived(Record):
    """The carrier asks us to bind as a receiver (SMPP 3.4 §2.2.1)."""

    __slots__ = ("password", "system_id")

    def __init__(self, system_id: str, password: str) -> None:
        self.system_id: Final = system_id
        self.password: Final = password


class BindRequested(Record):
    """A customer wants to bind: accept or refuse `sequence`."""

    __slots__ = (
        "addr_npi",
        "addr_ton",
        "address_range",
        "command_id",
        "interface_version",
        "password",
        "sequence",
        "system_id",
        "system_type",
    )

    def __init__(
        self,
        sequence: int,
        command_id: int,
        system_id: str,
        password: str,
        system_type: str,
        interface_version: int,
        addr_ton: int,
        addr_npi: int,
        address_range: str,
    ) -> None:
        self.sequence: Final = sequence
        self.command_id: Final = command_id
        self.system_id: Final = system_id
        self.password: Final = password
        self.system_type: Final = system_type
        self.interface_version: Final = interface_version
        self.addr_ton: Final = addr_ton
        self.addr_npi: Final = addr_npi
        self.address_range: Final = address_range


class SubmitReceived(Record):
    """A customer submits a message, as submit_sm or data_sm: answer `sequence`."""

    __slots__ = ("pdu", "sequence")

    def __init__(self, sequence: int, pdu: SubmitSm) -> None:
        self.sequence: Final = sequence
        self.pdu: Final = pdu


class RequestReceived(Record):
    """A customer sent any other legal request (query_sm, submit_multi, …): answer its sequence."""

    __slots__ = ("pdu",)

    def __init__(self, pdu: Pdu) -> None:
        self.pdu: Final = pdu


class PeerUnbound(Record):
    """The peer said goodbye and has been answered; SessionClosed follows."""

    __slots__ = ()


class SessionClosed(Record):
    """The session is over: write what is left of its output, then close the connection.

    It comes exactly once. `in_flight` are the contexts of all requests without an answer, in the
    order in which they were sent; nobody knows whether the peer took them.
    """

    __slots__ = ("detail", "in_flight", "reason")

    def __init__(self, reason: Reason, in_flight: tuple[object, ...], detail: str = "") -> None:
        self.reason: Final = reason
        self.in_flight: Final = in_flight
        self.detail: Final = detail


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
