"""Kannel's `/cgi-bin/sendsms`: its parameters become our requests, our results its answers.

What can't be done is refused with a sentence, never left out silently: message waiting indicators,
compression, protocol ids, reply paths, and a user data header before text. `smsc` chooses nothing
here: routes do, and may do so by the tag that it becomes. Pure.
"""

from __future__ import annotations

import re
import string
import urllib.parse
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec

from gateway.errors import Rejected
from gateway.message import Accepted
from gateway.model import Account, SendRequest
from gateway.peers.callbacks import KANNEL_MASK_MAX, fill_for_later, pack_kannel
from gateway.peers.forms import Parameters, fit_gsm7, read_number, read_text

PATH = "/cgi-bin/sendsms"

ACCEPTED = "0: Accepted for delivery"
QUEUED = "3: Queued for later delivery"
TRY_AGAIN = "Temporal failure, try again later."
NOT_AUTHORIZED = "Authorization failed for sendsms"
DENIED = "Number(s) has/have been denied by white- and/or black-lists."

TO_MAX = 1_000
_TAG_CHARS_MAX = 64
_NUMBER_CHARS = set("0123456789 +-")
_VISIBLE = frozenset(string.digits + string.ascii_letters + string.punctuation)
_HEADERS = (
    *("username", "password", "from", "to", "smsc", "udh", "dlr-url", "account", "binfo"),
    *("coding", "charset", "pid", "mwi", "mclass", "alt-dcs", "compress", "validity", "deferred"),
    *("dlr-mask", "rpi", "priority", "meta-data"),
)
"""Parameters that a POST may have as X-Kannel-… headers, with the text as its body."""
_HEX = re.compile(rb"[0-9A-Fa-f\s]*")

_CODINGS = ("7-bit", "8-bit", "UCS-2")
_LANES = ("transactional", "transactional", "otp", "otp")
_UNSUPPORTED = ("mwi", "compress", "pid", "rpi")


class Call(msgspec.Struct, frozen=True):
    """What a call asks for: one request a receiver."""

    requests: list[SendRequest]


class Reply(msgspec.Struct, frozen=True):
    """An answer: a status and a line of text."""

    status: int
    text: str
    retry_after_s: float | None = None


class _Misformed(Exception):
    """A parameter can't be used; its argument is the answer."""


def read_headers(headers: Sequence[tuple[bytes, bytes]], body: bytes) -> dict[str, bytes]:
    """Return the parameters of a POST whose body is the text."""
    known = {f"x-kannel-{name}".encode(): name for name in _HEADERS}
    parameters = {known[name]: value for name, value in headers if name in known}
    if "udh" in parameters and _HEX.fullmatch(parameters["udh"]):
        parameters["udh"] = bytes.fromhex(parameters["udh"].decode())
    return {**parameters, "text": body}


def read_credentials(parameters: Parameters) -> tuple[str, str]:
    """Return the username and the password, empty where there is none."""
    username = read_text(parameters, "username", "user") or ""
    return username, read_text(parameters, "password", "pass") or ""


def read_call(
    parameters: Parameters, account: Account, now: float, validity_max_s: int
) -> Call | Reply:
    """Return what a call asks for, or the answer that refuses it."""
    try:
        return _read_call(parameters, account, now, validity_max_s)
    except _Misformed as misformed:
        return Reply(400, str(misformed))


def answer_results(
    results: Sequence[Accepted | Rejected], requests: Sequence[SendRequest], *, carriers_up: bool
) -> Reply:
    """Return the answer that tells these results."""
    refused = [
        (result, request)
        for result, request in zip(results, requests, strict=True)
        if isinstance(result, Rejected)
    ]
    if len(refused) == len(results):
        return answer_rejected(refused[0][0])
    later = not carriers_up or any(
        isinstance(result, Accepted) and result.status == "scheduled" for result in results
    )
    text = QUEUED if later else ACCEPTED
    if refused:
        text += " Denied receivers are: " + " ".join(request.to for _, request in refused)
    return Reply(202, text)


def answer_rejected(rejected: Rejected) -> Reply:
    """Return the answer to a call of which nothing can be taken."""
    if rejected.status in (429, 503):
        return Reply(503, TRY_AGAIN, rejected.retry_after_s or 1.0)
    if rejected.status in (401, 403):
        return Reply(403, NOT_AUTHORIZED)
    if rejected.field == "to":
        return Reply(400, DENIED)
    if rejected.code == "sender_missing":
        return Reply(400, "Sender missing and no global set, rejected")
    status = 400 if rejected.status == 422 else rejected.status
    return Reply(status, f"{rejected.detail}, rejected")


def _read_call(parameters: Parameters, account: Account, now: float, validity_max_s: int) -> Call:
    receivers = _read_receivers(parameters)
    _refuse_unsupported(parameters)
    coding = _read_ranged(parameters, "coding", 0, 2, "Coding")
    udh = parameters.get("udh", b"")
    if coding is None:
        coding = 1 if udh else 0
    template = SendRequest(
        to="",
        sender=read_text(parameters, "from") or None,
        tag=_read_tag(parameters),
        callback_url=_read_callback(parameters, account, coding),
        message_class=_read_class(parameters),
        priority=_LANES[_read_ranged(parameters, "priority", 0, 3, "Priority") or 0],
        validity_s=_read_validity(parameters, validity_max_s),
        send_at=_read_deferred(parameters, now),
    )
    content = _read_content(parameters, coding, udh)
    template = content(template)
    return Call([msgspec.structs.replace(template, to=receiver) for receiver in receivers])


