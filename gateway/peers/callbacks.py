"""Callbacks as other gateways make them: what is stored with a message, and each call.

A message's `callback_url` holds how it is to be told: a plain address for our own events, or one of

    kannel:MASK:URL              GET, when the mask has the news; %-escapes in the address
    jasmin:LEVEL:METHOD:URL      GET or POST with parameters; taken once ACK/Jasmin is answered

An outbox row of theirs has the finished call as its address: `get:URL`, `get-ack:URL` or
`post-ack:URL`, the last with the row's body. Pure.
"""

from __future__ import annotations

import enum
import re
import urllib.parse
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from gateway.dlr.build import build_receipt_text
from gateway.dlr.states import STATE_OF, WORD_OF
from gateway.ids import accepted_at
from gateway.lifecycle import Status
from gateway.model import AccountId, MessageId
from gateway.outcomes import Notice, Party
from gateway.smpp.vocabulary import status_name

KANNEL_MASK_MAX = 63

_SCHEMES = ("kannel:", "jasmin:")
_KANNEL = re.compile(r"kannel:([0-9]{1,2}):(https?://.*)", re.DOTALL)
_JASMIN = re.compile(r"jasmin:([123]):(GET|POST):(https?://.*)", re.DOTALL)
_ESCAPE = re.compile(r"%(.)", re.DOTALL)


class KannelNews(enum.IntFlag):
    """The bits of a dlr-mask, and what %d becomes."""

    DELIVERED = 1
    FAILED = 2
    BUFFERED = 4
    TAKEN = 8
    REFUSED = 16
    INTERMEDIATE = 32


class KannelCallback(msgspec.Struct, frozen=True):
    mask: int
    url: str


class JasminCallback(msgspec.Struct, frozen=True):
    level: int
    """1: what the carrier answered; 2: its receipt; 3: both."""
    method: str
    url: str


class Turn(enum.Enum):
    """What has happened to a message that is told of."""

    TAKEN = "taken"
    """The carrier has answered for all of it."""
    ON_ITS_WAY = "on_its_way"
    """A receipt that is not final."""
    ENDED_THERE = "ended_there"
    """By a receipt, or because none came."""
    ENDED_HERE = "ended_here"
    """No carrier took it."""


class Trail(msgspec.Struct, frozen=True):
    """What peers' callbacks say besides a status."""

    turn: Turn = Turn.ENDED_THERE
    carrier: str = ""
    carrier_message_id: str = ""
    submitted_at: float | None = None
    code: int | None = None
    """The command_status that ended it here."""


NO_TRAIL = Trail()


class Form(enum.Enum):
    """How an outbox row is delivered."""

    EVENT = ""
    GET = "get:"
    GET_ACK = "get-ack:"
    POST_ACK = "post-ack:"

    @property
    def wants_ack(self) -> bool:
        return self in (Form.GET_ACK, Form.POST_ACK)


def is_peers(callback_url: str) -> bool:
    """Say whether a message is told of in a peer's way."""
    return callback_url.startswith(_SCHEMES)


def pack_kannel(mask: int, url: str) -> str:
    return f"kannel:{mask}:{url}"


def pack_jasmin(level: int, method: str, url: str) -> str:
    return f"jasmin:{level}:{method}:{url}"


def unpack(callback_url: str) -> KannelCallback | JasminCallback | None:
    """Return what a `callback_url` asks for; None for a plain address and for nonsense."""
    if match := _KANNEL.fullmatch(callback_url):
        mask = int(match[1])
        return KannelCallback(mask, match[2]) if mask <= KANNEL_MASK_MAX else None
    if match := _JASMIN.fullmatch(callback_url):
        return JasminCallback(int(match[1]), match[2], match[3])
    return None


def split_target(url: str) -> tuple[Form, str]:
    """Return how an outbox row is delivered, and where to."""
    for form in (Form.GET, Form.GET_ACK, Form.POST_ACK):
        if url.startswith(form.value):
            return form, url[len(form.value) :]
    return Form.EVENT, url


def fill_escapes(pattern: str, values: Mapping[str, str]) -> str:
    """Put values in the place of %-escapes, encoded for an address; others stay as they are."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        return urllib.parse.quote(values[match[1]], safe="")

    return _ESCAPE.sub(fill, pattern)


def fill_for_later(pattern: str, values: Mapping[str, str]) -> str:
    """As `fill_escapes`, so that the result is a pattern in which these values stay as they are."""

    def fill(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        return urllib.parse.quote(values[match[1]], safe="").replace("%", "%%")

    return _ESCAPE.sub(fill, pattern)


def build_peer_notice(
    account_id: AccountId,
    message_id: MessageId,
    party: Party,
    status: Status,
    error: str,
    at: float,
    trail: Trail,
) -> Notice | None:
    """Return the outbox row that makes a peer's call; None when it does not ask for this news."""
    match unpack(party.callback_url):
        case KannelCallback(mask, url):
            news = _find_news(mask, status, trail.turn)
            if news is None:
                return None
            values = _kannel_values(news, message_id, party, status, error, at, trail)
            target, body = Form.GET.value + _fill_kannel(url, values), ""
        case JasminCallback(level, method, url):
            told = _find_level(level, status, trail.turn)
            if told is None:
                return None
            values = _jasmin_values(told, message_id, status, error, at, trail)
            target, body = _write_jasmin(method, url, values)
        case _:
            return None
    return Notice(account_id, message_id, target, body, at)


