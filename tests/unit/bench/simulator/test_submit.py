from __future__ import annotations

import pytest

from bench.simulator.submit import Submit, Unreadable, read_submit
from gateway.smpp import vocabulary as v
from gateway.smpp.pdu import encode_submit_sm
from gateway.smpp.shapes import SubmitSm

# Written by hand from SMPP 3.4 §4.4.1.
PLAIN = (
    b"\x00\x00\x00\x37\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x09"  # header
    b"\x00"  # service_type
    b"\x05\x00Shop\x00"  # source
    b"\x01\x01447911000001\x00"  # destination
    b"\x40\x00\x00"  # esm_class, protocol_id, priority_flag
    b"\x00\x00"  # no times
    b"\x01\x00\x08\x00"  # registered_delivery, replace, data_coding, default message
    b"\x05Hello"
)


def submit(**fields: object) -> Submit:
    return read_submit(encode_submit_sm(1, SubmitSm(**fields)))  # type: ignore[arg-type]


def status_of(octets: bytes) -> int:
    with pytest.raises(Unreadable) as refused:
        read_submit(octets)
    return refused.value.status


def test_every_field_is_read_from_its_place() -> None:
    assert read_submit(PLAIN) == Submit(
        source=b"\x05\x00Shop\x00",
        destination=b"\x01\x01447911000001\x00",
        esm_class=0x40,
        registered_delivery=1,
        data_coding=8,
        content=b"Hello",
        sar=b"",
        octets=PLAIN,
    )


def test_addresses_are_read_without_what_surrounds_them() -> None:
    read = read_submit(PLAIN)
    assert (read.source_addr, read.destination_addr) == (b"Shop", b"447911000001")
    assert submit().source_addr == submit().destination_addr == b""


@pytest.mark.parametrize("schedule", ["", "240102030405000R"])
@pytest.mark.parametrize("validity", ["", "000001000000000R"])
def test_fields_behind_the_times_are_found(schedule: str, validity: str) -> None:
    read = submit(
        service_type="CMT",
        source_addr="A",
        destination_addr="1",
        schedule_delivery_time=schedule,
        validity_period=validity,
        registered_delivery=0x11,
        data_coding=4,
        short_message=b"text",
    )
    assert (read.source, read.destination) == (b"\0\0A\0", b"\0\x001\0")
    assert (read.registered_delivery, read.data_coding, read.content) == (0x11, 4, b"text")


def test_a_payload_is_the_content_where_there_is_no_short_message() -> None:
    assert submit(tlvs={v.TAG_MESSAGE_PAYLOAD: b"x" * 1_000}).content == b"x" * 1_000
    assert submit(short_message=b"y" * 1_000).content == b"y" * 1_000


def test_which_part_it_is_is_told_by_sar_fields_in_their_order() -> None:
    tlvs = {
        v.TAG_SAR_SEGMENT_SEQNUM: b"\x02",
        v.TAG_USER_MESSAGE_REFERENCE: b"\x00\x09",
        v.TAG_SAR_TOTAL_SEGMENTS: b"\x03",
        v.TAG_SAR_MSG_REF_NUM: b"\x12\x34",
    }
    assert submit(short_message=b"text", tlvs=tlvs).sar == b"\x12\x34\x03\x02"


def test_of_a_repeated_tlv_the_last_counts_and_padding_is_passed_over() -> None:
    twice = b"\x02\x0f\x00\x01\x01" + b"\x02\x0f\x00\x01\x02" + b"\0\0\0"
    assert read_submit(PLAIN + twice).sar == b"\x02"


@pytest.mark.parametrize(
    "behind", [b"\x02\x0f\x00\x02\x01", b"\x01", b"\x02\x0f\x00\x01\x01\0\x01"]
)
def test_a_damaged_optional_part_is_refused(behind: bytes) -> None:
    assert status_of(PLAIN + behind) == v.ESME_RINVOPTPARSTREAM


def test_what_ends_too_early_is_refused_wherever_it_ends() -> None:
    text_at = len(PLAIN) - len(b"Hello")
    for end in range(16, text_at):
        assert status_of(PLAIN[:end]) == v.ESME_RINVCMDLEN
    for end in range(text_at, len(PLAIN)):
        assert status_of(PLAIN[:end]) == v.ESME_RINVMSGLEN
