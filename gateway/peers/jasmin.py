"""Jasmin's `/send`, `/rate` and `/secure/…`: its parameters become our requests.

Its ids are UUIDs and ours are numbers; both are opaque texts to who reads `Success "…"`. Pure.
"""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.credit.prices import format_micros, parse_micros
from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import SendRequest
from gateway.peers.callbacks import pack_jasmin
from gateway.peers.forms import Parameters, fit_gsm7
from gateway.text.alphabet import decode_gsm7
from gateway.upstream.times import NotATime, parse_time
from gateway.views import QuoteItem

NO_ROUTE = "No route found"
TOO_FAST = "User throughput exceeded"
NOTHING = "Mandatory arguments not found, please refer to the HTTPAPI specifications."
PONG = "Jasmin/PONG"

BATCH_MAX = 10_000
TAG_CHARS_MAX = 64

_FIELDS: dict[str, tuple[bool, re.Pattern[bytes] | None]] = {
    # Whether it has to be there, and what it looks like.
    "to": (True, re.compile(rb"\+?\d+")),
    "from": (False, None),
    "coding": (False, re.compile(rb"[0-9]|10|13|14")),
    "username": (True, None),
    "password": (True, None),
    "priority": (False, re.compile(rb"[0-3]")),
    "sdt": (False, re.compile(rb"\d{15}[+R-]")),
    "validity-period": (False, re.compile(rb"\d{1,9}")),
    "dlr": (False, re.compile(rb"yes|no")),
    "dlr-url": (False, re.compile(rb"https?://.+", re.DOTALL)),
    "dlr-level": (False, re.compile(rb"[1-3]")),
    "dlr-method": (False, re.compile(rb"get|post", re.IGNORECASE)),
    "tags": (False, re.compile(rb"[-a-zA-Z0-9,]*")),
    "content": (False, None),
    "hex-content": (False, re.compile(rb"(?:[0-9A-Fa-f]{2})*")),
    "custom_tlvs": (False, re.compile(rb"\[\]|")),
}
_RATE_FIELDS = frozenset(_FIELDS) - {"sdt", "dlr", "dlr-url", "dlr-level", "dlr-method"}

_CHARSETS = {1: "ascii", 3: "latin-1", 6: "iso8859_5", 7: "iso8859_8", 8: "utf-16-be"}
_CHARSETS |= {5: "shift_jis", 10: "iso2022_jp", 14: "euc_kr"}
_BINARY = (2, 4)
_LANES = ("transactional", "transactional", "otp", "otp")
_SECONDS = re.compile(r"(\d{1,9})s")