def build_batch_notice(
    account_id: AccountId, url: str, batch_id: str, to: str, status_text: str, ok: bool, at: float
) -> Notice:
    """Return the call that tells of one message of a Jasmin batch."""
    values = {"batchId": batch_id, "to": to, "status": str(int(ok)), "statusText": status_text}
    return Notice(account_id, MessageId(0), f"{Form.GET.value}{_with_query(url, values)}", "", at)


# ── Kannel ──────────────────────────────────────────────────────────────────────────────────


def _find_news(mask: int, status: Status, turn: Turn) -> KannelNews | None:
    match turn:
        case Turn.TAKEN:
            news = KannelNews.TAKEN
        case Turn.ON_ITS_WAY:
            buffered = mask & KannelNews.BUFFERED
            news = KannelNews.BUFFERED if buffered else KannelNews.INTERMEDIATE
        case Turn.ENDED_THERE:
            delivered = status is Status.DELIVERED
            news = KannelNews.DELIVERED if delivered else KannelNews.FAILED
        case Turn.ENDED_HERE:
            news = KannelNews.REFUSED
    return news if mask & news and status is not Status.CANCELED else None


def _kannel_values(
    news: KannelNews,
    message_id: MessageId,
    party: Party,
    status: Status,
    error: str,
    at: float,
    trail: Trail,
) -> dict[str, str]:
    reply = _write_reply(news, message_id, status, error, at, trail)
    words = reply.split()
    moment = datetime.fromtimestamp(int(at), UTC)
    return {
        "d": str(int(news)),
        "A": reply,
        "a": " ".join(words),
        "b": reply,
        "k": words[0] if words else "",
        "r": " ".join(words[1:]),
        "s": words[1] if len(words) > 1 else "",
        "F": trail.carrier_message_id,
        "I": str(message_id),
        "i": trail.carrier,
        # As in a receipt: whoever it comes from is where the message went.
        "p": party.recipient,
        "P": party.sender,
        "q": _with_plus(party.recipient),
        "Q": _with_plus(party.sender),
        "t": f"{moment:%Y-%m-%d %H:%M:%S}",
        "T": str(int(at)),
        "B": error,
    }


def _fill_kannel(url: str, values: Mapping[str, str]) -> str:
    # An address holds no NUL: it stands for a percent sign that was written twice.
    return fill_escapes(url.replace("%%", "\0"), values).replace("\0", "%")


def _write_reply(
    news: KannelNews, message_id: MessageId, status: Status, error: str, at: float, trail: Trail
) -> str:
    if news is KannelNews.TAKEN:
        return "ACK/"
    if news is KannelNews.REFUSED:
        code = trail.code or 0
        return f"NACK/0x{code:08x}/{error or status_name(code)}"
    submitted_at = trail.submitted_at if trail.submitted_at is not None else accepted_at(message_id)
    return build_receipt_text(
        message_id=trail.carrier_message_id or str(message_id),
        status=status,
        submitted_at=submitted_at,
        done_at=at,
        error=_error_code(error),
    ).decode()


def _with_plus(address: str) -> str:
    return f"+{address[2:]}" if address.startswith("00") else address


# ── Jasmin ──────────────────────────────────────────────────────────────────────────────────


def _find_level(level: int, status: Status, turn: Turn) -> int | None:
    """Return the level that is told of: who asked for receipts alone hears of a refusal too."""
    if status is Status.CANCELED or turn is Turn.ON_ITS_WAY:
        return None
    if turn is Turn.TAKEN:
        return 1 if level in (1, 3) else None
    if turn is Turn.ENDED_HERE:
        return 2 if level == 2 else 1
    return 2 if level in (2, 3) else None


def _jasmin_values(
    level: int, message_id: MessageId, status: Status, error: str, at: float, trail: Trail
) -> dict[str, str]:
    values = {"id": str(message_id), "level": str(level), "connector": trail.carrier}
    if level == 1:
        refused = trail.code if trail.turn is Turn.ENDED_HERE else 0
        values["message_status"] = (
            WORD_OF[STATE_OF[status]] if refused is None else status_name(refused)
        )
        return values
    submitted_at = trail.submitted_at if trail.submitted_at is not None else accepted_at(message_id)
    return values | {
        "message_status": WORD_OF[STATE_OF[status]],
        "id_smsc": trail.carrier_message_id,
        "subdate": _write_minute(submitted_at),
        "donedate": _write_minute(at),
        "sub": "001",
        "dlvrd": "001" if status is Status.DELIVERED else "000",
        "err": _error_code(error),
        "text": "",
    }


def _write_jasmin(method: str, url: str, values: Mapping[str, str]) -> tuple[str, str]:
    if method == "GET":
        return Form.GET_ACK.value + _with_query(url, values), ""
    return Form.POST_ACK.value + url, urllib.parse.urlencode(values)


def _with_query(url: str, values: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urllib.parse.urlencode(values)}"


def _write_minute(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%y%m%d%H%M")


def _error_code(error: str) -> str:
    """Return a carrier's error where it gave one as a code; ours are sentences, for people."""
    usable = 0 < len(error) <= 4 and error.isascii() and error.isalnum()
    return error.rjust(3, "0") if usable else "000"
