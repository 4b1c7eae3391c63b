"""Read delivery receipts, however a carrier writes them.

Appendix B of SMPP 3.4 gives the text of a receipt as an example only, and carriers took it so.
The usual shape is read by one expression; every other one by a scan that looks for the known
keys in any order and asks for none of them but an id. Nothing raises on any octets.

What a TLV says goes before what the text says. Ids are handed out as they came: the carrier's
`IdRule` brings them to the form in which they are matched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from gateway.dlr.dialects import Dialect
from gateway.dlr.ids import ID_CHARACTERS_MAX
from gateway.dlr.states import STATE_OF, STATE_OF_WORD, STATUS_OF, WORD_OF, MessageState
from gateway.dlr.tags import (
    ESM_CLASS_INTERMEDIATE,
    ESM_CLASS_RECEIPT,
    TAG_MESSAGE_PAYLOAD,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_RECEIPTED_MESSAGE_ID,
)
from gateway.lifecycle import Status

ERROR_CHARACTERS_MAX = 32
TEXT_CHARACTERS_MAX = 160

SCANNED_OCTETS_MAX = 1024
"""How much of a body is looked at: a `message_payload` may have 64 kB, a receipt never."""


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a carrier reports of one segment.

    Strings hold neither NUL nor surrogates, so that any store takes them.
    """

    carrier_message_id: str
    """As it came, without padding."""
    status: Status
    """SUBMITTED when the report is not final."""
    code: int
    """SMPP's message_state, 7 (UNKNOWN) when the carrier's word is unknown."""
    error: str
    """`err` of the text: usually three digits, sometimes words; "" when there is none."""
    network_error: str
    """The TLV as `type:code` or the digits that a carrier writes there; "" when there is none."""
    submitted_at: float | None
    """Epoch seconds, as `done_at`; None when the carrier gives no date that exists."""
    done_at: float | None
    text: str
    recipient: str
    """The handset's number as the carrier writes it: a receipt comes from its destination."""
    sender: str


class NotAReceipt(msgspec.Struct, frozen=True, gc=False):
    """An ordinary inbound message."""


class Malformed(msgspec.Struct, frozen=True, gc=False):
    """Marked as a receipt, but it does not say of what; `reason` is for logs, it quotes nothing."""

    reason: str


NOT_A_RECEIPT = NotAReceipt()

_MARKED = ESM_CLASS_RECEIPT | ESM_CLASS_INTERMEDIATE

# What most carriers write, read in an eighth of the scan's time (1 µs against 8). The groups, in
# this order, are what the scan returns too.
_USUAL = re.compile(
    r"id:(?P<id>[!-~]{1,64})"
    r"(?: sub:[0-9]{1,3})?"
    r"(?: dlvrd:[0-9]{1,3})?"
    r" submit date:(?P<submit>[0-9]{10,14})"
    r" done date:(?P<done>[0-9]{10,14})"
    r" stat:(?P<stat>[A-Z]{5,9})"
    r"(?: err:(?P<err>[0-9A-Za-z]{1,4}))?"
    r"(?: ?[Tt]ext:(?P<text>.*))?",
    re.DOTALL,
).fullmatch
_KEY = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"(?P<id>id)"
    r"|(?P<submit>submit[ _]?date)"
    r"|(?P<done>done[ _]?date)"
    r"|(?P<stat>stat(?:us|e)?)"
    r"|(?P<err>err(?:or)?(?:[ _]?code)?)"
    r"|(?P<text>text)"
    r"|(?P<counts>sub|dlvrd)"
    r") ?:",
    re.ASCII | re.IGNORECASE,
)
_LOOKS_LIKE_A_RECEIPT = re.compile(
    r"\s*id:\S+\s.*(?:stat|done date):", re.ASCII | re.DOTALL | re.IGNORECASE
).match

_NOT_DIGITS = re.compile("[^0-9]+")
_AROUND = " ,;'\""  # what some put between fields or around values
_YEAR_MIN = 2000
_DATA_CODING_UCS2 = 8

_UNKNOWN = (int(MessageState.UNKNOWN), Status.UNKNOWN)
_MEANING_OF_WORD = {word: (int(state), STATUS_OF[state]) for word, state in STATE_OF_WORD.items()}
_WORD_OF_TLV = {bytes((state,)): word for state, word in WORD_OF.items()}


