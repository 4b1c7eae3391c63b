"""How a receipt looks: Appendix B's text, TLVs, and the ways in which real ones are malformed.

Written apart from the gateway's own receipts (`gateway/dlr/build.py`), which speak of its states
only, and so that what the gateway reads is not what it wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from uuid import UUID

import msgspec

from bench.simulator.fate import Report
from bench.simulator.script import IdForm, Ids, Rule
from bench.simulator.submit import Submit
from gateway.smpp import vocabulary as v

STATE_CODES: Final = {
    "ENROUTE": 1,
    "DELIVRD": 2,
    "EXPIRED": 3,
    "DELETED": 4,
    "UNDELIV": 5,
    "ACCEPTD": 6,
    "UNKNOWN": 7,
    "REJECTD": 8,
}
"""message_state (SMPP 3.4 §5.2.28)."""

_EXCERPT_SIZE = 20
_READABLE_CODINGS = frozenset({0, 1, 3})
_NOISE = b"\xff\xfe\x00\x01receipt for you \x80\x81 id stat :: done"
_UNREADABLE = frozenset({"no_id", "cut", "noise", "empty"})
"""Variants whose TLVs are left out too, because they would still tell everything."""
_DELIVER_SM: Final = b"\0%b%b%c" + bytes(8) + b"%c%b%b"
"""Its body (SMPP 3.4 §4.6.1): service_type, addresses, esm_class; 8 fields that are zero, the times
empty; sm_length, the text, TLVs."""
_DATA_SM: Final = b"\0%b%b%c\0\0%b%b"
"""Its body (SMPP 3.4 §4.7.1): it has no text but in message_payload."""
_TLVS: Final = b"\x00\x1e\0%c%b\0" + b"\x04\x27\0\x01%c"
"""receipted_message_id, which is shorter than 255 octets, and message_state."""
_MESSAGE_PAYLOAD: Final = struct.Struct(">HH")


class Facts(msgspec.Struct, frozen=True):
    """What a receipt's text says."""

    message_id: str
    state: str
    err: str
    submitted_s: float
    done_s: float
    excerpt: str


def write_id(form: IdForm, width: int, number: int) -> str:
    """Write a message id; `number` is below 2**64."""
    match form:
        case "decimal":
            text = str(number)
        case "hex":
            text = f"{number:x}"
        case "hex_upper":
            text = f"{number:X}"
        case "uuid" | "uuid_upper":
            # Spread by an odd constant: ids that differ in their last digit alone would hide a
            # comparison of prefixes. Version and variant are those of a random UUID.
            spread = number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128
            text = str(UUID(int=spread, version=4))
            text = text.upper() if form == "uuid_upper" else text
    return text.zfill(width) if width else text


def write_ids(ids: Ids, number: int) -> tuple[str, str]:
    """Return the id as the response has it and as the receipt has it."""
    response = write_id(ids.response, ids.response_width, number)
    if ids.receipt == ids.response and ids.receipt_width == ids.response_width:
        return response, response
    return response, write_id(ids.receipt, ids.receipt_width, number)


def write_receipt(
    submit: Submit, message_id: str, report: Report, rule: Rule, submitted_s: float
) -> tuple[int, bytes]:
    """Return a receipt's command_id and body; `submitted_s` is seconds since the epoch."""
    text = tlvs = b""
    if rule.form != "tlv":
        done_s = submitted_s + report.delay_s
        facts = Facts(message_id, report.state, report.err, submitted_s, done_s, _excerpt(submit))
        text = write_text(facts, report.variant)
    if rule.form != "text" and report.variant not in _UNREADABLE:
        octets = message_id.encode("latin-1")
        tlvs = _TLVS % (len(octets) + 1, octets, STATE_CODES[report.state])
    esm_class = v.ESM_CLASS_INTERMEDIATE if report.intermediate else v.ESM_CLASS_RECEIPT
    # Source and destination change places: the receipt comes from the phone.
    addresses = (submit.destination, submit.source, esm_class)
    if rule.carriage == "data_sm":
        payload = _MESSAGE_PAYLOAD.pack(v.TAG_MESSAGE_PAYLOAD, len(text)) + text if text else b""
        return v.DATA_SM, _DATA_SM % (*addresses, tlvs, payload)
    return v.DELIVER_SM, _DELIVER_SM % (*addresses, len(text), text, tlvs)