def _read_receivers(parameters: Parameters) -> list[str]:
    to = read_text(parameters, "to")
    if to is None:
        raise _Misformed("Missing receiver number, rejected")
    receivers = list(dict.fromkeys(to.split()))
    if not receivers:
        raise _Misformed("Empty receiver number not allowed, rejected")
    if len(receivers) > TO_MAX:
        raise _Misformed(f"More than {TO_MAX} receivers, rejected")
    good = [receiver for receiver in receivers if set(receiver) <= _NUMBER_CHARS]
    if not good:
        raise _Misformed(DENIED)
    return receivers


def _refuse_unsupported(parameters: Parameters) -> None:
    for name in _UNSUPPORTED:
        if read_number(parameters.get(name, b"0"), 0, 0) is None and parameters[name] != b"-1":
            raise _Misformed(f"{name} is not supported, rejected")


def _read_ranged(
    parameters: Parameters, name: str, least: int, most: int, shown: str
) -> int | None:
    raw = parameters.get(name, b"")
    if not raw or raw == b"-1":
        return None
    number = read_number(raw, least, most)
    if number is None:
        raise _Misformed(f"{shown} field misformed, rejected")
    return number


def _read_class(parameters: Parameters) -> int | None:
    if "mclass" in parameters:
        return _read_ranged(parameters, "mclass", 0, 3, "MClass")
    # The old name's 1 was class 0, shown at once.
    flash = _read_ranged(parameters, "flash", 0, 1, "Flash")
    return 0 if flash else None


def _read_validity(parameters: Parameters, validity_max_s: int) -> int | None:
    minutes = _read_ranged(parameters, "validity", 0, 10**8, "Validity")
    return None if minutes is None else max(60, min(minutes * 60, validity_max_s))


def _read_deferred(parameters: Parameters, now: float) -> str | None:
    minutes = _read_ranged(parameters, "deferred", 0, 10**6, "Deferred")
    if not minutes:
        return None
    return datetime.fromtimestamp(now + minutes * 60, UTC).isoformat()


def _read_tag(parameters: Parameters) -> str | None:
    tag = read_text(parameters, "account") or read_text(parameters, "smsc") or ""
    if len(tag) > _TAG_CHARS_MAX or not tag.isprintable():
        raise _Misformed("Account field misformed or too long, rejected")
    return tag or None


def _read_callback(parameters: Parameters, account: Account, coding: int) -> str | None:
    mask_name = "dlr-mask" if "dlr-mask" in parameters else "dlrmask"
    mask = _read_ranged(parameters, mask_name, 0, KANNEL_MASK_MAX, "DLR-Mask")
    url = read_text(parameters, "dlr-url", "dlrurl")
    if not url:
        return None
    if not url.lower().startswith(("http://", "https://")) or len(url) < len("http://x"):
        raise _Misformed("DLR-URL field misformed, rejected")
    if not mask:
        return None
    scheme, _, rest = url.partition("://")
    url = f"{scheme.lower()}://{''.join(map(_write_visible, rest))}"
    udh = parameters.get("udh", b"")
    known = {
        "n": account.name,
        "o": read_text(parameters, "account") or "",
        "c": str(coding),
        "C": read_text(parameters, "charset") or ("UTF-8", "8-BIT", "UTF-16BE")[coding],
        "m": read_text(parameters, "mclass") or "-1",
        "M": "-1",
        "O": "00",
        "D": read_text(parameters, "meta-data") or "",
        "u": udh.decode("latin-1"),
    }
    return pack_kannel(mask, fill_for_later(url, known))


def _write_visible(character: str) -> str:
    """Encode what an address can't show, so that it is no %-escape either."""
    if character in _VISIBLE:
        return character
    return urllib.parse.quote(character).replace("%", "%%")


def _read_content(
    parameters: Parameters, coding: int, udh: bytes
) -> Callable[[SendRequest], SendRequest]:
    """Return what puts a call's content into a request."""
    raw = parameters.get("text", b"")
    if udh and udh[0] != len(udh) - 1:
        raise _Misformed("UDH field misformed, rejected")
    if coding == 1:
        data = {"data": raw.hex(), "udh": udh.hex() or None}
        return lambda request: msgspec.structs.replace(request, **data)
    if udh:
        raise _Misformed(f"UDH before {_CODINGS[coding]} text is not supported, rejected")
    charset = read_text(parameters, "charset") or ("UTF-8" if coding == 0 else "UTF-16BE")
    try:
        text = raw.decode(charset)
    except (LookupError, UnicodeDecodeError, ValueError):
        raise _Misformed("Charset or body misformed, rejected") from None
    if coding == 2:
        return lambda request: msgspec.structs.replace(request, text=text, encoding="ucs2")
    if "coding" in parameters:  # seven bits were asked for, and are what is sent
        text = fit_gsm7(text)
    return lambda request: msgspec.structs.replace(request, text=text)
