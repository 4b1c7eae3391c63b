"""What the URL of a request says: message ids, search filters, cursors.

Pure. A cursor is opaque to clients and checked when it comes back, so that a mistyped one is
refused instead of silently starting somewhere else.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar
from urllib.parse import unquote_plus

from msgspec.structs import replace

from gateway.api.decode import nearest
from gateway.errors import Rejected
from gateway.lifecycle import STATUSES
from gateway.model import MessageId
from gateway.views import DeadPage, DeadSearch, InboundPage, InboundSearch, Page, Search

SomePage = TypeVar("SomePage", Page, InboundPage, DeadPage)

MESSAGE_ID_MAX = 2**63 - 1
SEARCH_DESCRIPTION = (
    "Newest first. All filters hold together. A page looks at a bounded number of messages, so with"
    " filters it can be short, or empty, and still have a `next_cursor`: ask again with it and the"
    " same filters until there is none. `to` alone finds a number's messages of all days that are"
    " over (UTC) in one page; `until` leaves out today's, which have to be looked through."
)
SEARCH_LIMIT_DEFAULT = 50
SEARCH_LIMIT_MAX = 500
"""Messages a page: about 300 KB of JSON, some milliseconds of the event loop."""
FILTER_CHARS_MAX = 255
READABLE_STATUSES = ("scheduled", *STATUSES)
"""What a reader can see: `scheduled` is an accepted message whose `send_at` is to come."""

_MESSAGE_ID = re.compile(r"[1-9][0-9]{0,18}")
_NUMBER = re.compile(r"[ +]?([0-9]{1,15})")  # an unescaped plus arrives as a space
_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})"
)
_CURSOR = struct.Struct(">QI")
_CURSOR_CHARS = 16
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
DAY_FIRST, DAY_LAST = date(2024, 1, 1), date(2090, 1, 1)
"""The days that ids can be of."""
DAYS_MAX = 400


def parse_message_id(text: str) -> MessageId:
    """Return the id in a path; raises Rejected (422) for what can't be one."""
    if _MESSAGE_ID.fullmatch(text) and int(text) <= MESSAGE_ID_MAX:
        return MessageId(int(text))
    raise Rejected("invalid_id", "a message id is a number of up to 19 digits", field="id")


def check_parameters(query: bytes, known: Collection[str]) -> None:
    """Raise Rejected (422) for a query parameter that is unknown or given twice."""
    seen = set()
    for part in query.decode("latin-1").split("&"):
        if not part:
            continue
        name = unquote_plus(part.partition("=")[0])
        if name not in known:
            hint = nearest(name, list(known))
            raise Rejected(
                "unknown_parameter", f"no parameter {name[:64]!r}{hint}", field=name[:64]
            )
        if name in seen:
            raise Rejected("duplicate_parameter", f"{name} is given twice", field=name)
        seen.add(name)


def build_search(
    *,
    status: str,
    to: str,
    client_ref: str,
    tag: str,
    accepted_from: str,
    accepted_until: str,
    limit: int,
    cursor: str,
) -> Search:
    """Return the search that these parameters ask for, "" meaning any; raises Rejected (422)."""
    if status and status not in READABLE_STATUSES:
        known = ", ".join(READABLE_STATUSES)
        raise Rejected("invalid_status", f"a status is one of {known}", field="status")
    number = _NUMBER.fullmatch(to)
    if to and not number:
        raise Rejected("invalid_number", "a number is up to 15 digits", field="to")
    earliest, latest = _parse_span(accepted_from, accepted_until)
    return Search(
        status=status,
        to=number[1] if number else "",
        client_ref=_check_filter(client_ref, "client_ref"),
        tag=_check_filter(tag, "tag"),
        accepted_from=earliest,
        accepted_until=latest,
        before=open_cursor(cursor) if cursor else None,
        limit=limit,
    )


