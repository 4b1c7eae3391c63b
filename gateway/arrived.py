"""A receipt that has arrived, and what the store knows of its submission.

Not here: who matches the two (`receipts.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Acknowledge, ParkedReceipt, Party
from gateway.record import Record
from gateway.references import Key
from gateway.smpp.shapes import NO_TLVS


class ArrivedReceipt(Record):
    """One receipt, with its id normalised by its carrier's rule."""

    __slots__ = (
        "acknowledge",
        "code",
        "error",
        "key",
        "parked",
        "raw_id",
        "received_at",
        "recipient",
        "status",
        "tlvs",
    )

    def __init__(
        self,
        key: Key,
        status: Status,
        code: int | None,
        error: str,
        received_at: float,
        acknowledge: Acknowledge | None = None,
        raw_id: str = "",
        recipient: str = "",
        tlvs: Mapping[int, bytes] = NO_TLVS,
        parked: ParkedReceipt | None = None,
    ) -> None:
        self.key: Final = key
        self.status: Final = status
        """SUBMITTED when it is not final."""
        self.code: Final = code
        self.error: Final = error
        self.received_at: Final = received_at
        """Wall clock."""
        self.acknowledge: Final = acknowledge
        """To be called once what the receipt says is committed; None when it was, long ago."""
        self.raw_id: Final = raw_id
        """As the carrier wrote it."""
        self.recipient: Final = recipient
        self.tlvs: Final = tlvs
        """All of its PDU's."""
        self.parked: Final = parked
        """What the store keeps of it, if it waited there; that goes as the receipt is applied."""


class Found(Record):
    """What the store knows of a submission that memory has forgotten."""

    __slots__ = ("account_id", "index", "message_id", "party", "rest", "states", "submitted_at")

    def __init__(
        self,
        message_id: MessageId,
        account_id: AccountId,
        index: int,
        states: list[Status],
        party: Party,
        submitted_at: float,
        rest: tuple[int, ...] = (),
    ) -> None:
        self.message_id: Final = message_id
        self.account_id: Final = account_id
        self.index: Final = index
        self.states: Final = states
        self.party: Final = party
        self.submitted_at: Final = submitted_at
        self.rest: Final = rest
