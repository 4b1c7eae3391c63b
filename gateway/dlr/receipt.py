"""What a deliver_sm turns out to be: a receipt, something else, or one that can't be read.

Not here: who reads it (`parse.py`).
"""

from __future__ import annotations

from typing import Final

from gateway.lifecycle import Status
from gateway.record import Record


class Receipt(Record):
    """What a carrier reports of one segment.

    Strings hold neither NUL nor surrogates, so that any store takes them.
    """

    __slots__ = (
        "carrier_message_id",
        "code",
        "done_at",
        "error",
        "network_error",
        "recipient",
        "sender",
        "status",
        "submitted_at",
        "text",
    )

    def __init__(
        self,
        carrier_message_id: str,
        status: Status,
        code: int,
        error: str,
        network_error: str,
        submitted_at: float | None,
        done_at: float | None,
        text: str,
        recipient: str,
        sender: str,
    ) -> None:
        self.carrier_message_id: Final = carrier_message_id
        """As it came, without padding."""
        self.status: Final = status
        """SUBMITTED when the report is not final."""
        self.code: Final = code
        """SMPP's message_state, 7 (UNKNOWN) when the carrier's word is unknown."""
        self.error: Final = error
        """`err` of the text: usually three digits, sometimes words; "" when there is none."""
        self.network_error: Final = network_error
        """The TLV as `type:code` or the digits that a carrier writes there; "" when there is
        none."""
        self.submitted_at: Final = submitted_at
        """Epoch seconds, as `done_at`; None when the carrier gives no date that exists."""
        self.done_at: Final = done_at
        self.text: Final = text
        self.recipient: Final = recipient
        """The handset's number as the carrier writes it: a receipt comes from its destination."""
        self.sender: Final = sender


class NotAReceipt(Record):
    """An ordinary inbound message."""

    __slots__ = ()


class Malformed(Record):
    """Marked as a receipt, but it does not say of what; `reason` is for logs, it quotes nothing."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason: Final = reason
