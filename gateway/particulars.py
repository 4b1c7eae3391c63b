"""What a request says besides whom and what to send: lane, times, labels, addresses; read and
checked, each with an error that names its field.
"""

from __future__ import annotations

from datetime import datetime

from gateway.config import Messages
from gateway.content import one_of
from gateway.errors import Rejected
from gateway.message import Order
from gateway.model import LANES, Lane, SendRequest
from gateway.peers.callbacks import is_peers, unpack
from gateway.smpp.errors import InvalidField
from gateway.smpp.passing import PASSED_OCTETS_MAX, passes, read_tag, read_value
from gateway.smpp.tlvs import encode_tlvs

CLIENT_REF_CHARS_MAX = 128
TAG_CHARS_MAX = 64
URL_CHARS_MAX = 2_048


def read_lane(priority: str) -> Lane:
    lane = LANES.get(priority)
    if lane is None:
        raise Rejected("priority_unknown", f"priority is {one_of(LANES)}", field="priority")
    return lane


def read_times(settings: Messages, request: SendRequest, now: float) -> tuple[float | None, float]:
    """Return when the message may leave (None: at once) and when it is too late for it."""
    validity_s = settings.validity_s
    if request.validity_s is not None:
        validity_s = request.validity_s
        if not 1 <= validity_s <= settings.validity_max_s:
            raise Rejected(
                "validity_out_of_range",
                f"validity_s is 1 to {settings.validity_max_s} seconds",
                field="validity_s",
            )
    if request.send_at is None:
        return None, now + validity_s
    send_at = _check_schedule(settings, _read_time(request.send_at), now)
    return send_at, (now if send_at is None else send_at) + validity_s


def check_times(settings: Messages, order: Order, now: float) -> tuple[float | None, float]:
    """As `read_times`, for times that are read already."""
    send_at = order.send_at
    if send_at is not None:
        send_at = _check_schedule(settings, send_at, now)
    leaves_at = now if send_at is None else send_at
    if order.expires_at is None:
        return send_at, leaves_at + settings.validity_s
    if order.expires_at <= leaves_at:
        raise Rejected(
            "validity_out_of_range", "it would be too late when it leaves", field="validity_s"
        )
    return send_at, min(order.expires_at, leaves_at + settings.validity_max_s)


def _check_schedule(settings: Messages, send_at: float, now: float) -> float | None:
    """Return when a message leaves that asks for a time; None: at once, since that is just past."""
    if send_at > now + settings.schedule_max_s:
        raise Rejected(
            "send_at_too_far",
            f"send_at is at most {settings.schedule_max_s // 86_400} days ahead",
            field="send_at",
        )
    if send_at < now - settings.schedule_past_s:
        # An hour off is a wrong time zone; what was meant for yesterday is not wanted today.
        raise Rejected(
            "send_at_past",
            f"send_at is {now - send_at:.0f} seconds past, more than {settings.schedule_past_s}",
            field="send_at",
        )
    return send_at if send_at > now else None


def _read_time(raw: str) -> float:
    try:
        time = datetime.fromisoformat(raw.upper())  # RFC 3339 §5.6: "t" and "z" are as good
    except ValueError:
        raise Rejected(
            "send_at_not_a_time", "send_at is RFC 3339, like 2026-01-31T09:00:00Z", field="send_at"
        ) from None
    if time.tzinfo is None:
        raise Rejected("send_at_not_a_time", "send_at needs an offset or Z", field="send_at")
    return time.timestamp()


def read_label(raw: str | None, field: str, chars_max: int) -> str:
    if raw is None:
        return ""
    if not raw or len(raw) > chars_max or not raw.isprintable():
        raise Rejected(
            f"{field}_not_usable", f"{field} has 1 to {chars_max} printable characters", field=field
        )
    return raw


def read_tlvs(raw: dict[str, str] | None) -> bytes:
    """Return TLVs as on the wire."""
    if not raw:
        return b""
    tlvs: dict[int, bytes] = {}
    for key, value in raw.items():
        field = f"tlvs.{key}"
        try:
            tag = read_tag(key)
            if not passes(tag):
                raise Rejected("tlv_not_allowed", f"{key} is the gateway's to write", field=field)
            tlvs[tag] = read_value(tag, value)
        except InvalidField as error:
            raise Rejected("tlv_not_usable", str(error), field=field) from None
    packed = encode_tlvs(tlvs.items())
    if len(packed) > PASSED_OCTETS_MAX:
        raise Rejected(
            "tlvs_too_long", f"all TLVs have {PASSED_OCTETS_MAX} octets at most", field="tlvs"
        )
    return packed


def read_url(raw: str | None) -> str:
    if raw is None:
        return ""
    asked = unpack(raw) if is_peers(raw) else None
    scheme, _, rest = (raw if asked is None else asked.url).partition("://")
    fits = (
        scheme in ("http", "https")
        and rest[:1].isalnum() | rest.startswith("[")
        and len(raw) <= URL_CHARS_MAX
        and raw.isascii()
        and raw.isprintable()
        and " " not in raw
    )
    if not fits:
        raise Rejected(
            "callback_url_not_usable",
            f"callback_url is an http or https address of at most {URL_CHARS_MAX} characters",
            field="callback_url",
        )
    return raw
