"""One request of the demonstration and what is known of it so far. Values, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from gateway.demo.cases import Case
from gateway.lifecycle import STATUSES
from gateway.views import EventView, MessageView

_NOT_CHARGED: Final = frozenset({"rejected", "canceled", "expired"})


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the API answered to the request."""

    http_status: int
    message_id: str = ""
    replayed: bool = False
    code: str = ""
    field: str = ""


class Journey(msgspec.Struct, kw_only=True):
    """A request on its way."""

    case: Case
    answer: Answer | None = None
    view: MessageView | None = None
    """The message as the API showed it last."""

    @property
    def state(self) -> str:
        """What a person would call its state; "" before anything happened."""
        if self.answer is None:
            return ""
        if self.answer.replayed:
            return "the same"
        if self.answer.code:
            return f"HTTP {self.answer.http_status}"
        return self.view.status if self.view is not None else "accepted"

    @property
    def ended(self) -> bool:
        """Whether nothing more can become of it."""
        if self.answer is None:
            return False
        if self.answer.replayed or self.answer.code:
            return True
        status = STATUSES.get(self.view.status) if self.view is not None else None
        return status is not None and status.final

    @property
    def carriers(self) -> list[str]:
        """The carriers it was given to, in order."""
        tried: list[str] = []
        for event in self._events():
            if event.carrier and event.carrier not in tried:
                tried.append(event.carrier)
        return tried

    @property
    def carrier_ids(self) -> list[str]:
        """What its carrier calls each segment that it took."""
        if self.view is None:
            return []
        return [part.carrier_message_id for part in self.view.parts if part.carrier_message_id]

    @property
    def receipt_s(self) -> float | None:
        """From a segment's submission to its receipt; the slowest one's."""
        if self.view is None or not self.view.parts:
            return None
        if not all(part.submitted_at and part.receipt_at for part in self.view.parts):
            return None
        return max(seconds_between(part.submitted_at, part.receipt_at) for part in self.view.parts)

    @property
    def refusals(self) -> list[str]:
        """The statuses with which carriers did not take it, by name."""
        return [event.command_status for event in self._events() if event.command_status]

    @property
    def receipt_errors(self) -> list[str]:
        """What receipts said of errors; "000" is none."""
        errors = [event.error for event in self._events() if event.kind == "receipt"]
        return [error for error in errors if error.strip("0")]

    @property
    def reason(self) -> str:
        """Why it did not go the plain way, in a word or two."""
        if self.answer is not None and self.answer.code:
            return f"{self.answer.code}: {self.answer.field}"
        if self.receipt_errors:
            return f"err:{self.receipt_errors[0]}"
        return next(iter(self.refusals), "")

    @property
    def cost(self) -> str:
        """What it costs as it stands: "0" once its price is given back, "" when there is none."""
        if self.view is None:
            return ""
        return "0" if self.view.status in _NOT_CHARGED else self.view.price

    def _events(self) -> Sequence[EventView]:
        return self.view.events if self.view is not None else ()


def seconds_between(earlier: str, later: str) -> float:
    """Return the seconds between two of the API's times."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
