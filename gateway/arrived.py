"""A receipt that has arrived, and what the store knows of its submission.

Not here: who matches the two (`receipts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Acknowledge, ParkedReceipt, Party
from gateway.references import Key
from gateway.smpp.shapes import NO_TLVS


class ArrivedReceipt(msgspec.Struct, frozen=True, gc=False):
    """One receipt, with its id normalised by its carrier's rule."""

    key: Key
    status: Status
    """SUBMITTED when it is not final."""
    code: int | None
    error: str
    received_at: float
    """Wall clock."""
    acknowledge: Acknowledge | None = None
    """To be called once what the receipt says is committed; None when it was, long ago."""
    raw_id: str = ""
    """As the carrier wrote it."""
    recipient: str = ""
    tlvs: Mapping[int, bytes] = NO_TLVS
    """All of its PDU's."""
    parked: ParkedReceipt | None = None
    """What the store keeps of it, if it waited there; that goes as the receipt is applied."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """What the store knows of a submission that memory has forgotten."""

    message_id: MessageId
    account_id: AccountId
    index: int
    states: list[Status]
    party: Party
    submitted_at: float
    rest: tuple[int, ...] = ()
