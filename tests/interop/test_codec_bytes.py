"""Our codec against bytes of two libraries that this project did not write, both ways.

Two ends of our own agreeing would prove nothing. Where a library can't say something (vendor
statuses, 8-bit octets in short_message), the other one does.
"""

from datetime import datetime, timedelta, timezone
from typing import Any

import aiosmpplib
import pytest
from aiosmpplib.protocol import MESSAGE_TYPE_MAP, SmppMessage
from aiosmpplib.state import NPI, TON, OptionalParam, PhoneNumber, SmppCommand, SmppCommandStatus
from smpplib import smpp as smpplib

from gateway.smpp import vocabulary as v
from gateway.smpp.fields import Value
from gateway.smpp.framing import Framer
from gateway.smpp.pdu import (
    decode,
    decode_deliver_sm,
    decode_message_resp,
    decode_submit_sm,
    encode,
    encode_deliver_sm,
    encode_deliver_sm_resp,
    encode_header,
    encode_submission,
    encode_submit_sm,
    encode_submit_sm_resp,
)
from gateway.smpp.shapes import (
    HEADER_SIZE,
    DeliverSm,
    Frame,
    MessageResp,
    Pdu,
    SubmitSm,
    SubmitTemplate,
)
from gateway.smpp.tlvs import encode_tlv_value

SEQUENCE = 0x01020304
RECEIPT = (
    "id:0123456789 sub:001 dlvrd:001 submit date:2401020304 done date:2401020305 "
    "stat:DELIVRD err:000 Text:Hello"
)


def frame_of(wire: bytes) -> Frame:
    (frame,) = Framer().receive(wire)
    return frame


def with_smpplib(command: str, **fields: Any) -> bytes:
    """Write a PDU with smpplib; `status` among the fields is the header's."""
    status = fields.pop("status", 0)
    pdu = smpplib.make_pdu(command, sequence=SEQUENCE, **fields)
    for name, value in fields.items():  # some of its classes reset what they were made with
        setattr(pdu, name, value)
    pdu.sequence = SEQUENCE
    pdu.status = status
    wire = pdu.generate()
    assert isinstance(wire, bytes)
    return wire


def by_smpplib(wire: bytes) -> Any:
    return smpplib.parse_pdu(wire, sequence=0, allow_unknown_opt_params=True)


def by_aiosmpplib(wire: bytes) -> Any:
    header = SmppMessage.parse_header(wire)
    return MESSAGE_TYPE_MAP[header.smpp_command].from_pdu(wire, header, "gsm0338")


# ── messages ─────────────────────────────────────────────────────────────────────────────────

FIELDS: dict[str, Any] = {
    "service_type": "CMT",
    "source_addr_ton": 5,
    "source_addr_npi": 0,
    "source_addr": "Brand",
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "destination_addr": "447700900123",
    "esm_class": 0x40,
    "protocol_id": 3,
    "priority_flag": 1,
    "schedule_delivery_time": "240102030405006+",
    "validity_period": "000001000000000R",
    "registered_delivery": 1,
    "replace_if_present_flag": 1,
    "data_coding": 8,
    "sm_default_msg_id": 2,
    "short_message": b"\x05\x00\x03\x07\x02\x01" + "Grüße 👋".encode("utf-16-be"),
}
TLVS = {
    0x0204: b"\x12\x34",
    0x020C: b"\x00\x07",
    0x020E: b"\x02",
    0x020F: b"\x01",
}
NAMED_TLVS: dict[str, Any] = {
    "user_message_reference": 0x1234,
    "sar_msg_ref_num": 7,
    "sar_total_segments": 2,
    "sar_segment_seqnum": 1,
}


def test_we_read_smpplib_s_submit_sm() -> None:
    wire = with_smpplib("submit_sm", **FIELDS, **NAMED_TLVS)
    frame = frame_of(wire)
    assert (frame.command_id, frame.sequence) == (v.SUBMIT_SM, SEQUENCE)
    read = decode_submit_sm(frame.body)
    assert read == SubmitSm(**FIELDS, tlvs=TLVS)
    assert decode(frame).fields == FIELDS


def test_smpplib_reads_our_submit_sm() -> None:
    read = by_smpplib(encode_submit_sm(SEQUENCE, SubmitSm(**FIELDS, tlvs=TLVS)))
    assert read.command == "submit_sm"
    assert read.sequence == SEQUENCE
    for name, value in (FIELDS | NAMED_TLVS).items():
        expected = value.encode() if isinstance(value, str) else value
        assert getattr(read, name) == expected, name


