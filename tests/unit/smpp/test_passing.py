"""Which TLVs pass, how people write them, and what a carrier's contract adds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.smpp import vocabulary as v
from gateway.smpp.errors import InvalidField
from gateway.smpp.passing import (
    DELIVERED,
    PASSED_OCTETS_MAX,
    REPORTED,
    SUBMITTED,
    build_tlv_rule,
    pack_tlvs,
    passes,
    pick_tlvs,
    read_tag,
    read_value,
    unpack_tlvs,
)
from gateway.smpp.specification import TLVS
from gateway.smpp.tlvs import encode_tlvs

OURS = {
    v.TAG_SAR_MSG_REF_NUM: b"\0\1",
    v.TAG_SAR_TOTAL_SEGMENTS: b"\2",
    v.TAG_SAR_SEGMENT_SEQNUM: b"\1",
    v.TAG_MESSAGE_PAYLOAD: b"text",
    v.TAG_MORE_MESSAGES_TO_SEND: b"\1",
    v.TAG_RECEIPTED_MESSAGE_ID: b"id\0",
    v.TAG_MESSAGE_STATE: b"\2",
}
VENDORS = {0x1400: b"entity", 0x3FFF: b"", 0x5555: b"\0\xff", 0x0001: b"reserved"}


@pytest.mark.parametrize("known", [SUBMITTED, DELIVERED, REPORTED])
def test_vendors_tlvs_pass_everywhere_and_what_we_write_ourselves_nowhere(
    known: frozenset[int],
) -> None:
    assert pick_tlvs(OURS | VENDORS, known) == VENDORS
    assert known <= TLVS.keys()


def test_of_known_ones_those_pass_that_smpp_has_there() -> None:
    tlvs = {
        0x0005: b"\1",
        v.TAG_NETWORK_ERROR_CODE: b"\3\0\1",
        v.TAG_USER_MESSAGE_REFERENCE: b"\0\7",
    }
    assert pick_tlvs(tlvs, SUBMITTED).keys() == {0x0005, v.TAG_USER_MESSAGE_REFERENCE}
    assert pick_tlvs(tlvs, REPORTED).keys() == {v.TAG_NETWORK_ERROR_CODE}
    assert [passes(tag) for tag in (0x0005, 0x1401, v.TAG_MESSAGE_PAYLOAD)] == [True, True, False]


@given(st.dictionaries(st.integers(0, 0xFFFF), st.binary(max_size=600), max_size=6))
def test_what_is_packed_is_unpacked_as_far_as_it_fits(tlvs: dict[int, bytes]) -> None:
    packed = pack_tlvs(tlvs)
    assert len(packed) <= PASSED_OCTETS_MAX
    kept = unpack_tlvs(packed)
    assert kept.items() <= tlvs.items()
    if len(encode_tlvs(tlvs.items())) <= PASSED_OCTETS_MAX:
        assert kept == tlvs


@pytest.mark.parametrize(
    ("raw", "tag"),
    [
        ("0x1401", 0x1401),
        ("0X1401", 0x1401),
        ("5121", 0x1401),
        ("dest_addr_subunit", 0x0005),
        ("0xffff", 0xFFFF),
    ],
)
def test_a_tag_is_written_in_hex_decimal_or_by_its_name(raw: str, tag: int) -> None:
    assert read_tag(raw) == tag


@pytest.mark.parametrize(
    "raw", ["", "0", "0x", "0x0", "0x10000", "-1", "+5", "1_0", "0x_1", "PE_ID", "٣", "0xg", " 5"]
)
def test_what_is_no_tag_is_refused_by_its_name(raw: str) -> None:
    with pytest.raises(InvalidField) as refused:
        read_tag(raw)
    assert refused.value.field == raw


@pytest.mark.parametrize(
    ("tag", "raw", "value"),
    [
        (0x1401, "1107160000", b"1107160000"),
        (0x1401, "0x31313037 00", b"1107\0"),
        (0x1401, "0x", b""),
        (0x1401, "", b""),
        (0x1401, "é", b"\xe9"),
        (0x0005, "3", b"\3"),
        (0x0005, "0x03", b"\3"),
        (0x020B, "5500", b"\x15\x7c"),
        (0x060E, "network", b"network\0"),
        (0x0381, "0x010101", b"\1\1\1"),
    ],
)
def test_a_value_is_a_text_a_number_or_octets(tag: int, raw: str, value: bytes) -> None:
    assert read_value(tag, raw) == value


@pytest.mark.parametrize(
    ("tag", "raw"),
    [(0x1401, "0x1"), (0x1401, "0xzz"), (0x1401, "€"), (0x0005, "256"), (0x0005, "-1"),
     (0x0005, "three"), (0x0005, ""), (0x060E, "x" * 65)],
)  # fmt: skip
def test_a_value_that_its_tlv_can_not_hold_is_refused_by_its_name(tag: int, raw: str) -> None:
    with pytest.raises(InvalidField) as refused:
        read_value(tag, raw)
    assert refused.value.field == (TLVS[tag].name if tag in TLVS else "0x1401")


def test_a_rule_that_changes_nothing_keeps_octets_as_they_are() -> None:
    own = encode_tlvs([(0x1401, b"a"), (0x1401, b"b")])
    assert build_tlv_rule(None, {}).write(own) == own


@pytest.mark.parametrize("tag", [t for t in OURS if t not in (0x001E, 0x0427)])
def test_a_contract_can_not_ask_for_what_the_gateway_writes(tag: int) -> None:
    with pytest.raises(InvalidField):
        build_tlv_rule(None, {tag: b"1"})