def build_inbound_search(
    *, to: str, sender: str, received_from: str, received_until: str, limit: int, cursor: str
) -> InboundSearch:
    """Return the search that these parameters ask for, "" meaning any; raises Rejected (422)."""
    earliest, latest = _parse_span(received_from, received_until)
    return InboundSearch(
        to=_check_filter(to, "to").strip(),
        sender=_check_filter(sender, "sender").strip(),
        received_from=earliest,
        received_until=latest,
        before=open_cursor(cursor) if cursor else None,
        limit=limit,
    )


def build_dead_search(
    *, happened_from: str, happened_until: str, limit: int, cursor: str
) -> DeadSearch:
    """Return the search that these parameters ask for, "" meaning any; raises Rejected (422)."""
    earliest, latest = _parse_span(happened_from, happened_until)
    return DeadSearch(
        happened_from=earliest,
        happened_until=latest,
        before=open_cursor(cursor) if cursor else None,
        limit=limit,
    )


def parse_instant(text: str, field: str) -> float:
    """Return seconds since the epoch from RFC 3339 with an offset; raises Rejected (422)."""
    if _INSTANT.fullmatch(text):
        try:
            return datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError):
            pass
    raise Rejected(
        "invalid_date",
        "a date is like 2026-01-31T08:00:00Z or 2026-01-31T08:00:00%2B01:00 (a plus is escaped)",
        field=field,
    )


def build_days(first: str, last: str, now: float) -> tuple[date, date]:
    """Return the first and the last day that these parameters ask for; raises Rejected (422).

    Left out, they are the first day of this month and today, UTC.
    """
    today = datetime.fromtimestamp(now, UTC).date()
    end = _parse_day(last, "to") if last else today
    begin = _parse_day(first, "from") if first else min(end, today).replace(day=1)
    if begin > end:
        raise Rejected("invalid_range", "to is before from", field="to")
    if end - begin > timedelta(days=DAYS_MAX):
        raise Rejected("invalid_range", f"at most {DAYS_MAX} days at once", field="from")
    return begin, end


def _parse_day(text: str, field: str) -> date:
    if _DAY.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            pass
        else:
            if DAY_FIRST <= day <= DAY_LAST:
                return day
    raise Rejected("invalid_date", "a day is like 2026-01-31", field=field)


def seal_cursor(below: MessageId) -> str:
    """Return the cursor of the page that begins below this id."""
    packed = below.to_bytes(8, "big")
    return base64.urlsafe_b64encode(packed + zlib.crc32(packed).to_bytes(4, "big")).decode()


def seal_page(page: SomePage) -> SomePage:
    """Return a page with its cursor made opaque."""
    if not page.next_cursor:
        return page
    return replace(page, next_cursor=seal_cursor(MessageId(int(page.next_cursor))))


def open_cursor(text: str) -> MessageId:
    """Return the id below which a page begins; raises Rejected (422) for a damaged cursor."""
    if len(text) == _CURSOR_CHARS and text.isascii():
        try:
            below, check = _CURSOR.unpack(base64.urlsafe_b64decode(text))
        except (binascii.Error, struct.error):
            pass
        else:
            if check == zlib.crc32(below.to_bytes(8, "big")) and below <= MESSAGE_ID_MAX:
                return MessageId(below)
    raise Rejected("invalid_cursor", "use next_cursor of the page before as it is", field="cursor")


def _parse_span(since: str, until: str) -> tuple[float | None, float | None]:
    """Return the ends of a span of time, None for those that are open; raises Rejected (422)."""
    earliest = parse_instant(since, "from") if since else None
    latest = parse_instant(until, "until") if until else None
    if earliest is not None and latest is not None and earliest >= latest:
        raise Rejected("invalid_range", "until is not after from", field="until")
    return earliest, latest


def _check_filter(text: str, field: str) -> str:
    if len(text) > FILTER_CHARS_MAX or "\0" in text:
        raise Rejected(
            "invalid_filter", f"at most {FILTER_CHARS_MAX} characters, no NUL", field=field
        )
    return text