def test_smpplib_writes_the_octets_that_we_write() -> None:
    ours = encode_submit_sm(SEQUENCE, SubmitSm(**FIELDS))
    assert with_smpplib("submit_sm", **FIELDS) == ours
    deliver = encode_deliver_sm(SEQUENCE, DeliverSm(**FIELDS))
    assert with_smpplib("deliver_sm", **FIELDS) == deliver


def theirs(kind: type[Any]) -> Any:
    """Return the message that `ours` is, as aiosmpplib says it."""
    return kind(
        sequence_num=SEQUENCE,
        short_message="Hello {€}",
        source=PhoneNumber("Brand", TON.ALPHANUMERIC, NPI.UNKNOWN),
        destination=PhoneNumber("447700900123", TON.INTERNATIONAL, NPI.ISDN),
        service_type="CMT",
        protocol_id=3,
        priority_flag=1,
        schedule_delivery_time=datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        validity_period=timedelta(days=1),
        registered_delivery=1,
        optional_params=[OptionalParam(0x0204, 0x1234), OptionalParam(0x001E, "0123456789")],
    )


OURS: dict[str, Any] = {
    "service_type": "CMT",
    "source_addr_ton": 5,
    "source_addr": "Brand",
    "dest_addr_ton": 1,
    "dest_addr_npi": 1,
    "destination_addr": "447700900123",
    "protocol_id": 3,
    "priority_flag": 1,
    "schedule_delivery_time": "240102030405008+",
    "validity_period": "000001000000000R",
    "registered_delivery": 1,
    "short_message": b"Hello \x1b(\x1be\x1b)",
    "tlvs": {
        0x0204: encode_tlv_value(0x0204, 0x1234),
        0x001E: encode_tlv_value(0x001E, "0123456789"),
    },
}


def test_aiosmpplib_writes_the_octets_that_we_write() -> None:
    submit = encode_submit_sm(SEQUENCE, SubmitSm(**OURS))
    assert theirs(aiosmpplib.SubmitSm).pdu() == submit
    deliver = encode_deliver_sm(SEQUENCE, DeliverSm(**OURS))
    assert theirs(aiosmpplib.DeliverSm).pdu() == deliver


def test_we_read_aiosmpplib_s_messages() -> None:
    submit = frame_of(theirs(aiosmpplib.SubmitSm).pdu())
    assert decode_submit_sm(submit.body) == SubmitSm(**OURS)
    deliver = frame_of(theirs(aiosmpplib.DeliverSm).pdu())
    assert decode_deliver_sm(deliver.body) == DeliverSm(**OURS)


def test_aiosmpplib_reads_our_messages() -> None:
    for ours, kind in (
        (encode_submit_sm(SEQUENCE, SubmitSm(**OURS)), aiosmpplib.SubmitSm),
        (encode_deliver_sm(SEQUENCE, DeliverSm(**OURS)), aiosmpplib.DeliverSm),
    ):
        read = by_aiosmpplib(ours)
        expected = theirs(kind)
        for name in (
            "sequence_num",
            "short_message",
            "source",
            "destination",
            "service_type",
            "protocol_id",
            "priority_flag",
            "validity_period",
            "registered_delivery",
            "optional_params",
        ):
            assert getattr(read, name) == getattr(expected, name), name


def test_long_content_goes_by_message_payload_both_ways() -> None:
    text = "Hello " * 60
    message = aiosmpplib.SubmitSm(
        sequence_num=SEQUENCE,
        short_message=text,
        source=PhoneNumber("1"),
        destination=PhoneNumber("2"),
    )
    ours = SubmitSm(
        source_addr="1",
        destination_addr="2",
        registered_delivery=1,
        short_message=text.encode("ascii"),
    )
    wire = encode_submit_sm(SEQUENCE, ours)
    assert message.pdu() == wire
    read = decode_submit_sm(wire[HEADER_SIZE:])
    assert (read.short_message, read.content) == (b"", text.encode("ascii"))
    assert by_smpplib(wire).message_payload == text.encode("ascii")


def test_the_template_writes_what_both_libraries_read() -> None:
    body = encode_submission(
        SubmitTemplate(), 5, 0, "Brand", "447700900123", b"Hello", data_coding=1
    )
    wire = encode_header(v.SUBMIT_SM, SEQUENCE, 0, len(body)) + body
    assert by_smpplib(wire).short_message == b"Hello"
    read = by_aiosmpplib(wire)
    assert (read.short_message, read.destination.number) == ("Hello", "447700900123")