def write_text(facts: Facts, variant: str = "") -> bytes:
    """Write Appendix B's text, or the malformed `variant` of it."""
    return _VARIANTS[variant](facts) if variant else _plain(facts)


def _excerpt(submit: Submit) -> str:
    if submit.data_coding not in _READABLE_CODINGS or submit.esm_class & v.ESM_CLASS_UDHI:
        return ""
    return submit.content[:_EXCERPT_SIZE].decode("latin-1")


@lru_cache(maxsize=4096)
def _date(minute: int) -> str:
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%y%m%d%H%M")


def _plain(facts: Facts) -> bytes:
    submitted = done = _date(int(facts.submitted_s) // 60)
    if facts.done_s != facts.submitted_s:
        done = _date(int(facts.done_s) // 60)
    return (
        f"id:{facts.message_id} sub:001 dlvrd:{'001' if facts.state == 'DELIVRD' else '000'}"
        f" submit date:{submitted} done date:{done}"
        f" stat:{facts.state} err:{facts.err} text:{facts.excerpt}"
    ).encode("latin-1")


def _written(
    facts: Facts,
    *,
    without: tuple[str, ...] = (),
    order: tuple[str, ...] = (),
    **instead: str,
) -> bytes:
    """Write the text from its fields with some left out, in another order or with other values."""
    fields = {
        "id": facts.message_id,
        "sub": "001",
        "dlvrd": "001" if facts.state == "DELIVRD" else "000",
        "submit date": _date(int(facts.submitted_s) // 60),
        "done date": _date(int(facts.done_s) // 60),
        "stat": facts.state,
        "err": facts.err,
        "text": facts.excerpt,
    }
    for name, value in instead.items():
        fields[name.replace("_", " ")] = value
    names = [name for name in (order or tuple(fields)) if name not in without]
    return " ".join(f"{name}:{fields[name]}" for name in names).encode("latin-1")


def _no_stat_key(facts: Facts) -> bytes:
    return _plain(facts).replace(b" stat:", b" ", 1)


def _capital_text(facts: Facts) -> bytes:
    return _plain(facts).replace(b" text:", b" Text:", 1)


def _dated(facts: Facts, pattern: str) -> bytes:
    dates = [
        datetime.fromtimestamp(seconds, UTC).strftime(pattern)
        for seconds in (facts.submitted_s, facts.done_s)
    ]
    return _written(facts, submit_date=dates[0], done_date=dates[1])


def _cut(facts: Facts) -> bytes:
    whole = _plain(facts)
    return whole[: whole.index(b"done date:") + 12]


_VARIANTS: dict[str, Callable[[Facts], bytes]] = {
    "no_stat_key": _no_stat_key,
    "no_sub_dlvrd": lambda facts: _written(facts, without=("sub", "dlvrd")),
    "no_text": lambda facts: _written(facts, without=("text",)),
    "capital_text": _capital_text,
    "seconds_in_dates": lambda facts: _dated(facts, "%y%m%d%H%M%S"),
    "year_of_four_digits": lambda facts: _dated(facts, "%Y%m%d%H%M"),
    "zero_done_date": lambda facts: _written(facts, done_date="0000000000"),
    "err_letters": lambda facts: _written(facts, err="nul"),
    "err_one_digit": lambda facts: _written(facts, err=facts.err[-1:] or "0"),
    "err_four_digits": lambda facts: _written(facts, err=facts.err.zfill(4)),
    "stat_of_six_letters": lambda facts: _written(
        facts, stat={"UNDELIV": "FAILED"}.get(facts.state, facts.state[:6])
    ),
    "other_order": lambda facts: _written(
        facts, order=("stat", "err", "done date", "id", "submit date", "dlvrd", "sub", "text")
    ),
    "udh_in_text": lambda facts: _written(facts, text="\x05\x00\x03\x2a\x02\x01Hello"),
    "no_id": lambda facts: _written(facts, without=("id",)),
    "cut": _cut,
    "noise": lambda _: _NOISE,
    "empty": lambda _: b"",
}