def parse_receipt(
    *,
    esm_class: int,
    short_message: bytes,
    data_coding: int,
    tlvs: Mapping[int, bytes],
    source: str,
    destination: str,
    dialect: Dialect,
) -> Receipt | NotAReceipt | Malformed:
    """Return what a `deliver_sm` (or `data_sm`) reports; never raises.

    It is a receipt by its `esm_class`, else by a receipted_message_id TLV, else, when the
    dialect allows that, by its text. A missing field is "" or None; a missing state is UNKNOWN,
    except in an intermediate notification, which is SUBMITTED whatever it says.
    """
    body = short_message
    tlv_id = tlv_word = network_error = ""
    if tlvs:
        tlv_id = _read_c_string(tlvs.get(TAG_RECEIPTED_MESSAGE_ID, b""))
        tlv_word = _WORD_OF_TLV.get(tlvs.get(TAG_MESSAGE_STATE, b""), "")
        network_error = _read_network_error(tlvs.get(TAG_NETWORK_ERROR_CODE, b""), dialect)
        body = body or tlvs.get(TAG_MESSAGE_PAYLOAD, b"")
    if not esm_class & _MARKED and not tlv_id and not _is_unmarked_receipt(body, dialect):
        return NOT_A_RECEIPT

    text, is_ucs2 = _decode(body)
    usual = _USUAL(text)
    fields = usual.groups("") if usual is not None else _scan(text, bool(tlv_id), dialect)
    text_id, submitted, done, word, error, quoted = fields
    message_id = tlv_id or text_id
    if not message_id:
        return Malformed("no message id")
    if len(message_id) > ID_CHARACTERS_MAX:
        return Malformed(f"a message id of {len(message_id)} characters")
    word = tlv_word or word
    code, status = _judge(word, dialect)
    if esm_class & ESM_CLASS_INTERMEDIATE:
        code, status = code if word else int(MessageState.ENROUTE), Status.SUBMITTED
    offset_s = dialect.utc_offset_minutes * 60
    return Receipt(
        message_id,
        status,
        code,
        error,
        network_error,
        _read_date(submitted, offset_s),
        _read_date(done, offset_s),
        _read_quoted(quoted, None if is_ucs2 else data_coding) if quoted else "",
        source,
        destination,
    )


def _is_unmarked_receipt(body: bytes, dialect: Dialect) -> bool:
    return dialect.text_pattern and _LOOKS_LIKE_A_RECEIPT(_decode(body)[0]) is not None


def _decode(body: bytes) -> tuple[str, bool]:
    """Return a body as text, and whether that was UCS-2; else every octet is one character.

    Carriers write receipts in ASCII whatever `data_coding` says, with a few that do use UCS-2:
    then the first colon and the letter before it have a zero octet in front.
    """
    body = body[:SCANNED_OCTETS_MAX]
    colon = body.find(b":")
    if body[max(colon - 3, 0) : max(colon, 0) : 2] == b"\0\0":
        return body.decode("utf-16-be", "replace"), True
    return body.decode("latin-1"), False


def _judge(word: str, dialect: Dialect) -> tuple[int, Status]:
    """Return message_state and status of a state's word, the dialect's reading first."""
    word = word.upper()
    meaning = _MEANING_OF_WORD.get(word)
    if dialect.statuses:
        status = dialect.statuses.get(word)
        if status is None and meaning is not None:  # a full form of a word it knows
            status = dialect.statuses.get(WORD_OF[MessageState(meaning[0])])
        if status is not None:
            return (meaning[0] if meaning else int(STATE_OF[status])), status
    return meaning or _UNKNOWN


def _scan(text: str, has_id: bool, dialect: Dialect) -> tuple[str, ...]:
    """Return the fields of a receipt whose keys stand in any order, "" for what is not there.

    The first of equal keys holds. Once the id is known, whatever follows `text:` is the quoted
    message, so that nobody can write a receipt into a text.
    """
    values: dict[str, str] = {}
    name, start = "", 0
    for key in _KEY.finditer(text):
        values.setdefault(name, text[start : key.start()])
        name, start = key.lastgroup or "", key.end()
        if name == "text" and (has_id or "id" in values):
            break
    values.setdefault(name, text[start:])
    return (
        _first_token(values.get("id", "")),
        _find_date(values.get("submit", "")),
        _find_date(values.get("done", "")),
        _first_token(values.get("stat", "")) or _find_bare_word(values, dialect),
        _find_error(values.get("err", "")),
        values.get("text", ""),
    )


