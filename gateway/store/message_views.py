"""From rows of messages and events to what readers are shown. Pure.

Not here: the queries (`reader.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from gateway.credit.prices import format_micros
from gateway.dlr.states import MessageState
from gateway.fallback.terms import TRIGGERS, FallbackState, Trigger
from gateway.ids import accepted_at
from gateway.lifecycle import EventKind, Status
from gateway.model import Encoding, Lane
from gateway.settling import settle_segment
from gateway.smpp.passing import unpack_tlvs
from gateway.smpp.vocabulary import status_name
from gateway.views import (
    EMAIL_EVENTS,
    EventView,
    FallbackView,
    MessageSummary,
    MessageView,
    SegmentView,
)

SCHEDULED = "scheduled"

# Events that a submit_sm_resp brought: their code is its command_status.
_RESPONSES = frozenset({EventKind.SUBMITTED, EventKind.REFUSED, EventKind.RETRY})


_EMAIL_SENT, _EMAIL_FAILED = EMAIL_EVENTS
_EMAIL_ENDS = {FallbackState.SENT: _EMAIL_SENT, FallbackState.FAILED: _EMAIL_FAILED}


class Row(Protocol):
    """A database row, or a dictionary in a test."""

    def __getitem__(self, column: str, /) -> Any: ...


Names = Mapping[int, str]
"""Carriers' names by id; one that was taken out of the store is shown by its number."""


def format_time(seconds: float | None) -> str:
    """Write wall-clock seconds as RFC 3339 in UTC with milliseconds; "" for None."""
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def summary_view(
    row: Row,
    status: Status,
    carrier_id: int,
    *,
    now: float,
    currency: str,
    names: Names,
) -> MessageSummary:
    """Show one message without its parts and events."""
    scheduled = status is Status.ACCEPTED and (row["send_at"] or 0.0) > now
    return MessageSummary(
        id=str(row["id"]),
        status=SCHEDULED if scheduled else status.wire,
        to=row["recipient"],
        sender=row["sender"],
        text=row["body"],
        text_erased=row["body"] is None,
        data=(row["data"] or b"").hex(),
        udh=(row["udh"] or b"").hex(),
        encoding=Encoding(row["encoding"]).wire,
        segments=row["segments"],
        priority=Lane(row["lane"]).wire,
        price=format_micros(row["price_micros"]),
        currency=currency,
        country=row["country"],
        carrier=_name(carrier_id, names),
        client_ref=row["client_ref"] or "",
        tag=row["tag"] or "",
        accepted_at=format_time(accepted_at(row["id"])),
        send_at=format_time(row["send_at"]),
        expires_at=format_time(row["expires_at"]),
    )


def whole_message_view(
    row: Row,
    events: Iterable[Row],
    *,
    now: float,
    currency: str,
    names: Names,
    fallback: Row | None = None,
) -> MessageView:
    """Show one message with its parts and its events, in the order in which they took effect."""
    ordered = sorted(events, key=_effect_order)
    status = Status(ordered[-1]["status"]) if ordered else Status.ACCEPTED
    carriers = [e["carrier_id"] for e in ordered if e["carrier_id"] is not None]
    summary = summary_view(
        row,
        status,
        carriers[-1] if carriers else row["carrier_id"],
        now=now,
        currency=currency,
        names=names,
    )
    return MessageView(
        **msgspec.structs.asdict(summary),
        parts=_parts(row["segments"], ordered, names),
        events=_with_email_event([_event_view(event, names) for event in ordered], fallback),
        fallback=None if fallback is None else _fallback_view(fallback),
        tlvs=_tlvs_view(row["tlvs"] or b""),
    )


def _with_email_event(events: list[EventView], fallback: Row | None) -> list[EventView]:
    """Put the end of a message's email among its events, by its time."""
    if fallback is None or fallback["state"] not in _EMAIL_ENDS:
        return events
    at = format_time(fallback["settled_at"])
    place = sum(event.at <= at for event in events)
    email = EventView(
        at=at,
        kind=_EMAIL_ENDS[fallback["state"]],
        segment=0,
        status=events[place - 1].status if place else Status.ACCEPTED.wire,
        error=fallback["reply"],
    )
    return [*events[:place], email, *events[place:]]


