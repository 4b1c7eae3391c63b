"""From rows back to values: the inverse of what the two writers store."""

from __future__ import annotations

import asyncpg

from gateway.ids import accepted_at
from gateway.lifecycle import EventKind, Status
from gateway.model import AccountId, CarrierId, Encoding, Lane, Message, MessageId, Micros
from gateway.outcomes import Event


def read_message(row: asyncpg.Record) -> Message:
    """Return the message of a row of `messages`, read with all its columns."""
    return Message(
        id=MessageId(row["id"]),
        account_id=AccountId(row["account_id"]),
        accepted_at=accepted_at(row["id"]),
        sender=row["sender"],
        recipient=row["recipient"],
        country=row["country"],
        operator=row["operator"] or "",
        text=row["body"] or "",
        data=row["data"] or b"",
        udh=row["udh"] or b"",
        encoding=Encoding(row["encoding"]),
        segments=row["segments"],
        lane=Lane(row["lane"]),
        price_micros=Micros(row["price_micros"]),
        routes=tuple(CarrierId(carrier) for carrier in row["routes"]),
        client_ref=row["client_ref"] or "",
        tag=row["tag"] or "",
        callback_url=row["callback_url"] or "",
        send_at=row["send_at"],
        expires_at=row["expires_at"],
        data_coding=row["data_coding"],
        registered_delivery=row["registered_delivery"] or 0,
        group_id=row["group_id"],
        tlvs=row["tlvs"] or b"",
    )


def read_event(row: asyncpg.Record) -> Event:
    """Return the event of a row of `events`, read with all its columns."""
    carrier_id = row["carrier_id"]
    return Event(
        MessageId(row["message_id"]),
        AccountId(row["account_id"]),
        row["at"],
        EventKind(row["kind"]),
        row["segment"],
        Status(row["segment_status"]),
        Status(row["status"]),
        row["closes"],
        None if carrier_id is None else CarrierId(carrier_id),
        row["carrier_message_id"],
        row["code"],
        row["error"],
        row["posted_micros"],
        row["voided_micros"],
    )
