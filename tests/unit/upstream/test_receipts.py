"""Which news goes up, and in what PDU."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.dlr.dialects import DEFAULT
from gateway.dlr.parse import parse_receipt
from gateway.dlr.receipt import Receipt
from gateway.ids import id_at
from gateway.lifecycle import Status
from gateway.model import Account, AccountId, MessageId
from gateway.outcomes import Party
from gateway.record import replace
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import decode_deliver_sm
from gateway.smpp.shapes import NO_TLVS, DeliverSm
from gateway.smpp.tlvs import encode_tlvs
from gateway.upstream.ids import IdForm
from gateway.upstream.receipts import build_deliver_sm, wants_receipt
from gateway.upstream.terms import Terms

ACCEPTED_AT = datetime(2026, 7, 1, 22, 15, tzinfo=UTC).timestamp()
DONE_AT = ACCEPTED_AT + 90
MESSAGE_ID = MessageId(id_at(ACCEPTED_AT) | 5)
TERMS = Terms(account=Account(id=AccountId(7), name="shop"), system_id="shop", password_hash="")
PARTY = Party("Shop", "447400123456", "", "", "", 1, registered_delivery=1)


def build(
    status: Status = Status.DELIVERED,
    *,
    terms: Terms = TERMS,
    party: Party = PARTY,
    error: str = "",
    tlvs: Mapping[int, bytes] = NO_TLVS,
) -> DeliverSm:
    return decode_deliver_sm(
        build_deliver_sm(terms, MESSAGE_ID, party, status, error, DONE_AT, tlvs)
    )


@pytest.mark.parametrize(
    ("registered_delivery", "wanted"),
    [
        (0x00, set()),
        (0x01, {Status.DELIVERED, Status.UNDELIVERED, Status.UNKNOWN}),
        (0x02, {Status.UNDELIVERED, Status.UNKNOWN}),
        (0x03, {Status.DELIVERED}),
        (0x10, {Status.SUBMITTED}),
        (0x11, {Status.SUBMITTED, Status.DELIVERED, Status.UNDELIVERED, Status.UNKNOWN}),
        (0x0C, set()),  # acknowledgements by people and handsets are not receipts
    ],
)
def test_news_goes_up_as_it_was_asked_for(registered_delivery: int, wanted: set[Status]) -> None:
    statuses = {Status.SUBMITTED, Status.DELIVERED, Status.UNDELIVERED, Status.UNKNOWN}
    assert {s for s in statuses if wants_receipt(registered_delivery, s)} == wanted


def test_a_receipt_comes_from_where_the_message_went() -> None:
    receipt = build()
    assert (receipt.source_addr_ton, receipt.source_addr) == (1, "447400123456")
    assert (receipt.dest_addr_ton, receipt.destination_addr) == (5, "Shop")
    assert receipt.esm_class == v.ESM_CLASS_RECEIPT


def test_a_receipt_says_the_same_in_its_text_and_its_tlvs() -> None:
    receipt = build(Status.UNDELIVERED, error="27")
    assert receipt.short_message == (
        b"id:%d sub:001 dlvrd:000 submit date:2607012215 done date:2607012216"
        b" stat:UNDELIV err:027 text:" % MESSAGE_ID
    )
    assert receipt.tlvs[v.TAG_RECEIPTED_MESSAGE_ID] == b"%d\0" % MESSAGE_ID
    assert receipt.tlvs[v.TAG_MESSAGE_STATE] == b"\x05"


def test_tlvs_of_the_carriers_receipt_go_up_and_none_of_them_in_the_place_of_ours() -> None:
    carriers = {
        0x1403: b"vendor's",
        v.TAG_NETWORK_ERROR_CODE: b"\3\0\x08",
        v.TAG_RECEIPTED_MESSAGE_ID: b"theirs\0",
        v.TAG_MESSAGE_STATE: b"\5",
        v.TAG_USER_MESSAGE_REFERENCE: b"\1\1",
        0x2000: bytes(65_000),
    }
    receipt = build(tlvs=carriers)
    assert dict(receipt.tlvs) == {
        v.TAG_RECEIPTED_MESSAGE_ID: b"%d\0" % MESSAGE_ID,
        v.TAG_MESSAGE_STATE: b"\2",
        0x1403: b"vendor's",
        v.TAG_NETWORK_ERROR_CODE: b"\3\0\x08",
    }


def test_the_customers_own_reference_is_answered() -> None:
    own = encode_tlvs([(v.TAG_USER_MESSAGE_REFERENCE, b"\0\7"), (0x1401, b"template")])
    receipt = build(party=replace(PARTY, tlvs=own))
    assert receipt.tlvs[v.TAG_USER_MESSAGE_REFERENCE] == b"\0\7"
    assert 0x1401 not in receipt.tlvs


def test_a_receipt_reads_as_one() -> None:
    receipt = build()
    parsed = parse_receipt(receipt, DEFAULT)
    assert isinstance(parsed, Receipt)
    assert (parsed.carrier_message_id, parsed.status) == (str(MESSAGE_ID), Status.DELIVERED)


def test_intermediate_news_is_marked_as_such() -> None:
    receipt = build(Status.SUBMITTED)
    assert receipt.esm_class == v.ESM_CLASS_INTERMEDIATE
    assert b" stat:ENROUTE " in receipt.short_message


def test_ids_are_in_the_accounts_form() -> None:
    hexadecimal = replace(TERMS, id_form=IdForm.HEX)
    assert build(terms=hexadecimal).short_message.startswith(b"id:%x " % MESSAGE_ID)


def test_a_message_of_many_is_called_by_the_id_that_was_answered_for_all() -> None:
    grouped = replace(PARTY, group_id=MessageId(42))
    assert build(party=grouped).short_message.startswith(b"id:42 ")


def test_dates_are_in_the_accounts_zone_with_its_summer_time() -> None:
    berlin = replace(TERMS, zone=ZoneInfo("Europe/Berlin"))
    assert b"done date:2607020016 " in build(terms=berlin).short_message


@pytest.mark.parametrize(
    ("status", "error", "written"),
    [
        (Status.DELIVERED, "000", b"000"),
        (Status.DELIVERED, "017", b"000"),
        (Status.UNDELIVERED, "1", b"001"),
        (Status.UNDELIVERED, "01F2", b"01F2"),
        (Status.EXPIRED, "validity ended", b"000"),
        (Status.REJECTED, "", b"000"),
    ],
)
def test_an_error_is_a_code_or_none(status: Status, error: str, written: bytes) -> None:
    assert b" err:%b " % written in build(status, error=error).short_message


def test_a_sender_that_smpp_can_not_write_spoils_nothing() -> None:
    greek = replace(PARTY, sender="ΔΕΛΤΑ")
    assert build(party=greek).destination_addr == "?????"