def _tlvs_view(packed: bytes) -> dict[str, str]:
    return {f"0x{tag:04x}": value.hex() for tag, value in unpack_tlvs(packed).items()}


def _fallback_view(row: Row) -> FallbackView:
    triggers, reason = Trigger(row["triggers"]), row["reason"]
    return FallbackView(
        to=row["address"],
        on=[name for name, trigger in TRIGGERS.items() if trigger in triggers],
        state=FallbackState(row["state"]).wire,
        due_at=format_time(row["due_at"]),
        reason="" if reason is None else Trigger(reason).wire,
        attempts=row["attempts"],
        settled_at=format_time(row["settled_at"]),
        reply=row["reply"],
    )


def _effect_order(event: Row) -> tuple[int, float, int, int]:
    """A status's rank goes before time, as in the queries; a refund comes after what it is for."""
    return Status(event["status"]).rank, event["at"], event["status"], event["kind"]


def _event_view(event: Row, names: Names) -> EventView:
    kind, code = EventKind(event["kind"]), event["code"]
    return EventView(
        at=format_time(event["at"]),
        kind=kind.wire,
        segment=event["segment"],
        status=Status(event["status"]).wire,
        carrier=_name(event["carrier_id"], names),
        carrier_message_id=event["carrier_message_id"] or "",
        command_status=status_name(code) if kind in _RESPONSES and code is not None else "",
        receipt_state=_state_name(code) if kind is EventKind.RECEIPT and code is not None else "",
        error=event["error"] or "",
        posted=_moved(event["posted_micros"]),
        voided=_moved(event["voided_micros"]),
        refunded=_moved(event["refunded_micros"]),
    )


def _moved(micros: int | None) -> str:
    return format_micros(micros) if micros else ""


def _parts(count: int, ordered: Iterable[Row], names: Names) -> list[SegmentView]:
    parts = [_Part() for _ in range(count)]
    for event in ordered:
        # A number past the end would be a broken row: no reason to show nothing of the message.
        for part in parts[event["segment"] - 1 : event["segment"]]:
            part.apply(event)
    return [part.view(number, names) for number, part in enumerate(parts, start=1)]


class _Part:
    """One segment while its events are read."""

    __slots__ = (
        "carrier_id",
        "carrier_message_id",
        "error",
        "receipt_at",
        "status",
        "submitted_at",
    )

    def __init__(self) -> None:
        self.status = Status.ACCEPTED
        self.carrier_id: int | None = None
        self.carrier_message_id = ""
        self.submitted_at: float | None = None
        self.receipt_at: float | None = None
        self.error = ""

    def apply(self, event: Row) -> None:
        self.status = settle_segment(self.status, Status(event["segment_status"]))
        if event["carrier_id"] is not None:
            self.carrier_id = event["carrier_id"]
        match EventKind(event["kind"]):
            case EventKind.SUBMITTED:
                self.carrier_message_id = event["carrier_message_id"] or ""
                self.submitted_at = event["at"]
                self.error = ""
            case EventKind.RECEIPT:
                self.receipt_at = event["at"]
                self.error = event["error"] or ""
            case EventKind.REFUND:
                pass
            case _:
                self.error = event["error"] or self.error

    def view(self, number: int, names: Names) -> SegmentView:
        return SegmentView(
            number=number,
            status=self.status.wire,
            carrier=_name(self.carrier_id, names),
            carrier_message_id=self.carrier_message_id,
            submitted_at=format_time(self.submitted_at),
            receipt_at=format_time(self.receipt_at),
            error=self.error,
        )


def _name(carrier_id: int | None, names: Names) -> str:
    return "" if carrier_id is None else names.get(carrier_id, str(carrier_id))


def _state_name(code: int) -> str:
    try:
        return MessageState(code).name.lower()
    except ValueError:
        return str(code)