# ── receipts ─────────────────────────────────────────────────────────────────────────────────


def test_a_receipt_of_ours_is_a_receipt_to_both_libraries() -> None:
    receipt = DeliverSm(
        source_addr="447700900123",
        destination_addr="Brand",
        esm_class=v.ESM_CLASS_RECEIPT,
        short_message=RECEIPT.encode("ascii"),
        tlvs={
            v.TAG_RECEIPTED_MESSAGE_ID: encode_tlv_value(v.TAG_RECEIPTED_MESSAGE_ID, "0123456789"),
            v.TAG_MESSAGE_STATE: encode_tlv_value(v.TAG_MESSAGE_STATE, 2),
        },
    )
    wire = encode_deliver_sm(SEQUENCE, receipt)
    read = by_aiosmpplib(wire)
    assert read.is_receipt()
    assert read.parse_receipt()["id"] == "0123456789"
    assert read.parse_receipt()["stat"] == "DELIVRD"
    other = by_smpplib(wire)
    assert other.receipted_message_id == b"0123456789"
    assert other.message_state == 2


def test_we_read_a_receipt_of_smpplib() -> None:
    wire = with_smpplib(
        "deliver_sm",
        source_addr="447700900123",
        destination_addr="Brand",
        esm_class=4,
        short_message=RECEIPT.encode("ascii"),
        receipted_message_id="0123456789",
        message_state=2,
    )
    read = decode_deliver_sm(frame_of(wire).body)
    assert read.content == RECEIPT.encode("ascii")
    assert read.tlvs[v.TAG_RECEIPTED_MESSAGE_ID] == b"0123456789\0"
    assert read.tlvs[v.TAG_MESSAGE_STATE] == b"\2"


# ── answers ──────────────────────────────────────────────────────────────────────────────────


def test_submit_sm_resp_agrees_with_both_libraries() -> None:
    ours = encode_submit_sm_resp(SEQUENCE, 0, "0123456789")
    assert aiosmpplib.SubmitSmResp(sequence_num=SEQUENCE, message_id="0123456789").pdu() == ours
    assert with_smpplib("submit_sm_resp", message_id="0123456789") == ours
    assert decode_message_resp(ours) == MessageResp(SEQUENCE, 0, "0123456789")
    assert by_aiosmpplib(ours).message_id == "0123456789"
    assert by_smpplib(ours).message_id == b"0123456789"


def test_a_refusal_agrees_with_both_libraries() -> None:
    ours = encode_submit_sm_resp(SEQUENCE, v.ESME_RTHROTTLED)
    assert by_smpplib(ours).status == v.ESME_RTHROTTLED
    assert by_aiosmpplib(ours).command_status is SmppCommandStatus.ESME_RTHROTTLED
    with_a_body = aiosmpplib.SubmitSmResp(
        sequence_num=SEQUENCE, command_status=SmppCommandStatus.ESME_RTHROTTLED
    ).pdu()
    assert decode_message_resp(with_a_body) == MessageResp(SEQUENCE, v.ESME_RTHROTTLED, "")


def test_deliver_sm_resp_agrees_with_both_libraries() -> None:
    ours = encode_deliver_sm_resp(SEQUENCE)
    assert aiosmpplib.DeliverSmResp(sequence_num=SEQUENCE).pdu() == ours
    assert with_smpplib("deliver_sm_resp", message_id="") == ours
    assert by_aiosmpplib(ours).message_id == ""


# ── sessions ─────────────────────────────────────────────────────────────────────────────────

BIND: dict[str, Any] = {
    "system_id": "esme",
    "password": "secret08",
    "system_type": "VMA",
    "interface_version": 0x34,
    "addr_ton": 1,
    "addr_npi": 1,
    "address_range": "^4477",
}


@pytest.mark.parametrize(
    ("command_id", "kind"),
    [
        (v.BIND_TRANSMITTER, aiosmpplib.BindTransmitter),
        (v.BIND_RECEIVER, aiosmpplib.BindReceiver),
        (v.BIND_TRANSCEIVER, aiosmpplib.BindTransceiver),
    ],
)
def test_binds_agree_with_both_libraries(command_id: int, kind: type[Any]) -> None:
    ours = encode(Pdu(command_id, SEQUENCE, 0, BIND))
    enums = {"addr_ton": TON.INTERNATIONAL, "addr_npi": NPI.ISDN}
    assert kind(sequence_num=SEQUENCE, **(BIND | enums)).pdu() == ours
    assert with_smpplib(v.command_name(command_id), **BIND) == ours
    assert decode(frame_of(ours)).fields == BIND
    read = by_aiosmpplib(ours)
    assert {name: getattr(read, name) for name in BIND} == BIND


