"""Receipts as the field writes them, for whoever we are the SMSC of.

The text is the shape that every client library reads (SMPP 3.4 appendix B, with the field's
lower-case `text:`), the TLVs say the same without ambiguity. Whoever sends it swaps the
addresses: a receipt comes from the original destination.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from gateway.dlr.states import STATE_OF, WORD_OF, MessageState
from gateway.dlr.tags import (
    ESM_CLASS_RECEIPT,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_RECEIPTED_MESSAGE_ID,
)
from gateway.lifecycle import Status

TEXT_CHARACTERS_MAX = 20


class BuiltReceipt(msgspec.Struct, frozen=True, gc=False):
    """The parts of a `deliver_sm` that make it a receipt."""

    esm_class: int
    short_message: bytes
    tlvs: dict[int, bytes]


def build_receipt(
    *,
    message_id: str,
    status: Status,
    submitted_at: float,
    done_at: float,
    error: str = "000",
    text: str = "",
    utc_offset_minutes: int = 0,
    network_error: tuple[int, int] | None = None,
) -> BuiltReceipt:
    """Return a receipt with text and TLVs; `network_error` is a network type and its code."""
    state = STATE_OF[status]
    tlvs = {
        TAG_RECEIPTED_MESSAGE_ID: message_id.encode("ascii", "replace") + b"\0",
        TAG_MESSAGE_STATE: bytes((state,)),
    }
    if network_error is not None:
        network, code = network_error
        tlvs[TAG_NETWORK_ERROR_CODE] = bytes((network, code >> 8 & 0xFF, code & 0xFF))
    short_message = build_receipt_text(
        message_id=message_id,
        status=status,
        submitted_at=submitted_at,
        done_at=done_at,
        error=error,
        text=text,
        utc_offset_minutes=utc_offset_minutes,
    )
    return BuiltReceipt(ESM_CLASS_RECEIPT, short_message, tlvs)


def build_receipt_text(
    *,
    message_id: str,
    status: Status,
    submitted_at: float,
    done_at: float,
    error: str = "000",
    text: str = "",
    utc_offset_minutes: int = 0,
) -> bytes:
    """Return the text of a receipt; times are epoch seconds, written in the client's zone.

    Of `text` the first 20 characters are quoted, what is not ASCII as a question mark.
    """
    state = STATE_OF[status]
    delivered = state is MessageState.DELIVERED
    offset_s = utc_offset_minutes * 60
    submitted = _write_minute((submitted_at + offset_s) // 60)
    done = _write_minute((done_at + offset_s) // 60)
    return (
        f"id:{message_id} sub:001 dlvrd:{delivered:03d} submit date:{submitted} done date:{done}"
        f" stat:{WORD_OF[state]} err:{error} text:{text[:TEXT_CHARACTERS_MAX]}"
    ).encode("ascii", "replace")


@lru_cache(maxsize=1024)
def _write_minute(minute: float) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%y%m%d%H%M")
