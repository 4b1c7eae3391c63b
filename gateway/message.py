"""One message to one number: as it is ordered, as it was committed, and what its client is told.

No behaviour, no I/O. Not here: the request as a client writes it (`model.py`), what becomes of a
message later (`lifecycle.py`, `outcomes.py`).
"""

from __future__ import annotations

from typing import Final

from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId, Micros
from gateway.record import Record


class Message(Record):
    """One accepted message, exactly as it was committed.

    Times are seconds since the epoch, UTC. `text` is "" for binary content; `data` and `udh` are
    empty for text. `data` whose encoding is not BINARY is one segment that its client encoded and
    numbered itself: it goes out as it came. `price_micros` is for the whole message: `segments` x
    the price of one. `routes` are the ids of carriers in the order in which they are tried.
    """

    __slots__ = (
        "accepted_at",
        "account_id",
        "callback_url",
        "client_ref",
        "country",
        "data",
        "data_coding",
        "encoding",
        "expires_at",
        "group_id",
        "id",
        "lane",
        "operator",
        "price_micros",
        "recipient",
        "registered_delivery",
        "routes",
        "segments",
        "send_at",
        "sender",
        "tag",
        "text",
        "tlvs",
        "udh",
    )

    def __init__(
        self,
        *,
        id: MessageId,
        account_id: AccountId,
        accepted_at: float,
        sender: str,
        recipient: str,
        country: str,
        text: str,
        encoding: Encoding,
        segments: int,
        lane: Lane,
        price_micros: Micros,
        routes: tuple[CarrierId, ...],
        expires_at: float,
        operator: str = "",
        data: bytes = b"",
        udh: bytes = b"",
        client_ref: str = "",
        tag: str = "",
        callback_url: str = "",
        send_at: float | None = None,
        data_coding: int | None = None,
        registered_delivery: int = 0,
        group_id: MessageId | None = None,
        tlvs: bytes = b"",
    ) -> None:
        self.id: Final = id
        self.account_id: Final = account_id
        self.accepted_at: Final = accepted_at
        self.sender: Final = sender
        self.recipient: Final = recipient
        """E.164 digits without the plus sign."""
        self.country: Final = country
        """ISO 3166 alpha-2 of the recipient's number, "" when it has none (satellite, shared)."""
        self.operator: Final = operator
        """MCC and MNC of the recipient's operator, as known at acceptance; "" when nobody knows."""
        self.text: Final = text
        self.data: Final = data
        self.udh: Final = udh
        self.encoding: Final = encoding
        self.segments: Final = segments
        self.lane: Final = lane
        self.price_micros: Final = price_micros
        self.routes: Final = routes
        self.client_ref: Final = client_ref
        self.tag: Final = tag
        self.callback_url: Final = callback_url
        self.send_at: Final = send_at
        self.expires_at: Final = expires_at
        self.data_coding: Final = data_coding
        """What the client wants said besides the encoding, such as a message class, as a
        data_coding; each carrier is told it in its own form. None: only the encoding."""
        self.registered_delivery: Final = registered_delivery
        """The receipts that an SMPP customer asked for; 0: none."""
        self.group_id: Final = group_id
        """The id that the customer was given for all of a submit_multi; None: this one's own."""
        self.tlvs: Final = tlvs
        """What the customer wants passed on with each segment, as on the wire
        (`smpp/passing.py`)."""


class Order(Record):
    """One message to one number, read off a wire that has its own forms of everything (SMPP).

    As `Message`: a text, or `data` that is binary content or one whole segment.
    """

    __slots__ = (
        "data",
        "data_coding",
        "encoding",
        "expires_at",
        "group_id",
        "lane",
        "registered_delivery",
        "send_at",
        "sender",
        "text",
        "tlvs",
        "to",
        "udh",
    )

    def __init__(
        self,
        *,
        to: str,
        sender: str = "",
        text: str = "",
        data: bytes = b"",
        udh: bytes = b"",
        encoding: Encoding | None = None,
        data_coding: int | None = None,
        lane: Lane = Lane.TRANSACTIONAL,
        send_at: float | None = None,
        expires_at: float | None = None,
        registered_delivery: int = 0,
        group_id: MessageId | None = None,
        tlvs: bytes = b"",
    ) -> None:
        self.to: Final = to
        self.sender: Final = sender
        """Empty: the account's own."""
        self.text: Final = text
        self.data: Final = data
        self.udh: Final = udh
        self.encoding: Final = encoding
        """None for a text: whatever carries it in the fewest segments."""
        self.data_coding: Final = data_coding
        self.lane: Final = lane
        self.send_at: Final = send_at
        self.expires_at: Final = expires_at
        """None: the usual validity; one that is longer than allowed is cut to that."""
        self.registered_delivery: Final = registered_delivery
        self.group_id: Final = group_id
        self.tlvs: Final = tlvs


class Accepted(Record):
    """What a client is told once its message is committed."""

    __slots__ = (
        "client_ref",
        "currency",
        "encoding",
        "id",
        "price_micros",
        "recipient",
        "replayed",
        "segments",
        "status",
    )

    def __init__(
        self,
        *,
        id: MessageId,
        status: str,
        recipient: str,
        segments: int,
        encoding: Encoding,
        price_micros: Micros,
        currency: str,
        client_ref: str = "",
        replayed: bool = False,
    ) -> None:
        self.id: Final = id
        self.status: Final = status
        self.recipient: Final = recipient
        self.segments: Final = segments
        self.encoding: Final = encoding
        self.price_micros: Final = price_micros
        self.currency: Final = currency
        self.client_ref: Final = client_ref
        self.replayed: Final = replayed
        """True when an earlier call with the same key already made this message."""
