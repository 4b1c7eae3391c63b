"""From rows back to values: the inverse of what the two writers store."""

from __future__ import annotations

from operator import itemgetter

import asyncpg

from gateway.ids import accepted_at
from gateway.lifecycle import EventKind, Status
from gateway.message import Message
from gateway.model import AccountId, CarrierId, Encoding, Lane, MessageId
from gateway.outcomes import Event

_MESSAGE_COLUMNS = itemgetter(
    *("id", "account_id", "sender", "recipient", "country", "operator", "body", "data", "udh"),
    *("encoding", "segments", "lane", "price_micros", "routes", "client_ref", "tag"),
    *("callback_url", "send_at", "expires_at", "data_coding", "registered_delivery"),
    *("group_id", "tlvs"),
)
_ENCODINGS = {each.value: each for each in Encoding}
_LANES = {each.value: each for each in Lane}


def read_message(row: asyncpg.Record) -> Message:
    """Return the message of a row of `messages`, read with all its columns.

    A backlog comes back through here: all columns at once, and members of enumerations from
    tables, are 2 µs a message; each by its name and call is 4.
    """
    # fmt: off
    (
        id_, account_id, sender, recipient, country, operator, body, data, udh,
        encoding, segments, lane, price_micros, routes, client_ref, tag,
        callback_url, send_at, expires_at, data_coding, registered_delivery,
        group_id, tlvs,
    ) = _MESSAGE_COLUMNS(row)
    # fmt: on
    return Message(
        id=id_,
        account_id=account_id,
        accepted_at=accepted_at(id_),
        sender=sender,
        recipient=recipient,
        country=country,
        operator=operator or "",
        text=body or "",
        data=data or b"",
        udh=udh or b"",
        encoding=_ENCODINGS[encoding],
        segments=segments,
        lane=_LANES[lane],
        price_micros=price_micros,
        routes=tuple(routes),
        client_ref=client_ref or "",
        tag=tag or "",
        callback_url=callback_url or "",
        send_at=send_at,
        expires_at=expires_at,
        data_coding=data_coding,
        registered_delivery=registered_delivery or 0,
        group_id=group_id,
        tlvs=tlvs or b"",
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
