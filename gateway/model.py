"""The values that rooms hand to each other. No behaviour beyond reading them, no I/O.

Not here: what may follow what (`settling.py`), how a message is priced (`credit/`), how it is
cut into segments (`text/`).
"""

from __future__ import annotations

import enum
from typing import NewType

import msgspec

from gateway.scopes import ALL, Network

MessageId = NewType("MessageId", int)
AccountId = NewType("AccountId", int)
CarrierId = NewType("CarrierId", int)
Micros = NewType("Micros", int)
"""Money: millionths of the account's unit (a currency or a credit). Never a float."""


_ENCODING_WORDS = ("gsm7", "ucs2", "binary", "latin-1")


class Encoding(enum.IntEnum):
    """How a message's content travels. The number is what the store keeps."""

    GSM7 = 0
    UCS2 = 1
    BINARY = 2
    LATIN1 = 3
    """The default alphabet of carriers that say so; never asked for by a client."""

    wire: str

    def __init__(self, value: int) -> None:
        self.wire = _ENCODING_WORDS[value]


class Lane(enum.IntEnum):
    """Priority lanes; a lower number leaves first."""

    OTP = 0
    TRANSACTIONAL = 1
    MARKETING = 2

    wire: str

    def __init__(self, _value: int) -> None:
        self.wire = self._name_.lower()


ENCODINGS = {e.wire: e for e in Encoding if e is not Encoding.LATIN1}
"""What a client may ask for."""
LANES = {lane.wire: lane for lane in Lane}


class EmailRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """An email in place of a message that did not reach its phone, as it is asked for.

    Also an account's rule, which holds where a message says nothing itself. All texts are
    templates (`gateway/fallback/template.py`).
    """

    to: str | None = None
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    after_s: int | None = None
    """How long after it may leave a message without a final status counts as without receipt."""
    on: tuple[str, ...] | None = None
    """undelivered, expired, rejected, no_receipt; None: all of them."""
    reply_to: str | None = None


class FallbackRequest(
    msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True
):
    """What a message falls back to; without `email`, to nothing, whatever its account's rule."""

    email: EmailRequest | None = None


class Account(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who pays. `*_max` and `*_per_s` are ceilings; 0 means none."""

    id: AccountId
    name: str
    currency: str = "credits"
    plan: str = ""
    """What it is sold by, of the settings' plans; empty: none."""
    bill: str = ""
    """What it pays for: "submitted" or "delivered" segments; empty: as its plan says."""
    default_sender: str = ""
    segments_max: int = 10
    """Segments a message; a longer text is refused, never truncated."""
    submit_per_s: float = 0.0
    floor_micros: Micros = Micros(0)
    """What available credit may never go below; for postpaid, the limit with a minus."""
    webhook_url: str = ""
    webhook_secret: str = ""
    active: bool = True
    fallback: EmailRequest | None = None
    """The rule for messages that name no fallback of their own."""
    scopes: int = ALL
    """What the key that it was found by may do (`gateway/scopes.py`)."""
    networks: tuple[Network, ...] = ()
    """Where that key may come from; empty: from anywhere."""

    def __repr__(self) -> str:
        # An account ends up in messages of errors; what it signs with must not.
        return f"Account(id={self.id}, name={self.name!r})"


class SendRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True, forbid_unknown_fields=True):
    """What a client asks for: one message to one number (`POST /v1/messages`).

    Only shapes are checked here; `intake` decides whether the values can be sent.
    """

    to: str
    sender: str | None = msgspec.field(name="from", default=None)
    text: str | None = None
    data: str | None = None
    """Binary content in hex, instead of `text`."""
    udh: str | None = None
    """User data header in hex, with its length octet first; goes with `data`."""
    encoding: str = "auto"
    """auto, gsm7, ucs2 or binary."""
    message_class: int | None = None
    """0 to 3; 0 is shown at once and kept nowhere ("flash")."""
    smart: bool | None = None
    """Whether typographic characters are replaced where that saves the text from UCS-2; None:
    as the carrier's settings say."""
    client_ref: str | None = None
    tag: str | None = None
    send_at: str | None = None
    """RFC 3339 with an offset."""
    validity_s: int | None = None
    priority: str = "transactional"
    """otp, transactional or marketing."""
    callback_url: str | None = None
    fallback: FallbackRequest | None = None
    tlvs: dict[str, str] | None = None
    """By tag (0x1401) or name: a text, or octets in hex behind 0x."""
