"""Delivery receipts and message ids, as carriers write them and as nobody does."""

from __future__ import annotations

import msgspec

from bench.fuzz.source import Source
from bench.fuzz.target import Target
from gateway.dlr.build import build_receipt
from gateway.dlr.dialects import DEFAULT, DIALECTS, Dialect
from gateway.dlr.ids import ID_CHARACTERS_MAX, IdForm, IdRule, propose_rule
from gateway.dlr.parse import TEXT_CHARACTERS_MAX, parse_receipt
from gateway.dlr.receipt import Malformed, NotAReceipt, Receipt
from gateway.dlr.scan import ERROR_CHARACTERS_MAX
from gateway.dlr.states import STATE_OF, MessageState
from gateway.dlr.tags import (
    ESM_CLASS_INTERMEDIATE,
    ESM_CLASS_RECEIPT,
    TAG_MESSAGE_PAYLOAD,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_RECEIPTED_MESSAGE_ID,
)
from gateway.lifecycle import Status
from gateway.smpp.shapes import DeliverSm

_DIALECTS = (*DIALECTS.values(), Dialect(name="own", statuses={"DONE": Status.DELIVERED}))
_TAGS = (
    TAG_RECEIPTED_MESSAGE_ID,
    TAG_MESSAGE_STATE,
    TAG_NETWORK_ERROR_CODE,
    TAG_MESSAGE_PAYLOAD,
    0x1401,
)
_YEARS_S = (946_684_800.0 - 86_400, 253_402_300_800.0 + 86_400)
"""2000 to 9999, and a day of zone on either side."""
_INDEXED_OCTETS_MAX = 2_500
"""What PostgreSQL takes as a key of an index, with room for the carrier beside it."""
_WRITTEN_S = (_YEARS_S[0] + 2 * 86_400, 4_102_444_800 - 2 * 86_400)
"""What two digits of a year can say, whatever the zone."""


def check_receipt(case: bytes) -> None:
    """Whatever a deliver_sm holds is a receipt, no receipt or malformed, never an exception; every
    string of it is short and storable, every time is one."""
    source = Source(case)
    dialect = source.pick(_DIALECTS)
    esm_class, data_coding = source.number(), source.number()
    tlvs = {source.pick(_TAGS): source.some(80) for _ in range(source.number() % 4)}
    deliver = DeliverSm(
        esm_class=esm_class, data_coding=data_coding, short_message=source.rest(), tlvs=tlvs
    )
    read = parse_receipt(deliver, dialect)
    marked = bool(esm_class & (ESM_CLASS_RECEIPT | ESM_CLASS_INTERMEDIATE))
    match read:
        case NotAReceipt():
            assert not marked
        case Malformed(reason=reason):
            assert reason
        case Receipt():
            _check_fields(read)
            if esm_class & ESM_CLASS_INTERMEDIATE:
                assert read.status is Status.SUBMITTED
            _check_ids(read.carrier_message_id, dialect.ids)


def _check_fields(receipt: Receipt) -> None:
    assert 0 < len(receipt.carrier_message_id) <= ID_CHARACTERS_MAX
    assert len(receipt.error) <= ERROR_CHARACTERS_MAX
    assert len(receipt.network_error) <= ERROR_CHARACTERS_MAX
    assert len(receipt.text) <= TEXT_CHARACTERS_MAX
    for text in (
        receipt.carrier_message_id,
        receipt.error,
        receipt.network_error,
        receipt.text,
    ):
        assert "\0" not in text
        text.encode()  # half a surrogate pair can't be stored
    assert receipt.code in MessageState.__members__.values()
    for at in (receipt.submitted_at, receipt.done_at):
        assert at is None or _YEARS_S[0] <= at <= _YEARS_S[1]


def _check_ids(raw: str, rule: IdRule) -> None:
    for normal in (rule.normalise_receipt(raw), rule.normalise_response(raw)):
        assert len(normal.encode()) <= _INDEXED_OCTETS_MAX
        assert "\0" not in normal


def check_own_receipt(case: bytes) -> None:
    """A receipt that we write, with any id, error and text, is read back as the same one: by its
    text alone, by its TLVs, and through every dialect that reads plain ids."""
    source = Source(case)
    status = source.pick(tuple(STATE_OF))
    message_id = _printable(source.some(20)) or "1"
    error = _printable(source.some(3)) or "000"
    first, end = _WRITTEN_S
    at = first + source.number(4) % (end - first) // 60 * 60
    offset_minutes = source.number() % 97 * 15 - 12 * 60
    built = build_receipt(
        message_id=message_id,
        status=status,
        submitted_at=at,
        done_at=at + 60,
        error=error,
        text=source.rest().decode("utf-8", "replace"),
        utc_offset_minutes=offset_minutes,
    )
    for tlvs in ({}, built.tlvs):
        deliver = DeliverSm(esm_class=built.esm_class, short_message=built.short_message, tlvs=tlvs)
        dialect = msgspec.structs.replace(DEFAULT, utc_offset_minutes=offset_minutes)
        read = parse_receipt(deliver, dialect)
        assert isinstance(read, Receipt)
        assert (read.carrier_message_id, read.code) == (message_id, STATE_OF[status])
        assert read.error == error
        assert (read.submitted_at, read.done_at) == (at, at + 60)


def _printable(octets: bytes) -> str:
    """Return octets as letters and digits, which is what ids and error codes are made of."""
    alphabet = "0123456789abcdefABCDEFxyzXYZ-"
    return "".join(alphabet[octet % len(alphabet)] for octet in octets).strip("-")


def check_id(case: bytes) -> None:
    """Any id has a normal form under every rule, which is not longer than the id or its number,
    and the rule that is proposed for observed pairs explains as many as it says."""
    source = Source(case)
    pairs = [(_read_id(source), _read_id(source)) for _ in range(source.number() % 3 + 1)]
    for response in IdForm:
        for receipt in IdForm:
            rule = IdRule(response, receipt, source.flag())
            for raw in pairs[0]:
                _check_ids(raw, rule)
    proposal = propose_rule(pairs)
    if proposal is not None:
        rule = proposal.rule
        matched = [rule.normalise_response(a) == rule.normalise_receipt(b) != "" for a, b in pairs]
        assert sum(matched) == proposal.matched <= proposal.observed == len(pairs)


def _read_id(source: Source) -> str:
    """Take an id as it comes out of a C-octet string."""
    octets = source.some(40) * (100 if source.number() == 0xFF else 1)
    return octets.partition(b"\0")[0].decode("latin-1")


_RECEIPT = (
    b"id:0123456789 sub:001 dlvrd:001 submit date:2401020304 done date:2401020305 "
    b"stat:DELIVRD err:000 text:Hello"
)
_RECEIPT_WORDS = (
    *(b"id:", b"stat:", b"DELIVRD", b"UNDELIV", b"err:", b"text:", b"Text:", b"sub:001", b"id:1"),
    *(b"submit date:", b"done date:", b"2401020304", b"20240102030405", b"0000000000", b"err:nul"),
    b"\0i\0d\0:",
    b"\x1e\0",
)

TARGETS = (
    Target("receipt", check_receipt, _RECEIPT_WORDS, (b"\0\x04\0\0" + _RECEIPT,)),
    Target("own_receipt", check_own_receipt, (b"id:", b"stat:"), (b"\x03\x051234\x0300",)),
    Target(
        "id", check_id, (b"00", b"0x", b"-", b"1F", b"31"), (b"\0\x03\x031Fa\x04\x30\x30\x33\x31",)
    ),
)