def _find_bare_word(values: Mapping[str, str], dialect: Dialect) -> str:
    """Return the state's word of a receipt that lacks the key before it (`... DELIVRD err:000`)."""
    for name, value in values.items():
        if name == "text":
            continue
        tokens = value.split()
        own = 1 if name in ("id", "err") else 0  # the first is that key's own value
        for token in tokens[own:]:
            word = token.upper()
            if word in _MEANING_OF_WORD or word in dialect.statuses:
                return word
    return ""


def _find_date(value: str) -> str:
    """Return the digits of a date, also of one with separators (`2026-11-22 09:15`)."""
    first = _first_token(value)
    return first if first.isdecimal() else _NOT_DIGITS.sub("", value)


def _find_error(value: str) -> str:
    """Return an error code without what follows it, or all words of an error in words."""
    error = _first_token(value)
    if not any(character.isdecimal() for character in error):
        error = " ".join(value.replace("\0", "").split()).strip(_AROUND)
    return error[:ERROR_CHARACTERS_MAX]


def _first_token(value: str) -> str:
    tokens = value.replace("\0", "").split(None, 1)
    return tokens[0].strip(_AROUND) if tokens else ""


def _read_c_string(octets: bytes) -> str:
    return octets.partition(b"\0")[0].decode("latin-1").strip()


def _read_network_error(octets: bytes, dialect: Dialect) -> str:
    """Return `type:code`, or what a carrier has instead: three digits, or octets in hex."""
    if len(octets) != 3:
        return octets.hex()[:ERROR_CHARACTERS_MAX]
    if dialect.network_error_ascii and octets.isdigit():
        return octets.decode("ascii")
    return f"{octets[0]}:{octets[1] << 8 | octets[2]}"


def _read_date(digits: str, offset_s: int) -> float | None:
    seconds = _seconds_of(digits)
    return None if seconds is None else seconds - offset_s


@lru_cache(maxsize=4096)  # at 1,000 receipts a second most of them name the same few minutes
def _seconds_of(digits: str) -> float | None:
    """Return the epoch seconds of a carrier's date as if its clock were UTC, None for no date.

    YYMMDDhhmm, with seconds, with a year of four digits, or both. Twelve digits may be either;
    with "20" in front they are a full year until the YYMMDD of 2020 comes back.
    """
    match len(digits):
        case 10:
            return _date_of("20" + digits)
        case 12 if digits.startswith("20"):
            full_year = _date_of(digits)
            return _date_of("20" + digits) if full_year is None else full_year
        case 12:
            return _date_of("20" + digits)
        case 14:
            return _date_of(digits)
        case _:
            return None


def _date_of(digits: str) -> float | None:
    """Return the epoch seconds of YYYYMMDDhhmm[ss]."""
    year, seconds = int(digits[:4]), int(digits[12:] or 0)
    month, day, hour, minute = (int(digits[i : i + 2]) for i in range(4, 12, 2))
    if year < _YEAR_MIN:
        return None
    try:
        return datetime(year, month, day, hour, minute, seconds, tzinfo=UTC).timestamp()
    except ValueError:  # 0000000000 and its like
        return None


def _read_quoted(quoted: str, data_coding: int | None) -> str:
    """Return the quoted message as text; None for a `data_coding` means that it is text already.

    It is what the carrier cut from the octets of the message itself, in any encoding, so this is
    a guess for people to read.
    """
    quoted = quoted[:TEXT_CHARACTERS_MAX]
    if data_coding is not None and not (quoted.isascii() and quoted.isprintable()):
        octets = quoted.encode("latin-1")
        if data_coding == _DATA_CODING_UCS2:
            quoted = octets.decode("utf-16-be", "replace")
        else:
            with suppress(UnicodeDecodeError):  # then it stays Latin-1
                quoted = octets.decode("utf-8")
    return quoted.replace("\0", "").strip()
