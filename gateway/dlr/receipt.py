"""What a deliver_sm turns out to be: a receipt, something else, or one that can't be read.

Not here: who reads it (`parse.py`).
"""

from __future__ import annotations

import msgspec

from gateway.lifecycle import Status


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a carrier reports of one segment.

    Strings hold neither NUL nor surrogates, so that any store takes them.
    """

    carrier_message_id: str
    """As it came, without padding."""
    status: Status
    """SUBMITTED when the report is not final."""
    code: int
    """SMPP's message_state, 7 (UNKNOWN) when the carrier's word is unknown."""
    error: str
    """`err` of the text: usually three digits, sometimes words; "" when there is none."""
    network_error: str
    """The TLV as `type:code` or the digits that a carrier writes there; "" when there is none."""
    submitted_at: float | None
    """Epoch seconds, as `done_at`; None when the carrier gives no date that exists."""
    done_at: float | None
    text: str
    recipient: str
    """The handset's number as the carrier writes it: a receipt comes from its destination."""
    sender: str


class NotAReceipt(msgspec.Struct, frozen=True, gc=False):
    """An ordinary inbound message."""


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """Marked as a receipt, but it does not say of what; `reason` is for logs, it quotes nothing."""

    reason: str