class Refused(Exception):
    """A call can't be taken: the status and the words of its answer."""

    def __init__(self, status: int, text: str, retry_after_s: float | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.retry_after_s = retry_after_s


class BatchCall(msgspec.Struct, frozen=True):
    """A batch: what could be read of it, and what could not."""

    requests: list[SendRequest]
    refused: list[tuple[str, str]]
    """Receivers of messages that can't be read, and why."""
    callback_url: str = ""
    errback_url: str = ""

    @property
    def count(self) -> int:
        return len(self.requests) + len(self.refused)


def read_send(parameters: Parameters, now: float, validity_max_s: int) -> SendRequest:
    """Return what `/send` asks for; raises Refused."""
    _check_fields(parameters, frozenset(_FIELDS))
    if "content" not in parameters and "hex-content" not in parameters:
        raise Refused(400, "content or hex-content not present.")
    return _read_request(parameters, now, validity_max_s)


def read_rate(parameters: Parameters, now: float, validity_max_s: int) -> SendRequest:
    """Return what `/rate` asks for; raises Refused."""
    _check_fields(parameters, _RATE_FIELDS)
    request = _read_request({"content": b"", **parameters}, now, validity_max_s)
    # A text of nothing has no price; one character has that of the first segment.
    return (
        msgspec.structs.replace(request, text=request.text or "-") if not request.data else request
    )


def read_json(body: bytes) -> dict[str, bytes]:
    """Return the parameters of a JSON object; raises Refused."""
    return to_parameters(read_object(body))


def read_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object; raises Refused."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # nested without end
        raise Refused(412, "Cannot parse JSON data") from None
    if not isinstance(value, dict):
        raise Refused(412, "Cannot parse JSON data")
    return value


def to_parameters(values: Mapping[str, Any]) -> dict[str, bytes]:
    """Return JSON values as a form would carry them; `_` in names stands for `-`."""
    parameters: dict[str, bytes] = {}
    for name, value in values.items():
        name = name if name == "custom_tlvs" else name.replace("_", "-")
        if isinstance(value, str):
            parameters[name] = value.encode("utf-8", "replace")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            parameters[name] = str(value).encode()
        else:
            parameters[name] = msgspec.json.encode(value)
    return parameters


def read_basic(header: bytes | None) -> tuple[str, str] | None:
    """Return username and password of `Authorization: Basic …`, None when there are none."""
    kind, _, encoded = (header or b"").partition(b" ")
    if kind.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    username, _, password = decoded.partition(":")
    return username, password


def read_batch(body: bytes, now: float, validity_max_s: int) -> BatchCall:
    """Return what `/secure/sendbatch` asks for; raises Refused."""
    batch = read_object(body)
    config, shared, messages = (
        batch.get(name, default)
        for name, default in (("batch_config", {}), ("globals", {}), ("messages", []))
    )
    if not isinstance(config, dict) or not isinstance(shared, dict):
        raise Refused(412, "Cannot parse JSON data")
    if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
        raise Refused(412, "Cannot parse JSON data")
    send_at = _read_schedule(config.get("schedule_at"), now)
    requests: list[SendRequest] = []
    refused: list[tuple[str, str]] = []
    for message in messages:
        merged = {**shared, **message}
        to = merged.pop("to", [])
        for receiver in to if isinstance(to, list) else [to]:
            if len(requests) + len(refused) >= BATCH_MAX:
                raise Refused(413, f"A batch has at most {BATCH_MAX} messages")
            _read_into(requests, refused, merged, receiver, send_at, now, validity_max_s)
    return BatchCall(
        requests, refused, _read_url(config, "callback_url"), _read_url(config, "errback_url")
    )


def write_refusal(rejected: Rejected) -> Refused:
    """Return the answer to a request that we don't take."""
    if rejected.status == 429:
        return Refused(403, TOO_FAST, rejected.retry_after_s)
    if rejected.status == 402:
        return Refused(403, f"Cannot charge submit_sm: {rejected.detail}")
    if rejected.code in ("no_route", "no_price", "no_margin"):
        return Refused(412, NO_ROUTE)
    status = rejected.status if rejected.status in (403, 503) else 400
    return Refused(status, rejected.detail, rejected.retry_after_s)


def describe(result: Accepted | Rejected) -> str:
    """Return a result in Jasmin's words: `Success "…"` or `Error "…"`."""
    if isinstance(result, Accepted):
        return f'Success "{result.id}"'
    return describe_error(write_refusal(result).text)


def describe_error(text: str) -> str:
    return 'Error "{}"'.format(text.replace('"', "'"))


def describe_rate(item: QuoteItem) -> dict[str, Any]:
    """Return what a message would cost a segment; the number is exact, as its digits stand."""
    each = parse_micros(item.price) // item.segments
    return {
        "unit_rate": msgspec.Raw(format_micros(each).encode()),
        "submit_sm_count": item.segments,
    }


def _check_fields(parameters: Parameters, known: frozenset[str]) -> None:
    if not parameters:
        raise Refused(400, NOTHING)
    for name, value in parameters.items():
        if name not in known:
            raise Refused(400, f"Argument [{name[:64]}] is unknown.")
        pattern = _FIELDS[name][1]
        if pattern is not None and not pattern.fullmatch(value):
            shown = value[:64].decode("utf-8", "replace")
            raise Refused(400, f"Argument [{name}] has an invalid value: [{shown}].")
    for name, (needed, _) in _FIELDS.items():
        if needed and name not in parameters:
            raise Refused(400, f"Mandatory argument [{name}] is not found.")
    if "content" in parameters and "hex-content" in parameters:
        raise Refused(400, "content and hex-content cannot be used both in same request.")


def _read_request(parameters: Parameters, now: float, validity_max_s: int) -> SendRequest:
    minutes = parameters.get("validity-period")
    content = _read_content(parameters)
    return SendRequest(
        to=parameters["to"].decode(),
        sender=parameters.get("from", b"").decode("utf-8", "replace") or None,
        tag=_read_tag(parameters),
        priority=_LANES[int(parameters.get("priority", b"0"))],
        validity_s=None if minutes is None else max(1, min(int(minutes) * 60, validity_max_s)),
        send_at=_read_sdt(parameters, now),
        callback_url=_read_callback(parameters),
        **content,
    )


def _read_content(parameters: Parameters) -> dict[str, Any]:
    coding = int(parameters.get("coding", b"0"))
    if "hex-content" in parameters:
        octets = bytes.fromhex(parameters["hex-content"].decode())
    else:
        octets = parameters["content"]
    if coding in _BINARY:
        return {"data": octets.hex()}
    if coding == 0:
        # A text comes as UTF-8; in hex it is what is sent.
        text = decode_gsm7(octets) if "hex-content" in parameters else _decode(octets, "utf-8")
        return {"text": fit_gsm7(text)}
    if coding not in _CHARSETS:
        raise Refused(400, f"coding {coding} is not supported.")
    text = _decode(octets, _CHARSETS[coding])
    return {"text": text, "encoding": "ucs2"} if coding == 8 else {"text": text}


def _decode(octets: bytes, charset: str) -> str:
    try:
        return octets.decode(charset)
    except (UnicodeDecodeError, ValueError):
        raise Refused(400, f"the content is not {charset}.") from None


def _read_tag(parameters: Parameters) -> str | None:
    tags = parameters.get("tags", b"").decode()
    if len(tags) > TAG_CHARS_MAX:
        raise Refused(400, f"tags have at most {TAG_CHARS_MAX} characters.")
    return tags or None


def _read_sdt(parameters: Parameters, now: float) -> str | None:
    if "sdt" not in parameters:
        return None
    at = parse_time(parameters["sdt"].decode(), now)
    if isinstance(at, NotATime):
        raise Refused(400, "Argument [sdt] has an invalid value.")
    return _write_time(at)


def _read_callback(parameters: Parameters) -> str | None:
    asked = "dlr-url" in parameters or "dlr-level" in parameters
    if not (asked or parameters.get("dlr") == b"yes") or "dlr-url" not in parameters:
        return None
    level = int(parameters.get("dlr-level", b"1"))
    method = parameters.get("dlr-method", b"POST").decode().upper()
    url = parameters["dlr-url"].decode("utf-8", "replace")
    return pack_jasmin(level, method, urllib.parse.quote(url, safe="!#$%&'()*+,/:;=?@[]~"))


def _read_schedule(value: Any, now: float) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and (seconds := _SECONDS.fullmatch(value)):
        return _write_time(now + int(seconds[1]))
    try:
        at = datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
    except (TypeError, ValueError):
        raise Refused(412, "Cannot parse scheduled_at value") from None
    if at < now:
        raise Refused(412, "Cannot schedule batch in past date")
    return _write_time(at)


def _read_url(config: Mapping[str, Any], name: str) -> str:
    url = config.get(name) or ""
    if not isinstance(url, str) or (url and not url.startswith(("http://", "https://"))):
        raise Refused(412, f"{name} is not an address")
    return urllib.parse.quote(url, safe="!#$%&'()*+,/:;=?@[]~")


def _read_into(
    requests: list[SendRequest],
    refused: list[tuple[str, str]],
    message: Mapping[str, Any],
    receiver: Any,
    send_at: str | None,
    now: float,
    validity_max_s: int,
) -> None:
    """Read one message of a batch; what has no receiver or content is left out, as there."""
    named = {"username": "-", "password": "-", **message, "to": receiver}
    parameters = to_parameters(named)
    if not ("content" in parameters or "hex-content" in parameters) or not receiver:
        return
    try:
        request = read_send(parameters, now, validity_max_s)
    except Refused as error:
        refused.append((parameters["to"].decode("utf-8", "replace"), error.text))
        return
    if send_at is not None:
        request = msgspec.structs.replace(request, send_at=send_at)
    requests.append(request)


def answer_batch_results(
    results: Sequence[Accepted | Rejected], call: BatchCall
) -> list[tuple[str, bool, str]]:
    """Return, for each message of a batch, its receiver, whether it was taken, and its words."""
    told = [
        (request.to, isinstance(result, Accepted), describe(result))
        for request, result in zip(call.requests, results, strict=True)
    ]
    return told + [(to, False, describe_error(why)) for to, why in call.refused]


def _write_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
