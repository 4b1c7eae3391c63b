from __future__ import annotations

import typing
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from bench.simulator.fate import Report
from bench.simulator.receipt import (
    STATE_CODES,
    Facts,
    write_id,
    write_ids,
    write_receipt,
    write_text,
)
from bench.simulator.script import IdForm, Ids, Rule, State, Variant
from bench.simulator.submit import Submit, read_submit
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import build_frame, decode, decode_deliver_sm, encode_submit_sm
from gateway.smpp.shapes import SubmitSm

SUBMITTED_S = datetime(2025, 11, 21, 23, 58, 30, tzinfo=UTC).timestamp()
FACTS = Facts("0042", "DELIVRD", "000", SUBMITTED_S, SUBMITTED_S + 90, "Hello wor")
PLAIN = (
    b"id:0042 sub:001 dlvrd:001 submit date:2511212358 done date:2511220000"
    b" stat:DELIVRD err:000 text:Hello wor"
)


def submit(**fields: object) -> Submit:
    return read_submit(encode_submit_sm(1, SubmitSm(**fields)))  # type: ignore[arg-type]


SUBMIT = submit(
    source_addr_ton=5,
    source_addr_npi=0,
    source_addr="Shop",
    dest_addr_ton=1,
    dest_addr_npi=1,
    destination_addr="447911000001",
    registered_delivery=1,
    short_message=b"Hello world, this is longer than twenty",
)
DELIVERED = Report(90.0, "DELIVRD", "000")


@pytest.mark.parametrize(
    ("form", "width", "text"),
    [
        ("decimal", 0, "48879"),
        ("decimal", 10, "0000048879"),
        ("hex", 0, "beef"),
        ("hex_upper", 8, "0000BEEF"),
    ],
)
def test_ids_are_written_in_each_form(form: IdForm, width: int, text: str) -> None:
    assert write_id(form, width, 0xBEEF) == text


def test_uuids_are_valid_differ_and_keep_their_case() -> None:
    lower = [write_id("uuid", 0, number) for number in range(1, 100)]
    assert len(set(lower)) == 99
    assert all(len(text) == 36 and text[14] == "4" and text[19] in "89ab" for text in lower)
    assert write_id("uuid_upper", 0, 1) == lower[0].upper()


def test_response_and_receipt_may_write_the_same_id_differently() -> None:
    ids = Ids(response="hex", receipt="decimal", receipt_width=10)
    assert write_ids(ids, 255) == ("ff", "0000000255")
    assert write_ids(Ids(), 7) == ("7", "7")


def test_the_text_is_that_of_appendix_b() -> None:
    assert write_text(FACTS) == PLAIN


@pytest.mark.parametrize(
    ("variant", "old", "new"),
    [
        ("no_stat_key", b" stat:", b" "),
        ("no_sub_dlvrd", b" sub:001 dlvrd:001", b""),
        ("no_text", b" text:Hello wor", b""),
        ("capital_text", b"text:", b"Text:"),
        ("zero_done_date", b"done date:2511220000", b"done date:0000000000"),
        ("err_letters", b"err:000", b"err:nul"),
        ("err_one_digit", b"err:000", b"err:0"),
        ("err_four_digits", b"err:000", b"err:0000"),
        ("no_id", b"id:0042 ", b""),
        ("udh_in_text", b"text:Hello wor", b"text:\x05\x00\x03\x2a\x02\x01Hello"),
        ("cut", b"22", b"22"),
        ("stat_of_six_letters", b"DELIVRD", b"DELIVR"),
    ],
)
def test_each_malformed_variant_differs_in_its_one_way(
    variant: str, old: bytes, new: bytes
) -> None:
    expected = PLAIN.replace(old, new, 1)
    if variant == "cut":
        expected = PLAIN[: PLAIN.index(b"done date:") + 12]
    assert write_text(FACTS, variant) == expected


def test_dates_may_have_seconds_or_years_of_four_digits() -> None:
    assert b"submit date:251121235830 done date:251122000000" in write_text(
        FACTS, "seconds_in_dates"
    )
    assert b"submit date:202511212358 done date:202511220000" in write_text(
        FACTS, "year_of_four_digits"
    )


