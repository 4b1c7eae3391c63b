"""Read delivery receipts, however a carrier writes them.

Appendix B of SMPP 3.4 gives the text of a receipt as an example only, and carriers took it so.
The usual shape is read by `usual.py`, every other one by `scan.py`. Nothing raises on any octets.

What a TLV says goes before what the text says. Ids are handed out as they came: the carrier's
`IdRule` brings them to the form in which they are matched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Protocol

from gateway.dlr.dialects import Dialect
from gateway.dlr.ids import ID_CHARACTERS_MAX
from gateway.dlr.receipt import Malformed, NotAReceipt, Receipt
from gateway.dlr.scan import ERROR_CHARACTERS_MAX, scan
from gateway.dlr.states import STATE_OF, STATE_OF_WORD, STATUS_OF, WORD_OF, MessageState
from gateway.dlr.tags import (
    ESM_CLASS_INTERMEDIATE,
    ESM_CLASS_RECEIPT,
    TAG_MESSAGE_PAYLOAD,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_RECEIPTED_MESSAGE_ID,
)
from gateway.dlr.usual import read_usual
from gateway.lifecycle import Status

TEXT_CHARACTERS_MAX = 160

SCANNED_OCTETS_MAX = 1024
"""How much of a body is looked at: a `message_payload` may have 64 kB, a receipt never."""


NOT_A_RECEIPT = NotAReceipt()

_MARKED = ESM_CLASS_RECEIPT | ESM_CLASS_INTERMEDIATE

_LOOKS_LIKE_A_RECEIPT = re.compile(
    r"\s*id:\S+\s.*(?:stat|done date):", re.ASCII | re.DOTALL | re.IGNORECASE
).match

_DATA_CODING_UCS2 = 8

_UNKNOWN = (int(MessageState.UNKNOWN), Status.UNKNOWN)
_MEANING_OF_WORD = {word: (int(state), STATUS_OF[state]) for word, state in STATE_OF_WORD.items()}
_WORD_OF_TLV = {bytes((state,)): word for state, word in WORD_OF.items()}


class Deliver(Protocol):
    """What is looked at of a `deliver_sm`, or of a `data_sm` read as one."""

    @property
    def esm_class(self) -> int: ...
    @property
    def short_message(self) -> bytes: ...
    @property
    def data_coding(self) -> int: ...
    @property
    def tlvs(self) -> Mapping[int, bytes]: ...
    @property
    def source_addr(self) -> str: ...
    @property
    def destination_addr(self) -> str: ...


def parse_receipt(deliver: Deliver, dialect: Dialect) -> Receipt | NotAReceipt | Malformed:
    """Return what a `deliver_sm` reports; never raises.

    It is a receipt by its `esm_class`, else by a receipted_message_id TLV, else, when the
    dialect allows that, by its text. A missing field is "" or None; a missing state is UNKNOWN,
    except in an intermediate notification, which is SUBMITTED whatever it says.
    """
    body, tlvs, esm_class = deliver.short_message, deliver.tlvs, deliver.esm_class
    tlv_id = tlv_word = network_error = ""
    if tlvs:
        if octets := tlvs.get(TAG_RECEIPTED_MESSAGE_ID):
            tlv_id = _read_c_string(octets)
        if octets := tlvs.get(TAG_MESSAGE_STATE):
            tlv_word = _WORD_OF_TLV.get(octets, "")
        if TAG_NETWORK_ERROR_CODE in tlvs:
            network_error = _read_network_error(tlvs[TAG_NETWORK_ERROR_CODE], dialect)
        if not body:
            body = tlvs.get(TAG_MESSAGE_PAYLOAD, b"")
    if not (esm_class & _MARKED or tlv_id or _is_unmarked_receipt(body, dialect)):
        return NOT_A_RECEIPT

    if len(body) > SCANNED_OCTETS_MAX:
        body = body[:SCANNED_OCTETS_MAX]
    is_ucs2 = body[:3] != b"id:" and _is_ucs2(body)
    text = body.decode("utf-16-be", "replace") if is_ucs2 else body.decode("latin-1")
    fields = read_usual(text) or scan(text, bool(tlv_id), dialect.statuses)
    text_id, submitted_at, done_at, word, error, quoted = fields
    message_id = tlv_id or text_id
    if not message_id:
        return Malformed("no message id")
    if len(message_id) > ID_CHARACTERS_MAX:
        return Malformed(f"a message id of {len(message_id)} characters")
    word = tlv_word or word
    meaning = None if dialect.statuses else _MEANING_OF_WORD.get(word)
    code, status = meaning or _judge(word, dialect)
    if esm_class & ESM_CLASS_INTERMEDIATE:
        code, status = code if word else int(MessageState.ENROUTE), Status.SUBMITTED
    if dialect.utc_offset_minutes:
        submitted_at = _to_utc(submitted_at, dialect)
        done_at = _to_utc(done_at, dialect)
    return Receipt(
        message_id,
        status,
        code,
        error,
        network_error,
        submitted_at,
        done_at,
        _read_quoted(quoted, None if is_ucs2 else deliver.data_coding) if quoted else "",
        deliver.source_addr,
        deliver.destination_addr,
    )


def _is_unmarked_receipt(body: bytes, dialect: Dialect) -> bool:
    if not dialect.text_pattern:
        return False
    body = body[:SCANNED_OCTETS_MAX]
    encoding = "utf-16-be" if _is_ucs2(body) else "latin-1"
    return _LOOKS_LIKE_A_RECEIPT(body.decode(encoding, "replace")) is not None


def _is_ucs2(body: bytes) -> bool:
    """Say whether a receipt is written in UCS-2; else every octet is one character.

    Carriers write receipts in ASCII whatever `data_coding` says, with a few that do use UCS-2:
    then the first colon and the letter before it have a zero octet in front.
    """
    colon = body.find(b":")
    return body[max(colon - 3, 0) : max(colon, 0) : 2] == b"\0\0"


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


def _read_c_string(octets: bytes) -> str:
    text = octets.rstrip(b"\0").decode("latin-1")
    return text if text.isalnum() else text.partition("\0")[0].strip()


def _read_network_error(octets: bytes, dialect: Dialect) -> str:
    """Return `type:code`, or what a carrier has instead: three digits, or octets in hex."""
    if len(octets) != 3:
        return octets.hex()[:ERROR_CHARACTERS_MAX]
    if dialect.network_error_ascii and octets.isdigit():
        return octets.decode("ascii")
    return f"{octets[0]}:{octets[1] << 8 | octets[2]}"


def _to_utc(seconds: float | None, dialect: Dialect) -> float | None:
    return None if seconds is None else seconds - dialect.utc_offset_minutes * 60


def _read_quoted(quoted: str, data_coding: int | None) -> str:
    """Return the quoted message as text; None for a `data_coding` means that it is text already.

    It is what the carrier cut from the octets of the message itself, in any encoding, so this is
    a guess for people to read.
    """
    if len(quoted) > TEXT_CHARACTERS_MAX:
        quoted = quoted[:TEXT_CHARACTERS_MAX]
    if quoted.isascii() and quoted.isprintable():
        return quoted.strip()
    if data_coding is not None:
        octets = quoted.encode("latin-1")
        if data_coding == _DATA_CODING_UCS2:
            quoted = octets.decode("utf-16-be", "replace")
        else:
            with suppress(UnicodeDecodeError):  # then it stays Latin-1
                quoted = octets.decode("utf-8")
    return quoted.replace("\0", "").strip()