@pytest.mark.parametrize(
    ("command_id", "kind"),
    [
        (v.BIND_TRANSMITTER_RESP, aiosmpplib.BindTransmitterResp),
        (v.BIND_RECEIVER_RESP, aiosmpplib.BindReceiverResp),
        (v.BIND_TRANSCEIVER_RESP, aiosmpplib.BindTransceiverResp),
    ],
)
def test_bind_answers_agree_with_both_libraries(command_id: int, kind: type[Any]) -> None:
    version = encode_tlv_value(v.TAG_SC_INTERFACE_VERSION, 0x34)
    fields: dict[str, Value] = {"system_id": "smsc"}
    pdu = Pdu(command_id, SEQUENCE, 0, fields, ((v.TAG_SC_INTERFACE_VERSION, version),))
    ours = encode(pdu)
    assert kind(sequence_num=SEQUENCE, system_id="smsc", sc_interface_version=0x34).pdu() == ours
    assert decode(frame_of(ours)) == pdu
    name = v.command_name(command_id)
    assert with_smpplib(name, system_id="smsc", sc_interface_version=0x34) == ours
    assert by_smpplib(ours).system_id == b"smsc"


@pytest.mark.parametrize(
    ("command_id", "kind"),
    [
        (v.ENQUIRE_LINK, aiosmpplib.EnquireLink),
        (v.ENQUIRE_LINK_RESP, aiosmpplib.EnquireLinkResp),
        (v.UNBIND, aiosmpplib.Unbind),
        (v.UNBIND_RESP, aiosmpplib.UnbindResp),
        (v.GENERIC_NACK, aiosmpplib.GenericNack),
    ],
)
def test_bodiless_pdus_agree_with_both_libraries(command_id: int, kind: type[Any]) -> None:
    ours = encode_header(command_id, SEQUENCE)
    assert kind(sequence_num=SEQUENCE).pdu() == ours
    assert with_smpplib(v.command_name(command_id)) == ours
    assert by_smpplib(ours).command == v.command_name(command_id)
    assert by_aiosmpplib(ours).smpp_command == SmppCommand(command_id)


@pytest.mark.parametrize(
    ("command_id", "fields"),
    [
        (
            v.DATA_SM,
            {
                "service_type": "CMT",
                "source_addr_ton": 1,
                "source_addr_npi": 1,
                "source_addr": "1234",
                "dest_addr_ton": 1,
                "dest_addr_npi": 1,
                "destination_addr": "447700900123",
                "esm_class": 4,
                "registered_delivery": 1,
                "data_coding": 8,
            },
        ),
        (v.DATA_SM_RESP, {"message_id": "0123456789"}),
        (
            v.QUERY_SM,
            {
                "message_id": "0123456789",
                "source_addr_ton": 1,
                "source_addr_npi": 1,
                "source_addr": "1234",
            },
        ),
        (
            v.QUERY_SM_RESP,
            {
                "message_id": "0123456789",
                "final_date": "240102030405008+",
                "message_state": 2,
                "error_code": 1,
            },
        ),
        (
            v.ALERT_NOTIFICATION,
            {
                "source_addr_ton": 1,
                "source_addr_npi": 1,
                "source_addr": "447700900123",
                "esme_addr_ton": 5,
                "esme_addr_npi": 0,
                "esme_addr": "Brand",
            },
        ),
    ],
    ids=lambda value: v.command_name(value) if isinstance(value, int) else "",
)
def test_rarer_pdus_agree_with_smpplib(command_id: int, fields: dict[str, Value]) -> None:
    ours = encode(Pdu(command_id, SEQUENCE, 0, fields))
    assert with_smpplib(v.command_name(command_id), **fields) == ours
    assert decode(frame_of(ours)).fields == fields


def test_a_vendor_s_status_that_a_library_can_t_read_passes_through() -> None:
    wire = with_smpplib("submit_sm_resp", message_id="", status=0x412)
    frame = frame_of(wire)
    assert frame.status == 0x412
    with pytest.raises(ValueError, match="1042"):
        by_aiosmpplib(wire)