def test_another_order_keeps_every_field() -> None:
    text = write_text(FACTS, "other_order")
    assert text.startswith(b"stat:DELIVRD err:000 done date:2511220000 id:0042")
    assert sorted(text) == sorted(PLAIN)


def test_undelivered_in_six_letters_is_failed() -> None:
    facts = replace(FACTS, state="UNDELIV")
    assert b"stat:FAILED " in write_text(facts, "stat_of_six_letters")


@pytest.mark.parametrize("state", typing.get_args(State))
@pytest.mark.parametrize("variant", typing.get_args(Variant))
def test_every_variant_of_every_state_makes_a_whole_pdu(variant: str, state: str) -> None:
    report = Report(1.0, state, "001", variant)
    command_id, body = write_receipt(SUBMIT, "7", report, Rule(), SUBMITTED_S)
    assert command_id == v.DELIVER_SM
    deliver = decode_deliver_sm(body)
    readable = variant not in ("no_id", "cut", "noise", "empty")
    assert (deliver.tlvs.get(v.TAG_RECEIPTED_MESSAGE_ID) == b"7\0") is readable
    assert (deliver.short_message == b"") is (variant == "empty")


def test_a_receipt_comes_from_the_phone_to_the_sender() -> None:
    _, body = write_receipt(SUBMIT, "7", DELIVERED, Rule(), SUBMITTED_S)
    deliver = decode_deliver_sm(body)
    assert (deliver.source_addr, deliver.source_addr_ton) == ("447911000001", 1)
    assert (deliver.destination_addr, deliver.dest_addr_ton) == ("Shop", 5)
    assert deliver.esm_class == v.ESM_CLASS_RECEIPT
    assert deliver.short_message.endswith(
        b"done date:2511220000 stat:DELIVRD err:000 text:Hello world, this is"
    )
    assert deliver.tlvs == {
        v.TAG_RECEIPTED_MESSAGE_ID: b"7\0",
        v.TAG_MESSAGE_STATE: bytes((STATE_CODES["DELIVRD"],)),
    }


def test_an_intermediate_notification_has_its_own_esm_class() -> None:
    report = Report(1.0, "ENROUTE", "000", "", True)
    _, body = write_receipt(SUBMIT, "7", report, Rule(), SUBMITTED_S)
    assert decode_deliver_sm(body).esm_class == v.ESM_CLASS_INTERMEDIATE


def test_a_receipt_may_have_only_text_or_only_tlvs() -> None:
    _, text_only = write_receipt(SUBMIT, "7", DELIVERED, Rule(form="text"), SUBMITTED_S)
    _, tlv_only = write_receipt(SUBMIT, "7", DELIVERED, Rule(form="tlv"), SUBMITTED_S)
    assert decode_deliver_sm(text_only).tlvs == {}
    assert decode_deliver_sm(tlv_only).short_message == b""
    assert decode_deliver_sm(tlv_only).tlvs[v.TAG_MESSAGE_STATE] == b"\x02"


def test_a_receipt_may_come_as_data_sm() -> None:
    command_id, body = write_receipt(SUBMIT, "7", DELIVERED, Rule(carriage="data_sm"), SUBMITTED_S)
    assert command_id == v.DATA_SM
    pdu = decode(build_frame(command_id, 0, 1, body))
    assert pdu.text("source_addr") == "447911000001"
    assert pdu.text("destination_addr") == "Shop"
    assert pdu.number("esm_class") == v.ESM_CLASS_RECEIPT
    assert pdu.tlv(v.TAG_RECEIPTED_MESSAGE_ID) == b"7\0"
    assert (pdu.tlv(v.TAG_MESSAGE_PAYLOAD) or b"").startswith(b"id:7 sub:001")


@pytest.mark.parametrize(("data_coding", "esm_class"), [(8, 0), (0, 0x40)])
def test_text_that_is_not_plain_is_not_quoted(data_coding: int, esm_class: int) -> None:
    marked = submit(
        short_message=b"\x05\x00\x03\x01\x02\x01text", data_coding=data_coding, esm_class=esm_class
    )
    _, body = write_receipt(marked, "7", DELIVERED, Rule(), SUBMITTED_S)
    assert decode_deliver_sm(body).short_message.endswith(b" text:")
